"""What past depth shows of the coming views, and which past cameras saw it.

Depth kept with past frames is carried into the target views: where it falls in the column of a ray, the nearest of it
is the surface that the ray meets. A past camera saw that surface if its own depth there agrees: if it is nearer,
something stood in the way. Depth may be wrong by some tenths, so both are soft.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .points import COLUMNS, Float32, Points, points_at, rays
from .pool import BoolArray, Pool, Question
from .sight import clear_chance, project, sight_chances

FRAMES, ACROSS, DOWN = 64, 32, 5
"""Frames whose depth is carried over, and at most so many samples of each across and down."""
ROW_REACH, NEAREST = 0.25, 1.3
"""Part of the picture's height within which depth counts for a ray; ratio of depths that count as one surface."""
UNSEEN = 0.4
"""Worth of a ray on which no past depth falls, against one that meets a known surface."""
AGREE = 0.22
"""Difference of the logarithms of two depths that agree still, about a quarter."""


def known_surface(question: Question, points: Points, chances: Float32) -> Points:
    """``points`` anew, at the surface that the pool's depth shows; rays where it shows none keep their likely depths.

    ``chances`` (n, P) say which frames of the pool probably saw the most: the depth of those is used.
    """
    pool = question.pool
    useful = (chances @ points.weight) * has_depth(pool)
    best = np.argsort(-useful, kind="stable")[:FRAMES]
    best = best[useful[best] > 0]
    if not len(best):
        return points
    ways = rays(question.targets, question.lenses)
    found = _carried(question, _back_projected(pool, best), ways)
    likely = points.distance.reshape(*ways.shape[:2], -1).astype(np.float64)
    seen = np.isfinite(found)
    distance = np.where(seen[..., None], found[..., None], likely)
    weight = np.where(seen[..., None], 0.0, UNSEEN / likely.shape[2]) * np.ones(likely.shape)
    weight[..., 0] = np.where(seen, 1.0, weight[..., 0])
    return points_at(question.targets, question.lenses, ways, distance, weight)


def seen_by_depth(question: Question, points: Points) -> Float32:
    """(n, P) chance that each frame of the pool saw each point, by its own depth where it has any."""
    pool = question.pool
    assert pool.depth is not None
    loose = sight_chances(points, pool.poses, pool.intrinsics, question.scale, question.far, clear=False)
    places = (pool.poses[:, :3, 3] - points.origin).astype(np.float32)
    rows, columns = np.nonzero(loose > 0)
    x, y, z = (axis[rows, columns] for axis in project(points, pool.poses, places))
    fx, fy, cx, cy = pool.intrinsics.astype(np.float32).T
    height, width = pool.depth.shape[1:]
    u = np.clip(((fx[rows] * x / z + cx[rows]) * width).astype(np.intp), 0, width - 1)
    v = np.clip(((fy[rows] * y / z + cy[rows]) * height).astype(np.intp), 0, height - 1)
    there = pool.depth[rows, v, u]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.log(z / there) * np.float32(1.0 / AGREE)
        agree = np.exp(-0.5 * off * off)
    unknown = ~np.isfinite(agree)
    if unknown.any():
        sight = points.sight[columns[unknown]]
        away = points.places[columns[unknown]] - places[rows[unknown]]
        agree[unknown] = clear_chance((away * sight).sum(axis=1), (away * away).sum(axis=1), question.scale)
    loose[rows, columns] *= agree
    return loose


def has_depth(pool: Pool) -> BoolArray:
    """(n,) whether frames of the pool have any depth."""
    if pool.depth is None:
        return np.zeros(len(pool), dtype=np.bool_)
    return np.asarray(np.isfinite(pool.depth).any(axis=(1, 2)))


def _back_projected(pool: Pool, frames: NDArray[np.intp]) -> Float32:
    """(m, 3) places in the world of the depth samples of some frames."""
    assert pool.depth is not None
    height, width = pool.depth.shape[1:]
    down = np.unique(np.linspace(0, height - 1, min(DOWN, height)).round().astype(np.intp))
    across = np.unique(np.linspace(0, width - 1, min(ACROSS, width)).round().astype(np.intp))
    z = pool.depth[frames][:, down][:, :, across]
    lens = pool.intrinsics[frames]
    x = ((across + 0.5) / width - lens[:, 2, None, None]) / lens[:, 0, None, None] * z
    y = ((down[:, None] + 0.5) / height - lens[:, 3, None, None]) / lens[:, 1, None, None] * z
    local = np.stack([x, y, z], axis=-1).reshape(len(frames), -1, 3)
    poses = pool.poses[frames]
    places = (local @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]).reshape(-1, 3)
    return places[np.isfinite(places).all(axis=1)]


def _carried(question: Question, places: Float32, ways: np.ndarray) -> np.ndarray:
    """(T, COLUMNS) distance along each ray to the nearest surface that falls on it, infinite where none does."""
    result = np.full(ways.shape[:2], np.inf)
    for view, (pose, lens) in enumerate(zip(question.targets, question.lenses, strict=True)):
        local = (places - pose[:3, 3]) @ pose[:3, :3]
        local = local[local[:, 2] > question.near]
        u = lens[0] * local[:, 0] / local[:, 2] + lens[2]
        v = lens[1] * local[:, 1] / local[:, 2] + lens[3]
        column = np.floor(u * COLUMNS).astype(np.intp)
        inside = (column >= 0) & (column < COLUMNS)
        ray = ways[view] @ pose[:3, :3]
        height = lens[1] * ray[:, 1] / ray[:, 2] + lens[3]
        column[~inside] = 0
        inside &= np.abs(v - height[column]) <= ROW_REACH
        column, z = column[inside], local[inside, 2]
        order = np.lexsort((z, column))
        column, z = column[order], z[order]
        here, start = np.unique(column, return_index=True)
        one = z <= NEAREST * z[start][np.searchsorted(here, column)] if len(z) else np.zeros(0, dtype=bool)
        for at in here:
            depths = z[column == at][one[column == at]]
            result[view, at] = depths[len(depths) // 2] / ray[at, 2]
    return result

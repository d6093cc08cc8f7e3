"""What past depth shows of the coming views, and which past cameras saw it.

Depth kept with past frames is carried into the target views: where it falls in the column of a ray, the nearest of it
is the surface that the ray meets. A past camera saw that surface if its own depth there agrees: if it is nearer,
something stood in the way. Depth may be wrong by some tenths, so both are soft.

How the surface lies is read off neighbouring rays. Over a flat surface with n . X = 1 the inverse depth 1 / z is
n . (x / z, y / z, 1): linear in the picture. It is fitted by least squares over the rays whose depth is much the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.projection import project, split, to_camera, to_world, unproject
from .points import Float32, Points, Reals, likely_depths, points_at, rays
from .pool import Comparison, Pool
from .sight import in_cameras, same_side_and_clear, sight_chances

COLUMNS = 24
"""Rays a view: more than without depth, for each has one point instead of several."""
FRAMES, ACROSS, DOWN = 160, 32, 3
"""Frames whose depth is read, and at most so many samples of each across and down."""
ROW_REACH, NEAREST = 0.25, 1.25
"""Part of the picture's height within which depth counts for a ray; ratio of depths that count as one surface."""
UNSEEN = 0.1
"""Worth of a ray on which no past depth falls, against one that meets a known surface."""
AGREE = 0.28
"""Standard deviation of the logarithm of two depths of one point: about a quarter."""


def depth_of_the_best(pool: Pool, useful: Reals) -> Float32 | None:
    """(n, h, w) depth of the FRAMES frames that are most ``useful`` (n,), NaN for the others; None if there is none."""
    best = np.argsort(-useful, kind="stable")[:FRAMES]
    best = np.sort(best[useful[best] > 0])
    if pool.depth is None or not len(best):
        return None
    known = pool.depth(pool.indices[best])
    if not np.isfinite(known).any():
        return None
    result = np.full((len(pool), *known.shape[1:]), np.nan, dtype=np.float32)
    result[best] = known
    return result


def known_surface(comparison: Comparison, points: Points, depth: Float32) -> Points:
    """``points`` anew, at the surface that ``depth`` (n, h, w) of the pool shows.

    Rays where it shows none get their likely depths.
    """
    best = np.flatnonzero(np.isfinite(depth).any(axis=(1, 2)))
    ways = rays(comparison.targets, comparison.intrinsics, COLUMNS)
    found = _carried(comparison, _back_projected(comparison.pool, depth, best), ways)
    depths, weight, likely = likely_depths(comparison.scales, comparison.nearest, comparison.farthest)
    seen = np.isfinite(found)[..., None]
    distance = np.where(seen, found[..., None], depths)
    weight = np.where(seen, np.eye(len(depths))[0], UNSEEN * weight)
    likely = np.where(seen[..., None], [chance for _, chance in comparison.scales], likely)
    targets, turns = comparison.targets, comparison.targets[:, :3, :3]
    normal = slants(ways @ turns, found) @ turns.transpose(0, 2, 1)
    return points_at(targets, comparison.intrinsics, ways, distance, weight, comparison.scales, likely, normal)


def seen_by_depth(comparison: Comparison, points: Points, depth: Float32) -> Reals:
    """(n, P) chance that each frame of the pool saw each point, by its own depth (n, h, w) where it has any."""
    pool = comparison.pool
    chances = sight_chances(points, pool.poses, pool.intrinsics, comparison.farthest, blind=False)
    places = (pool.poses[:, :3, 3] - points.origin).astype(points.places.dtype)
    rows, columns = np.nonzero(chances > 0)
    x, y, z = (axis[rows, columns] for axis in in_cameras(points, pool.poses, places))
    there = depth_at(depth, rows, *project(x, y, z, split(pool.intrinsics.astype(points.places.dtype)[rows])))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = np.log(z / there) * np.float32(1.0 / AGREE)
        agree = np.exp(-0.5 * off * off)
    unknown = np.logical_not(np.isfinite(agree))
    agree[unknown] = 1.0
    if points.normal is not None:
        slanted = np.asarray(points.normal.any(axis=1))
        unknown |= ~slanted[columns]
    blind = np.flatnonzero(unknown)
    rows_blind, columns_blind = rows[blind], columns[blind]
    moved = places[rows_blind] - points.eyes[points.view[columns_blind]]
    away = points.places[columns_blind] - places[rows_blind]
    agree[blind] *= same_side_and_clear(
        (moved * points.sight[columns_blind]).sum(axis=1), (moved * moved).sum(axis=1), (away * away).sum(axis=1),
        points.distance[columns_blind], points.scales, points.likely[columns_blind],
    )
    chances[rows, columns] *= agree
    return chances


def depth_at(depth: Float32, frames: NDArray[np.intp], u: Reals, v: Reals) -> Reals:
    """(m,) depth of ``frames`` (m,) at picture places ``u`` ``v`` (m,) of 0..1, from maps (n, h, w).

    Interpolated in 1 / depth, which is linear over a flat surface.
    """
    height, width = depth.shape[1:]
    column = np.clip(u * width - np.float32(0.5), 0, width - 1)
    row = np.clip(v * height - np.float32(0.5), 0, height - 1)
    left, top = column.astype(np.intp), row.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = column - left, row - top
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = (1 - across) / depth[frames, top, left] + across / depth[frames, top, right]
        lower = (1 - across) / depth[frames, bottom, left] + across / depth[frames, bottom, right]
        return np.asarray(1.0 / ((1 - down) * upper + down * lower), dtype=u.dtype)


def _back_projected(pool: Pool, depth: Float32, frames: NDArray[np.intp]) -> FloatArray:
    """(m, 3) places in the world of the depth samples of some frames."""
    height, width = depth.shape[1:]
    down, across = spread(height, DOWN), spread(width, ACROSS)
    z = depth[frames][:, down][:, :, across]
    u, v = (across + 0.5) / width, (down[:, None] + 0.5) / height
    local = np.stack(unproject(u, v, z, split(pool.intrinsics[frames], 2)), axis=-1).reshape(len(frames), -1, 3)
    places = to_world(local, pool.poses[frames]).reshape(-1, 3)
    return np.asarray(places[np.isfinite(places).all(axis=1)])


def _carried(comparison: Comparison, places: FloatArray, ways: FloatArray) -> FloatArray:
    """(T, C) distance along each ray (T, C, 3) to the nearest surface that falls on it, infinite where none does.

    The nearest surface is the middle of the samples that are hardly deeper than the nearest one.
    """
    count = ways.shape[1]
    result = np.full(ways.shape[:2], np.inf)
    for view, (pose, intrinsics) in enumerate(zip(comparison.targets, comparison.intrinsics, strict=True)):
        local = to_camera(places, pose)
        local = local[local[:, 2] > comparison.nearest]
        column = np.floor(project(local[:, 0], local[:, 1], local[:, 2], split(intrinsics))[0] * count)
        inside = (column >= 0) & (column < count)
        local, column = local[inside], column[inside].astype(np.intp)
        ray = ways[view] @ pose[:3, :3]
        slope = ray[:, 1] / ray[:, 2]
        on_it = np.abs(local[:, 1] / local[:, 2] - slope[column]) * intrinsics[1] <= ROW_REACH
        column, z = column[on_it], local[on_it, 2]
        order = np.lexsort((z, column))
        column, z = column[order], z[order]
        here, start, samples = np.unique(column, return_index=True, return_counts=True)
        surface = z <= NEAREST * np.repeat(z[start], samples)
        if len(here):
            middle = start + np.add.reduceat(surface, start, dtype=np.intp) // 2
            result[view, here] = z[middle] / ray[here, 2]
    return result


WINDOW, SMOOTH = 3, 1.25
"""Rays to each side, and the ratio of depths per ray up to which two lie on one surface."""
FEWEST = 3
"""Rays that a normal is fitted to at least."""


def slants(ways: FloatArray, distance: FloatArray) -> FloatArray:
    """Unit normals (T, C, 3) to the viewer, in the axes of ``ways``; 0 where the surface is not known.

    ``ways`` (T, C, 3) are unit rays in camera axes, neighbours beside each other, and ``distance`` (T, C) along them is
    not finite where it is unknown.
    """
    views, count = distance.shape
    slope = ways[..., :2] / ways[..., 2:]
    known = np.isfinite(distance)
    logarithm = np.log(np.where(known, distance, 1.0))
    inverse = np.where(known, 1.0 / (np.where(known, distance, 1.0) * ways[..., 2]), 0.0)
    square, product = np.zeros((views, count, 3, 3)), np.zeros((views, count, 3))
    for shift in range(-WINDOW, WINDOW + 1):
        at = np.arange(count) + shift
        inside = (at >= 0) & (at < count)
        at = np.clip(at, 0, count - 1)
        same = inside & known[:, at] & known
        same &= np.abs(logarithm[:, at] - logarithm) < np.log(SMOOTH) * max(1, abs(shift))
        row = np.concatenate([slope[:, at] - slope, np.ones((views, count, 1))], axis=2) * same[..., None]
        square += row[..., :, None] * row[..., None, :]
        product += row * inverse[:, at, None]
    enough = square[..., 2, 2] >= FEWEST
    # Rays differ less in height than across: what is hardly measured is taken to be upright.
    square += np.diag([1e-4, 0.3, 1e-9])
    fit = np.linalg.solve(square, product[..., None])[..., 0]
    normal = np.concatenate([fit[..., :2], (fit[..., 2] - (fit[..., :2] * slope).sum(axis=2))[..., None]], axis=2)
    size = np.linalg.norm(normal, axis=2, keepdims=True)
    return np.asarray(np.where(enough[..., None] & (size > 0), -normal / np.maximum(size, 1e-300), 0.0))

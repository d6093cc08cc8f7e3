"""The truth: which past frame saw which surface point of the coming segment, and the best choice there is.

A target view is cast column by column: where the ray of a pixel column first meets a wall lies a surface point. A past
frame *covers* the point if

- the point projects into its picture,
- nothing stands between (which implies that it sees the same side of the wall), and
- it saw the surface at no less than a quarter of the target's pixel density. The density is the number of pixels for a
  metre of wall: a pinhole camera of focal length f (in widths of the picture) sees a point at (x, z) of a wall with
  unit direction (a, b) at ``f |a z - b x| / z^2`` picture widths a metre. It falls with distance and with a grazing
  view, and rises with the focal length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .floor_plans import FloatArray

BoolArray = NDArray[np.bool_]
Integers = NDArray[np.int64]
COLUMNS, TARGETS, DENSITY = 96, 5, 0.25
_PAIRS = 16384


@dataclass(frozen=True, eq=False)
class Surface:
    """Points (P, 2) that target views see: ``along`` (P, 2) the wall, ``normal`` (P, 2) to the viewer, ``density``."""

    points: FloatArray
    along: FloatArray
    normal: FloatArray
    density: FloatArray


def target_views(frames: int) -> Integers:
    """The five frames of a segment whose surface counts."""
    return np.unique(np.linspace(0, frames - 1, TARGETS).round().astype(np.int64))


def visible_surface(poses: FloatArray, intrinsics: FloatArray, walls: FloatArray, columns: int = COLUMNS) -> Surface:
    """What level cameras (T, 4, 4) with lenses (T, 4) see of the walls, one point a picture column."""
    depth, wall = cast(poses, intrinsics, walls, columns)
    places, side, ahead = _plane(poses)
    offsets = _columns(intrinsics, columns)
    points = places[:, None] + depth[..., None] * (ahead[:, None] + offsets[..., None] * side[:, None])
    seen = wall >= 0
    along = walls[:, 1] - walls[:, 0]
    along = (along / np.linalg.norm(along, axis=1, keepdims=True))[wall]
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal *= np.sign(((places[:, None] - points) * normal).sum(axis=-1))[..., None]
    x, z = offsets * depth, depth
    a = (along * side[:, None]).sum(axis=-1)
    b = (along * ahead[:, None]).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        density = intrinsics[:, :1] * np.abs(a * z - b * x) / z**2
    return Surface(points[seen], along[seen], normal[seen], density[seen])


def coverage_matrix(poses: FloatArray, intrinsics: FloatArray, surface: Surface, walls: FloatArray) -> BoolArray:
    """(N, P) whether each past frame covers each surface point."""
    places, side, ahead = _plane(poses)
    points = surface.points
    x = side @ points.T - (side * places).sum(axis=1)[:, None]
    z = ahead @ points.T - (ahead * places).sum(axis=1)[:, None]
    fx, cx = intrinsics[:, :1], intrinsics[:, 2:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        across = fx * x / z + cx
        a, b = side @ surface.along.T, ahead @ surface.along.T
        density = fx * np.abs(a * z - b * x) / z**2
    result = (z > 1e-6) & (across >= 0) & (across < 1) & (density >= DENSITY * surface.density)
    result &= surface_side(surface, places)
    frame, point = np.nonzero(result)
    for begin in range(0, len(frame), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        start, end = places[frame[part]], points[point[part]]
        result[frame[part], point[part]] = ~blocked(start, end, walls)
    return np.asarray(result)


def surface_side(surface: Surface, places: FloatArray) -> BoolArray:
    """(N, P) whether each place lies on the side of the wall that the target sees."""
    return np.asarray(places @ surface.normal.T > (surface.points * surface.normal).sum(axis=1))


def greedy_cover(covers: BoolArray, k: int, given: list[int]) -> list[int]:
    """The frames that greedy set cover takes with the truth in hand: ``given`` ones first, ``k`` in all."""
    chosen = list(given)
    matrix = covers.astype(np.float32)
    uncovered = (~covers[chosen].any(axis=0)).astype(np.float32)
    while len(chosen) < k:
        gain = matrix @ uncovered
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            break
        chosen.append(best)
        uncovered *= ~covers[best]
    return chosen


def cast(
    poses: FloatArray, intrinsics: FloatArray, walls: FloatArray, columns: int
) -> tuple[FloatArray, Integers]:
    """Depth (T, columns) along the optical axis and the wall met, -1 and infinite where there is none."""
    places, side, ahead = _plane(poses)
    offsets = _columns(intrinsics, columns)
    depths = np.full(offsets.shape, np.inf)
    met = np.full(offsets.shape, -1, dtype=np.int64)
    begin, step = walls[:, 0], walls[:, 1] - walls[:, 0]
    for view in range(len(poses)):
        rays = ahead[view] + offsets[view][:, None] * side[view]
        between = begin - places[view]
        turn = rays[:, :1] * step[:, 1] - rays[:, 1:] * step[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (between[:, 0] * step[:, 1] - between[:, 1] * step[:, 0]) / turn
            share = (between[:, 0] * rays[:, 1:] - between[:, 1] * rays[:, :1]) / turn
        depth = np.where((depth > 1e-6) & (share >= 0) & (share <= 1), depth, np.inf)
        met[view] = depth.argmin(axis=1)
        depths[view] = depth.min(axis=1)
    met[~np.isfinite(depths)] = -1
    return depths, met


def blocked(start: FloatArray, end: FloatArray, walls: FloatArray) -> BoolArray:
    """(M,) whether a wall stands between ``start`` (M, 2) and just before ``end`` (M, 2)."""
    way = (end - start) * (1 - 1e-6)
    begin, step = walls[:, 0], walls[:, 1] - walls[:, 0]
    turn = way[:, :1] * step[:, 1] - way[:, 1:] * step[:, 0]
    dx, dz = begin[:, 0] - start[:, :1], begin[:, 1] - start[:, 1:]
    share = dx * step[:, 1] - dz * step[:, 0]
    along = dx * way[:, 1:] - dz * way[:, :1]
    sign = np.sign(turn)
    size = np.abs(turn)
    share, along = share * sign, along * sign
    return np.asarray(((share > 0) & (share < size) & (along >= 0) & (along <= size)).any(axis=1))


def steps_cross(places: FloatArray, walls: FloatArray) -> BoolArray:
    """Whether each step from a place (n, 2) to the next goes through a wall."""
    return blocked(places[:-1], places[1:], walls)


def distance_to_walls(points: FloatArray, walls: FloatArray) -> FloatArray:
    """(n,) distance of points (n, 2) to the nearest wall."""
    result = np.full(len(points), np.inf)
    for begin, end in walls:
        along = end - begin
        share = np.clip((points - begin) @ along / (along @ along), 0, 1)
        result = np.minimum(result, np.linalg.norm(points - begin - share[:, None] * along, axis=1))
    return result


def _plane(poses: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return poses[:, [0, 2], 3], poses[:, [0, 2], 0], poses[:, [0, 2], 2]


def _columns(intrinsics: FloatArray, columns: int) -> FloatArray:
    """(T, columns) x / z of the middle of each picture column."""
    middles = (np.arange(columns) + 0.5) / columns
    return (middles - intrinsics[:, 2:3]) / intrinsics[:, :1]

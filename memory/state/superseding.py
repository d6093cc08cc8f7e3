"""Superseded frames: which earlier frames are outdated, since newer ones show the same place as it is now.

Two frames saw the same place if a good share of what one of them sees lies in the view of the other. What a frame sees
are points on a grid over the picture, at the depth that is kept with it, else at several depths about the scene's
scale. A view ends at four times that scale, and where depth is kept, at the first wall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.projection import pixel_middles, project, slopes, split, to_world
from .frame_ranges import Runs, indices_of
from .state import MemoryState

SAME_PLACE = 0.3
"""The least share of a view that counts as the same place."""

MOST_VIEWS = 8
GRID_ROWS, GRID_COLUMNS = 4, 6
DEPTHS = (0.5, 1.0, 2.0)
"""Where depth is not known, points lie at these multiples of the scene's scale."""

_BLOCK = 512
_BEHIND = 0.85
_CLOSEST, _FARTHEST = 0.02, 4.0


def outdated_frames(
    state: MemoryState, newer: Runs, scale: float, same_place: float = SAME_PLACE
) -> NDArray[np.int64]:
    """Frames (n,) int64 before the first of ``newer`` that saw the same place, ascending.

    ``scale`` is about how far away things are, in scene units. ``same_place`` is the least share (0..1) of the one view
    that must lie in the other.
    """
    views = indices_of(newer)
    first = int(views[0])
    views = views[spread(len(views), MOST_VIEWS)]
    found = [
        earlier[shared_view(state, views, earlier, scale) >= same_place]
        for begin in range(0, first, _BLOCK)
        for earlier in [np.arange(begin, min(begin + _BLOCK, first), dtype=np.int64)]
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def shared_view(
    state: MemoryState, views: NDArray[np.int64], others: NDArray[np.int64], scale: float
) -> FloatArray:
    """(n,) for each of the frames ``others``: the largest share that it and one of ``views`` have in each other."""
    there = _seen(state, views, others, scale).max(axis=0)
    back = _seen(state, others, views, scale).max(axis=1)
    return np.asarray(np.maximum(there, back))


def _seen(state: MemoryState, of: NDArray[np.int64], by: NDArray[np.int64], scale: float) -> FloatArray:
    """(a, b): the share of what the frames ``of`` (a,) see that lies in the view of the frames ``by`` (b,)."""
    points = _points(state, of, scale)
    poses, intrinsics = state.cameras(by)
    turned = np.swapaxes(poses[:, :3, :3], 1, 2)
    moved = -(turned @ poses[:, :3, 3:])[..., 0]
    flat = points.reshape(-1, 3)
    local = (turned.reshape(-1, 3) @ flat.T).reshape(len(by), 3, -1) + moved[:, :, None]
    x, y, z = local[:, 0], local[:, 1], local[:, 2]
    ahead = (z > _CLOSEST * scale) & (z < _FARTHEST * scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        across, down = project(x, y, z, split(intrinsics, 1))
    inside = ahead & (across >= 0) & (across < 1) & (down >= 0) & (down < 1)
    if state.has_depth:
        inside &= ~_hidden(state.depth(by), across, down, z, inside)
    return np.asarray(inside.reshape(len(by), len(of), -1).mean(axis=2).T)


def _hidden(
    depth: NDArray[np.float32], across: FloatArray, down: FloatArray, z: FloatArray, inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether something known stands before each point."""
    rows, columns = depth.shape[1:]
    row = np.where(inside, down * rows, 0).astype(np.int64)
    column = np.where(inside, across * columns, 0).astype(np.int64)
    there = depth[np.arange(len(depth))[:, None], row, column]
    with np.errstate(invalid="ignore"):
        return np.asarray(there < _BEHIND * z)


def _points(state: MemoryState, frames: NDArray[np.int64], scale: float) -> FloatArray:
    """(n, points, 3): points that the frames see, in the scene."""
    poses, intrinsics = state.cameras(frames)
    sides = (pixel_middles(np.arange(count, dtype=np.float64)) for count in (GRID_ROWS, GRID_COLUMNS))
    row, column = np.meshgrid(*sides, indexing="ij")
    across, down = slopes(column.ravel(), row.ravel(), split(intrinsics, 1))
    rays = np.stack([across, down, np.ones_like(across)], axis=-1)
    z = np.broadcast_to(scale * np.asarray(DEPTHS)[None, :, None], (len(frames), len(DEPTHS), rays.shape[1]))
    if state.has_depth:
        kept = state.depth(frames)
        at = kept[:, (row * kept.shape[1]).astype(int).ravel(), (column * kept.shape[2]).astype(int).ravel()]
        z = np.where(np.isfinite(at)[:, None], at[:, None], z)
    local = (z[..., None] * rays[:, None]).reshape(len(frames), -1, 3)
    return to_world(local, poses)

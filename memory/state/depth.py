"""Low-resolution depth that is kept with frames: distance along the optical axis in scene units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_DEPTH_SIDE = 64
DEPTH_NOTE = "depth"
"""Where a segment's info says how the depth that is kept with it was made."""
CAMERAS_NOTE = "cameras"
"""Where it says how its cameras were measured, and along what they were planned."""
READ_OFF = (DEPTH_NOTE, CAMERAS_NOTE)
"""Notes on what was read off a segment's pictures: it may be read again for pictures that stay."""
FARTHEST = 65504.0
"""The largest distance that is kept, which stands for the sky too."""


def depth_to_keep(depth: ArrayLike, frames: int, size: tuple[int, int] | None = None) -> NDArray[np.float16]:
    """Depth (F, h, w) as it is kept: float16, at most 64 a side, NaN where it is unknown.

    ``depth`` holds z-depth in scene units for each of the ``frames``; values that are not above 0 or not numbers count
    as unknown, and those beyond float16 as its largest. ``size`` (h, w) is the size that the memory has. Points are
    picked, not averaged: an average of a near and a far thing is a distance at which there is nothing.
    Raises ``ValueError`` for another shape.
    """
    given = np.asarray(depth)
    if given.ndim != 3 or len(given) != frames or 0 in given.shape or not np.issubdtype(given.dtype, np.number):
        raise ValueError(f"Depth is {given.dtype} of the shape {given.shape}, expected numbers ({frames}, height, "
                         "width): the distance along the line of sight for each frame.")
    height, width = given.shape[1:]
    if size is None:
        size = size_to_keep(height, width)
    rows, columns = (_centres(side, kept) for side, kept in ((height, size[0]), (width, size[1])))
    picked = np.asarray(given[:, rows[:, None], columns], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        known = picked > 0.0
    return np.where(known, np.minimum(picked, FARTHEST), np.nan).astype(np.float16)


def size_to_keep(height: int, width: int) -> tuple[int, int]:
    """(h, w) of the depth that is kept of a map of ``height`` x ``width`` where a memory has none yet."""
    shrink = max(1.0, max(height, width) / MAX_DEPTH_SIDE)
    return max(1, round(height / shrink)), max(1, round(width / shrink))


def _centres(side: int, kept: int) -> NDArray[np.int64]:
    return np.minimum(((np.arange(kept) + 0.5) * side / kept).astype(np.int64), side - 1)

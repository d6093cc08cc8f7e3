"""Depth of the frames of a shot, made small enough to be kept beside every frame."""

from __future__ import annotations

import math

import numpy as np

from ..memory.camera import FloatArray

MOST_SIDE = 64


def reduced_depth(depth: FloatArray, size: tuple[int, int] | None = None) -> FloatArray:
    """Depth (F, H, W) as float32 of at most 64 a side, or of the ``size`` (h, w) that a memory keeps already.

    Every number kept is one that was measured, at the middle of the pixels it stands for: a mean over an edge would
    place something where nothing is. What is not finite or not above 0 becomes NaN, which means unknown.
    """
    if depth.ndim != 3:
        raise ValueError(f"Depth has the shape {depth.shape}, expected (frames, height, width): one map a frame.")
    height, width = depth.shape[1:]
    shrink = max(1, math.ceil(max(height, width) / MOST_SIDE))
    rows, columns = size or (math.ceil(height / shrink), math.ceil(width / shrink))
    down = ((np.arange(rows) + 0.5) * height / rows).astype(np.int64)
    across = ((np.arange(columns) + 0.5) * width / columns).astype(np.int64)
    kept = np.array(depth[:, down[:, None], across[None]], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        kept[~(np.isfinite(kept) & (kept > 0))] = np.nan
    return kept

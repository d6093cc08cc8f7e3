"""Memories of cameras only, and their true depth: what `retrieve` is asked in the benchmark."""

from __future__ import annotations

import numpy as np

from ....memory.cameras.trajectory import Trajectory
from ....memory.state.state import MemoryState, SegmentRecord
from .cases import FPS, SEGMENT, Case
from .floor_plans import FloatArray, FloorPlan

SIZE = (352, 640)
NOISE, SCALE_ERROR = 0.1, 0.15
"""Standard deviation of the logarithm: of each value, and of a whole frame where its scale is wrong too."""


def memory(poses: FloatArray, lenses: FloatArray, depth: FloatArray | None = None) -> MemoryState:
    """A memory of cameras (N, 4, 4) with one lens (4,) or one each (N, 4), in segments of 81 frames, its index made."""
    lenses = np.broadcast_to(lenses, (len(poses), 4))
    state = MemoryState()
    for number, start in enumerate(range(0, len(poses), SEGMENT)):
        part = poses[start : start + SEGMENT]
        record = SegmentRecord(
            id=f"{number + 1:064x}", parent=state.id, start=start, frames=len(part), shot=0, prompt="", size=SIZE,
            fps=FPS,
        )
        own = None if depth is None else depth[start : start + len(part)]
        state = state.with_segment(record, part, lenses[start : start + len(part)], depth=own)
    assert state.index.frames == state.frames
    return state


def coming(case: Case) -> Trajectory:
    """The segment to choose for."""
    return Trajectory(case.coming, case.coming_lenses, FPS)


def depth_of(case: Case, noise: float, scale_error: float, random: np.random.Generator) -> FloatArray:
    """(N, h, w) low-resolution depth of the past frames, every value and every frame's scale off by chance.

    On a floor plan what is off is the same all over a picture's column.
    """
    depth = case.depth()
    alike = depth.shape[1] if isinstance(case.scene, FloorPlan) else 1
    off = random.normal(size=(len(depth), depth.shape[1] // alike, depth.shape[2]))
    depth = depth * np.exp(noise * np.repeat(off, alike, axis=1))
    depth *= np.exp(scale_error * random.normal(size=(len(depth), 1)))[..., None]
    return np.where(np.isfinite(depth), np.minimum(depth, 6e4), np.nan)

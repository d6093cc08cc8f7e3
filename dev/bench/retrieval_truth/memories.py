"""Memories of cameras only, and their true depth: what `retrieve` is asked in the benchmark."""

from __future__ import annotations

import numpy as np

from ....memory.cameras.trajectory import Trajectory
from ....memory.state.state import MemoryState, SegmentRecord
from .cases import FPS, SEGMENT, Case
from .floor_plans import FloatArray
from .oracle import cast

ACROSS, DOWN = 32, 18
SIZE = (352, 640)
NOISE, SCALE_ERROR = 0.1, 0.15
"""Standard deviation of the logarithm: of each value, and of a whole frame where its scale is wrong too."""


def memory(poses: FloatArray, lens: FloatArray, depth: FloatArray | None = None) -> MemoryState:
    """A memory of cameras (N, 4, 4) with one lens (4,), in segments of 81 frames, its index made."""
    state = MemoryState()
    for number, start in enumerate(range(0, len(poses), SEGMENT)):
        part = poses[start : start + SEGMENT]
        record = SegmentRecord(
            id=f"{number + 1:064x}", parent=state.id, start=start, frames=len(part), shot=0, prompt="", size=SIZE,
            fps=FPS,
        )
        lenses = np.tile(lens, (len(part), 1))
        own = None if depth is None else depth[start : start + len(part)]
        state = state.with_segment(record, part, lenses, depth=own)
    assert state.index.frames == state.frames
    return state


def coming(case: Case) -> Trajectory:
    """The segment to choose for."""
    return Trajectory(case.coming, case.lens, FPS)


def depth_of(case: Case, noise: float, scale_error: float, random: np.random.Generator) -> FloatArray:
    """(N, 18, 32) low-resolution depth of the past frames, every value and every frame's scale off by chance."""
    depth, _ = cast(case.past, np.tile(case.lens, (len(case.past), 1)), case.plan.walls, ACROSS)
    depth = depth * np.exp(noise * random.normal(size=depth.shape))
    depth *= np.exp(scale_error * random.normal(size=(len(depth), 1)))
    return np.repeat(np.minimum(depth, 6e4)[:, None], DOWN, axis=1)

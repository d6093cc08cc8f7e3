"""About how far away things are in a memory, in scene units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.picture_of_bank import spread
from ...memory.retrieval import scale
from ...memory.state.state import MemoryState

LOOKED_AT = 32


def scene_scale(memory: MemoryState, frames: NDArray[np.int64]) -> float:
    """The median of the depth that is kept with `frames`, or what the cameras' movement says."""
    looked = frames[spread(len(frames), LOOKED_AT)]
    if memory.has_depth:
        depth = memory.depth(looked)
        known = depth[np.isfinite(depth)]
        if len(known):
            return float(np.median(known))
    return scale.scene_scale(memory, Trajectory(*memory.cameras(looked), memory.fps or 1.0, "edited"))

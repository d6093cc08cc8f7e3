"""About how far away things are in a memory, in scene units."""

from __future__ import annotations

import numpy as np

from ..memory.picture_of_bank import spread
from ..memory.state import MemoryState

ROOM = 3.0
LOOKED_AT = 32


def scene_scale(memory: MemoryState) -> float:
    """The median of the depth that is kept, or that of a room."""
    if memory.has_depth:
        depth = memory.depth(spread(memory.frames, LOOKED_AT))
        known = depth[np.isfinite(depth)]
        if len(known):
            return float(np.median(known))
    return ROOM

"""A segment's key: the hash of all that determines it, so that what is in the bank already is loaded, not made.

A key that matches what is not the same would put a wrong picture into the film; a key that misses only costs time. So
everything that reaches the model counts, and where something cannot be told from its content there is no key at all.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..memory.bank.format import FORMAT_VERSION
from ..memory.cameras.trajectory import Trajectory
from .identity import NoIdentity
from .model_identity import identity

log = logging.getLogger(__name__)

RECIPE = 1
"""Raised whenever the segment loop or a retrieval rule changes what a segment looks like."""


class ShotKey:
    """Keys of a shot's segments. What all of them share is hashed once; a segment adds its cameras and its past."""

    def __init__(self, shared: str) -> None:
        self._shared = shared

    def segment(self, parent: str, path: Trajectory, depth: NDArray[np.floating[Any]] | None = None) -> str:
        """The key (64 hex digits) of the segment that follows the memory with the id ``parent`` along ``path``."""
        parts = [self._shared.encode(), parent.encode(), repr((len(path), path.fps)).encode()]
        parts += [np.ascontiguousarray(part).tobytes() for part in (path.poses, path.intrinsics)]
        if depth is not None:
            parts += [repr((depth.shape, depth.dtype.str)).encode(), np.ascontiguousarray(depth).tobytes()]
        whole = hashlib.sha256()
        for part in parts:
            whole.update(len(part).to_bytes(8, "little"))
            whole.update(part)
        return whole.hexdigest()


def shot_key(**ingredients: Any) -> ShotKey | None:
    """What all segments of a shot share, by name; None, and one line in the log, if something has no identity."""
    whole = identity().add("recipe", (RECIPE, FORMAT_VERSION))
    try:
        for name, value in sorted(ingredients.items()):
            whole.add(name, value)
    except NoIdentity as nothing:
        log.info("This shot is made anew even if it is in the bank already: %s.", nothing)
        return None
    return ShotKey(whole.hexdigest())

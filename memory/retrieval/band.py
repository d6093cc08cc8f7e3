"""How much of the views along a path the memory has seen: the measure that chooses frames, for the path's editor.

Views that follow each other see much the same, so each few of them share one look into the index. Cost does not grow
with the film.
"""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from ..state.state import MemoryState
from .distances import Distances
from .pool import Integers, Question
from .retrieve import question_of, usable_of
from .settings import RetrievalSettings

TOGETHER, NEAR = 4, 256
"""Views that share one look into the index, and the frames that it finds for them."""
NEAR_ONE = 512
"""Frames that are looked at for a single view."""


def seen_shares(state: MemoryState, poses: FloatArray, lenses: FloatArray, size: Distances) -> FloatArray:
    """(T,) the share 0..1 of each view, poses (T, 4, 4) and lenses (T, 4), that the memory has seen."""
    result = np.zeros(len(poses))
    for begin in range(0, len(poses), TOGETHER):
        part = slice(begin, begin + TOGETHER)
        result[part] = _asked(state, poses[part], lenses[part], size, NEAR).seen.together()
    return result


def frames_that_saw(
    state: MemoryState, pose: FloatArray, lens: FloatArray, size: Distances
) -> tuple[float, Integers, FloatArray]:
    """The share 0..1 of the view from a pose (4, 4) through a lens (4,) that the memory has seen, the frames near it,
    and the share that each of them saw."""
    question = _asked(state, pose[None], lens[None], size, NEAR_ONE)
    shares = question.seen.shares(range(len(question.pool)))[0]
    return float(question.seen.together()[0]), question.pool.indices, shares


def _asked(state: MemoryState, poses: FloatArray, lenses: FloatArray, size: Distances, limit: int) -> Question:
    near = state.index.candidates(poses, lenses, reach=size.reach, limit=limit, usable=usable_of(state))
    return question_of(state, poses, lenses, RetrievalSettings(), size, [], near)

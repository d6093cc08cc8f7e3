"""Which past frames a segment looks at: retrieval over what is still on the disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.reasons import Reason
from ..memory.retrieval.retrieve import retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.edits import Edit
from ..memory.state.state import MemoryState

SEARCHES = 8
"""How often retrieval is asked again because pixels of its choice are gone."""


def context_reasons(state: MemoryState, path: Trajectory, settings: RetrievalSettings | None) -> tuple[Reason, ...]:
    """Frames of a memory for the segment along ``path`` and why they were chosen, the oldest first; none without
    settings or memory.

    A frame whose pixels are no longer on the disk is left out and another is looked for in its place.
    """
    if settings is None or not state.frames:
        return ()
    found = retrieve(state, path, settings)
    for _ in range(SEARCHES):
        gone = found.indices[~_there(state, found.indices)]
        if not len(gone):
            break
        state = state.with_edit(Edit("drop", tuple((int(index), int(index) + 1) for index in np.sort(gone))))
        found = retrieve(state, path, settings)
    kept = _there(state, found.indices)
    reasons = [reason for reason, there in zip(found.reasons, kept, strict=True) if there]
    return tuple(sorted(reasons, key=lambda reason: reason.index))


def _there(state: MemoryState, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    assert state.bank is not None, "checked before the first segment"
    return np.asarray(state.bank.kept(state, indices), dtype=np.bool_)

"""Which past frames a segment looks at: retrieval over what is still on the disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.retrieve import retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.edits import Edit
from ..memory.state.state import MemoryState

SEARCHES = 8
"""How often retrieval is asked again because pixels of its choice are gone."""


def context_frames(state: MemoryState, path: Trajectory, settings: RetrievalSettings | None) -> tuple[int, ...]:
    """Frames (K,) of a memory for the segment along ``path``, oldest first; none without settings or memory.

    A frame whose pixels are no longer on the disk is left out and another is looked for in its place.
    """
    if settings is None or not state.frames:
        return ()
    found = retrieve(state, path, settings).indices
    for _ in range(SEARCHES):
        gone = found[~_there(state, found)]
        if not len(gone):
            break
        state = state.with_edit(Edit("drop", tuple((int(index), int(index) + 1) for index in np.sort(gone))))
        found = retrieve(state, path, settings).indices
    return tuple(int(index) for index in np.sort(found[_there(state, found)]))


def _there(state: MemoryState, indices: Sequence[int] | np.ndarray) -> np.ndarray:
    assert state.bank is not None, "checked before the first segment"
    return np.asarray(state.bank.kept(state, indices), dtype=np.bool_)

"""The remembered frames by which a clip is laid into the scene: those with depth that show what the clip shows."""

from __future__ import annotations

import numpy as np

from ..memory.cameras.pacing import spread
from ..memory.cameras.trajectory import Trajectory
from ..memory.geometry.recognition import Remembered
from ..memory.retrieval.retrieve import retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.edits import Edit
from ..memory.state.frame_ranges import joined
from ..memory.state.state import MemoryState

MOST = 8
"""Frames that are compared with a clip; each costs about as much as following points through a frame."""


def remembered_near(state: MemoryState, path: Trajectory | None, with_depth: bool = True) -> Remembered | None:
    """Remembered frames that saw what a ``path`` sees, or some from all over where there is none; those ``with_depth``
    alone, or any.

    None where there are none, or no pictures are kept.
    """
    if not state.frames or state.bank is None or (with_depth and not state.has_depth):
        return None
    if path is not None:
        asked = _with_depth(state) if with_depth else state
        indices = np.sort(retrieve(asked, path, RetrievalSettings(k=min(MOST, state.frames))).indices)
    else:
        indices = np.asarray(spread(state.frames, MOST))
    indices = indices[state.bank.kept(state, indices)]
    depth = state.depth(indices)
    known = np.isfinite(depth).any(axis=(1, 2)) | (not with_depth)
    if not known.any():
        return None
    indices = indices[known]
    poses, intrinsics = state.cameras(indices)
    return Remembered(state.read_frames(indices), poses, intrinsics, depth[known])


def _with_depth(state: MemoryState) -> MemoryState:
    """The memory with the frames of segments without depth left out of retrieval: they would take the others' room."""
    records = (state.segments[number] for number in range(len(state.segments)))
    flat = joined((one.start, one.start + one.frames) for one in records if one.depth_size is None)
    return state.with_edit(Edit("exclude", flat)) if flat else state

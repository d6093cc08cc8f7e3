"""What retrieval would choose along a camera path with other settings, without making a film: the retrieval map's
questions.

Each segment of the path is asked of the memory as it was before that segment, so with the film's own settings the
answer is what the film looked at.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..state.edits import Edit
from ..state.frame_ranges import runs_of
from ..state.state import MemoryState
from .distances import Distances, distances
from .reasons import Reason
from .retrieve import query_of, retrieve, seen_shares
from .settings import RetrievalSettings

FLAGS = ("pin", "unpin", "exclude", "include")
"""Edits of frames that can be tried."""


@dataclass(frozen=True, eq=False)
class RetrievalScene:
    """A camera path, and for each segment its first frame on the path (ascending from 0) and the memory before it.

    ``newest`` is the memory that has all of the frames; ``most`` how many of the chosen frames the model takes, 0 where
    that is not known.
    """

    path: Trajectory
    segments: tuple[tuple[int, MemoryState], ...]
    newest: MemoryState
    most: int = 0

    @cached_property
    def id(self) -> str:
        """A hex sha256 of the path, the segments and the memories."""
        whole = hashlib.sha256(np.ascontiguousarray(self.path.poses).tobytes())
        whole.update(np.ascontiguousarray(self.path.intrinsics).tobytes())
        words = [(start, state.id) for start, state in self.segments]
        whole.update(repr((self.path.fps, words, self.newest.id, self.most)).encode())
        return whole.hexdigest()

    def segment_of(self, frame: int) -> int:
        """The number of the segment that a frame of the path is in."""
        return max(0, bisect_right([start for start, _ in self.segments], frame) - 1)

    def part(self, number: int) -> slice:
        """The frames of a segment on the path."""
        starts = [*(start for start, _ in self.segments), len(self.path)]
        return slice(starts[number], starts[number + 1])


@dataclass(frozen=True, eq=False)
class WhatIf:
    """What would be chosen for segment ``number``, which follows a memory of ``remembered`` frames.

    ``reasons`` in the order chosen, of ``candidates``. ``seen`` and ``shown`` are the shares 0..1 of the view at the
    frame asked for that the whole memory has seen, and that the chosen frames show: in 3-D, past what stands in the
    way. ``size`` are the distances that were used.
    """

    number: int
    remembered: int
    reasons: tuple[Reason, ...]
    candidates: int
    seen: float
    shown: float
    size: Distances


def what_if(
    scene: RetrievalScene, frame: int, settings: RetrievalSettings, flags: dict[str, list[int]] | None = None
) -> WhatIf:
    """What retrieval chooses with ``settings`` for the segment that a ``frame`` of the path is in.

    ``flags`` are edits to try, a list of frames of the film under a name of FLAGS; frames that the memory has not yet
    are passed over. Raises ``ValueError`` for a frame that is not on the path.
    """
    if not 0 <= frame < len(scene.path):
        raise ValueError(f"There is no frame {frame} on the camera path: it has {len(scene.path)}, from 0.")
    number = scene.segment_of(frame)
    state = _flagged(scene.segments[number][1], flags or {})
    coming = scene.path[scene.part(number)]
    size = distances(state, coming, settings)
    found = retrieve(state, coming, settings)
    chosen = np.sort(found.indices[: scene.most or None])
    pose, intrinsics = scene.path.poses[frame : frame + 1], scene.path.intrinsics[frame : frame + 1]
    seen = shown = 0.0
    if len(chosen):
        seen = float(seen_shares(state, pose, intrinsics, size)[0])
        query = query_of(state, pose, intrinsics, settings, size, [], chosen)
        shown = float(query.seen.together()[0])
    return WhatIf(number, state.frames, found.reasons, found.candidates, max(seen, shown), shown, size)


def seen_along(scene: RetrievalScene, frames: Iterable[int], settings: RetrievalSettings) -> FloatArray:
    """(n,) the shares 0..1 of the views at ``frames`` of the path that the memory before their segment has seen."""
    asked = np.asarray(list(frames), dtype=np.int64)
    result = np.zeros(len(asked))
    owners = np.array([scene.segment_of(int(frame)) for frame in asked], dtype=np.int64)
    for number in np.unique(owners):
        mine = asked[owners == number]
        state = scene.segments[number][1]
        if state.frames:
            size = distances(state, scene.path[scene.part(int(number))], settings)
            result[owners == number] = seen_shares(state, scene.path.poses[mine], scene.path.intrinsics[mine], size)
    return result


def path_rows(path: Trajectory, most: int) -> FloatArray:
    """(n, 17) of at most ``most`` frames of a path, evenly spread with both ends: the frame, the pose (3 x 4, row by
    row), fx fy cx cy."""
    rows = spread(len(path), most)
    poses = path.poses[rows, :3].reshape(-1, 12)
    return np.concatenate([rows[:, None].astype(np.float64), poses, path.intrinsics[rows]], axis=1)


def _flagged(state: MemoryState, flags: dict[str, list[int]]) -> MemoryState:
    for kind in FLAGS:
        if frames := sorted({frame for frame in flags.get(kind, []) if 0 <= frame < state.frames}):
            state = state.with_edit(Edit(kind, runs_of(np.asarray(frames, dtype=np.int64))))
    return state

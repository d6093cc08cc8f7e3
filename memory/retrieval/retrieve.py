"""The choice of context frames for a segment, and why each was chosen (Context-as-Memory, algorithm 2).

The same question, asked of views along a path, says how much of each the memory has seen: the editor's band.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..state.state import MemoryState
from .distances import Distances, distances
from .encoded import encoded_frames, without_twins
from .pool import Integers, Pool
from .query import ChosenFrame, RetrievalQuery, Usable
from .reasons import Reason
from .settings import RetrievalSettings
from .strategies import STRATEGIES

NEIGHBOUR_SECONDS = 0.5

TARGET_VIEWS = 5
"""Views of a segment that are compared with the past: its ends and an even spread between."""

_PORTION = 512


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Chosen frames: ``indices`` (n,) int64 in the order chosen, ``reasons`` for each, the number of ``candidates``.

    The most recent frame comes first, then the pinned ones, then the most useful, so a model with a smaller window can
    take a prefix. ``candidates`` counts the past frames near the segment that the strategy chose from.
    """

    indices: NDArray[np.int64]
    reasons: tuple[Reason, ...]
    candidates: int

    def __len__(self) -> int:
        return len(self.indices)


def retrieve(state: MemoryState, targets: Trajectory, settings: RetrievalSettings) -> Retrieval:
    """Up to ``settings.k`` frames of ``state`` for the segment that will be seen from ``targets``.

    The most recent frame that may be used is always among them, then the pinned frames (the newest of them, if there
    are more than ``k``); the others follow ``settings.strategy``. Frames that are excluded, superseded, dropped or of
    strength 0 are never given. Where segments before have looked at frames as latents, these stand for others that show
    the same (``encoded``). Fewer are returned when fewer fit the rule, and none from an empty memory. The same
    memory, path and settings give the same choice. Never looks at all frames.
    """
    given = _given(state, settings.k)
    if not given:
        return Retrieval(_frozen([]), (), 0)
    chosen = [ChosenFrame(given[0], "most recent"), *(ChosenFrame(index, "pinned") for index in given[1:])]
    size = distances(state, targets, settings)
    views = spread(len(targets), TARGET_VIEWS)
    poses, intrinsics = targets.poses[views], targets.intrinsics[views]
    near = _near(state, poses, intrinsics, size, STRATEGIES[settings.strategy].pool)
    query = query_of(state, poses, intrinsics, settings, size, given, near)
    if query.count > 0:
        chosen += STRATEGIES[settings.strategy].choose(query)
    candidates = int(query.candidate.sum()) if query.asked else len(query.pool) - len(given)
    reasons = _reasons(state, settings, query, chosen, size)
    return Retrieval(_frozen([choice.index for choice in chosen]), reasons, candidates)


def _given(state: MemoryState, k: int) -> list[int]:
    """The most recent usable frame, then the pinned ones, newest first; ``k`` at most."""
    for end in range(state.frames, 0, -_PORTION):
        rows = np.arange(max(0, end - _PORTION), end)
        there = rows[state.flags(rows).usable]
        if len(there):
            last = int(there[-1])
            pinned = [int(index) for index in state.pinned_frames()[::-1] if int(index) != last]
            return [last, *pinned[: k - 1]]
    return []


def query_of(
    state: MemoryState, poses: FloatArray, intrinsics: FloatArray, settings: RetrievalSettings, size: Distances,
    given: list[int], near: Integers,
) -> RetrievalQuery:
    """What a strategy is asked for coming views (T, 4, 4) with intrinsics (T, 4): its pool are the ``given`` frames and
    those ``near`` the views."""
    pool = _pool(state, np.union1d(near, np.asarray(given, dtype=np.int64)))
    return RetrievalQuery(
        count=settings.k - len(given),
        pool=pool,
        given=tuple(int(row) for row in np.searchsorted(pool.indices, given)),
        targets=poses,
        intrinsics=intrinsics,
        near=size.near,
        far=size.far,
        depth=size.depth,
        scale=size.size,
        scales=size.scales,
        nearest=size.nearest,
        farthest=size.farthest,
        gap=max(1, round((state.fps or 0.0) * NEIGHBOUR_SECONDS)),
        far_share=settings.far_share,
        min_overlap=settings.min_overlap,
        frames=state.frames,
        usable=usable_of(state),
        random=np.random.default_rng([settings.seed, state.frames]),
    )


def _near(state: MemoryState, poses: FloatArray, intrinsics: FloatArray, size: Distances, limit: int) -> Integers:
    """Usable frames near coming views (T, 4, 4) with intrinsics (T, 4), ascending, ``limit`` at most; of those that
    show the same as a frame whose latent is known, that one."""
    if not limit:
        return np.zeros(0, dtype=np.int64)
    usable = usable_of(state)
    near = state.index.candidates(poses, intrinsics, reach=size.reach, limit=limit, usable=usable)
    if not (encoded := encoded_frames(state)):
        return near
    known = np.zeros(state.frames, dtype=np.bool_)
    known[list(encoded)] = True
    known_near = state.index.candidates(
        poses, intrinsics, reach=size.reach, limit=limit // 2, usable=lambda frames: known[frames] & usable(frames)
    )
    return without_twins(state, near, known_near, size.size)


def usable_of(state: MemoryState) -> Usable:
    """Says of frames of a memory which may be looked at."""
    return lambda indices: state.flags(indices).usable


def _pool(state: MemoryState, indices: Integers) -> Pool:
    poses, intrinsics = state.cameras(indices)
    depth = state.depth if state.has_depth else None
    strength = state.flags(indices).strength.astype(np.float64)
    return Pool(indices, poses, intrinsics, state.times_at(indices), strength, depth)


def _reasons(
    state: MemoryState, settings: RetrievalSettings, query: RetrievalQuery, chosen: list[ChosenFrame], size: Distances
) -> tuple[Reason, ...]:
    """Why each was chosen, and what it saw, measured in 3-D whatever it was chosen by."""
    rows = np.asarray([choice.index for choice in chosen], dtype=np.int64)
    pool = query.pool
    if settings.strategy != "coverage":
        # What stands in the way is known from frames beside the chosen ones too: the same that coverage looks at.
        limit = STRATEGIES["coverage"].pool if state.has_depth else 0
        near = _near(state, query.targets, query.intrinsics, size, limit)
        pool = _pool(state, np.union1d(near, rows))
        query = replace(query, pool=pool, given=())
    shares = query.seen.shares(np.searchsorted(pool.indices, rows).tolist()).max(axis=0)
    ages = state.end_time - state.times_at(rows)
    return tuple(
        Reason(choice.index, choice.rule, float(share), choice.gain, float(age))
        for choice, share, age in zip(chosen, shares, ages, strict=True)
    )


def _frozen(indices: list[int]) -> NDArray[np.int64]:
    result = np.asarray(indices, dtype=np.int64)
    result.flags.writeable = False
    return result


TOGETHER, NEAR = 4, 400
"""Views that share one look into the index, and the frames that it finds for them."""
NEAR_ONE = 512
"""Frames that are looked at for a single view."""


def seen_shares(state: MemoryState, poses: FloatArray, intrinsics: FloatArray, size: Distances) -> FloatArray:
    """(T,) the share 0..1 of each view, poses (T, 4, 4) and intrinsics (T, 4), that the memory has seen."""
    result = np.zeros(len(poses))
    for begin in range(0, len(poses), TOGETHER):
        part = slice(begin, begin + TOGETHER)
        result[part] = _query_near(state, poses[part], intrinsics[part], size, NEAR).seen.together()
    return result


def frames_that_saw(
    state: MemoryState, pose: FloatArray, intrinsics: FloatArray, size: Distances
) -> tuple[float, Integers, FloatArray]:
    """The share 0..1 of the view from a pose (4, 4) with intrinsics (4,) that the memory has seen, the frames near it,
    and the share that each of them saw."""
    query = _query_near(state, pose[None], intrinsics[None], size, NEAR_ONE)
    shares = query.seen.shares(range(len(query.pool)))[0]
    return float(query.seen.together()[0]), query.pool.indices, shares


def _query_near(
    state: MemoryState, poses: FloatArray, intrinsics: FloatArray, size: Distances, limit: int
) -> RetrievalQuery:
    near = state.index.candidates(poses, intrinsics, reach=size.reach, limit=limit, usable=usable_of(state))
    return query_of(state, poses, intrinsics, RetrievalSettings(), size, [], near)

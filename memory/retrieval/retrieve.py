"""The choice of context frames for a segment, and why each was chosen (Context-as-Memory, algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cameras.trajectory import Trajectory
from ..state.state import MemoryState
from .distances import Distances, distances
from .overlap import fans, overlap
from .pool import BoolArray, Choice, Integers, Pool, Question
from .settings import RetrievalSettings
from .strategies import POOLS, STRATEGIES

NEIGHBOUR_SECONDS = 0.5

TARGET_VIEWS = 5
"""Views of a segment that are compared with the past: its ends and an even spread between."""

_PORTION = 512


@dataclass(frozen=True)
class Reason:
    """Why a frame was chosen.

    ``rule`` in plain words. ``overlap`` 0..1 is the largest share of one of the segment's views that the frame saw.
    ``gain`` 0..1 is the share of the segment that it adds to the frames before it, where the strategy works that out.
    ``age_s`` is the time in seconds from the frame to the start of the segment. ``text`` is a line for the artist.
    """

    index: int
    rule: str
    overlap: float
    gain: float
    age_s: float
    text: str


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
    are more than places); the others follow ``settings.strategy``. Frames that are excluded, superseded, dropped or of
    strength 0 are never given. Fewer are returned when fewer fit the rule, and none from an empty memory. The same
    memory, path and settings give the same choice. Never looks at all frames.
    """
    given = _given(state, settings.k)
    if not given:
        return Retrieval(_frozen([]), (), 0)
    chosen = [Choice(given[0], "most recent"), *(Choice(index, "pinned") for index in given[1:])]
    size = distances(state, targets, settings)
    question = _question(state, targets, settings, size, given)
    if question.count > 0:
        chosen += STRATEGIES[settings.strategy](question)
    near = int(question.candidate.sum()) if question.asked else len(question.pool) - len(given)
    return Retrieval(_frozen([choice.index for choice in chosen]), _reasons(state, question, chosen), near)


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


def _question(
    state: MemoryState, targets: Trajectory, settings: RetrievalSettings, size: Distances, given: list[int]
) -> Question:
    def usable(indices: Integers) -> BoolArray:
        return state.flags(indices).usable

    views = np.unique(np.linspace(0, len(targets) - 1, TARGET_VIEWS).round().astype(np.int64))
    poses, lenses = targets.poses[views], targets.intrinsics[views]
    rows = np.asarray(given, dtype=np.int64)
    if limit := POOLS.get(settings.strategy, 0):
        near = state.index.candidates(poses, lenses, reach=size.reach, limit=limit, usable=usable)
        rows = np.union1d(near, rows)
    pool = _pool(state, np.sort(rows))
    return Question(
        count=settings.k - len(given),
        pool=pool,
        given=tuple(int(place) for place in np.searchsorted(pool.indices, given)),
        targets=poses,
        lenses=lenses,
        near=size.near,
        far=size.far,
        depth=size.depth,
        scale=size.scale,
        gap=max(1, round((state.fps or 0.0) * NEIGHBOUR_SECONDS)),
        far_share=settings.far_share,
        min_overlap=settings.min_overlap,
        frames=state.frames,
        usable=usable,
        random=np.random.default_rng([settings.seed, state.frames]),
    )


def _pool(state: MemoryState, indices: Integers) -> Pool:
    poses, lenses = state.cameras(indices)
    depth = state.depth if state.has_depth else None
    strength = state.flags(indices).strength.astype(np.float64)
    return Pool(indices, poses, lenses, state.times_at(indices), strength, depth)


def _reasons(state: MemoryState, question: Question, chosen: list[Choice]) -> tuple[Reason, ...]:
    rows = np.asarray([choice.index for choice in chosen], dtype=np.int64)
    poses, lenses = state.cameras(rows)
    shares = overlap(
        fans(question.targets, question.lenses), question.targets, question.lenses, fans(poses, lenses),
        question.depth, question.near, question.far,
    ).max(axis=0)
    ages = state.end_time - state.times_at(rows)
    return tuple(
        _reason(choice, float(share), float(age)) for choice, share, age in zip(chosen, shares, ages, strict=True)
    )


def _reason(choice: Choice, share: float, age: float) -> Reason:
    text = f"Frame {choice.index}, {age:.1f} s ago: {choice.rule}; it saw up to {share:.0%} of a coming view"
    if choice.gain > 0.0:
        text += f" and adds {choice.gain:.1%} of the segment"
    return Reason(choice.index, choice.rule, share, choice.gain, age, text + ".")


def _frozen(indices: list[int]) -> NDArray[np.int64]:
    result = np.asarray(indices, dtype=np.int64)
    result.flags.writeable = False
    return result

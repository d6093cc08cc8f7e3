"""One small function a strategy, in one registry.

A strategy gets a ``Question`` and returns its choice, most useful frame first. The most recent frame is always given to
the model and is not theirs to choose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..camera import FloatArray

Choice = list[tuple[int, str]]
"""Frame indices, each with the rule that chose it."""


@dataclass(frozen=True, eq=False)
class Question:
    """What a strategy decides on: ``count`` of the frames before the most recent one.

    ``gap`` is the number of frames that count as neighbours while enough others are left: half a second.
    ``shares`` (T, N) is the overlap of each target view with each frame and ``candidate`` (N,) says which frames saw
    part of the segment. ``places`` (N, 3) and ``times`` (N,) belong to the frames.
    """

    count: int
    gap: int
    far_share: float
    places: FloatArray
    times: FloatArray
    shares: FloatArray
    candidate: NDArray[np.bool_]
    random: np.random.Generator

    @property
    def last(self) -> int:
        """Index of the most recent frame."""
        return len(self.times) - 1


Strategy = Callable[[Question], Choice]


def first(question: Question) -> Choice:
    """Only the first frame of the film: the paper's baseline."""
    return [(0, "first frame")]


def random(question: Question) -> Choice:
    """Any frames of the film."""
    count = min(question.count, question.last)
    return [(int(i), "random") for i in question.random.choice(question.last, count, replace=False)]


def recent(question: Question) -> Choice:
    """The frames just before the most recent one: the DFoT window."""
    return [(i, "recent") for i in range(question.last - 1, max(-1, question.last - 1 - question.count), -1)]


def fov_random(question: Question) -> Choice:
    """Any frames that saw part of the segment."""
    there = np.flatnonzero(question.candidate[: question.last])
    count = min(question.count, len(there))
    return [(int(i), "saw this view") for i in question.random.choice(there, count, replace=False)]


def fov_nonadjacent(question: Question) -> Choice:
    """One frame of each run of consecutive frames that saw part of the segment, spread over its views.

    While places are left, the chosen frames and their neighbours are taken out of the runs and the rest is gone through
    again, so no two chosen frames are ever adjacent.
    """
    return [(i, "saw this view") for i in _one_a_run(question, question.count)]


def fov_nonadjacent_far(question: Question) -> Choice:
    """As ``fov_nonadjacent``; a share of the places goes to frames far off in space and time from those chosen."""
    distant = round(question.count * question.far_share)
    chosen = _one_a_run(question, question.count - distant)
    far: list[int] = []
    place, time = _per_spread(question.places), _per_spread(question.times[:, None])
    while len(far) < distant:
        open_frames = np.flatnonzero(_not_adjacent(question, chosen + far, 1))
        if not len(open_frames):
            break
        known = [*chosen, *far, question.last]
        distance = np.hypot(_nearest(place, open_frames, known), _nearest(time, open_frames, known))
        far.append(int(open_frames[np.argmax(distance + 1e-6 * question.random.random(len(open_frames)))]))
    return [(i, "saw this view") for i in chosen] + [(i, "saw this view from far off") for i in far]


STRATEGIES: dict[str, Strategy] = {
    "first": first,
    "random": random,
    "recent": recent,
    "fov_random": fov_random,
    "fov_nonadjacent": fov_nonadjacent,
    "fov_nonadjacent_far": fov_nonadjacent_far,
}
"""Strategies by name (Context-as-Memory, section 3.3 and table 3)."""


def _one_a_run(question: Question, count: int) -> list[int]:
    """Up to ``count`` frames, no two adjacent: round by round one of each run, the one that adds most first.

    What a choice adds is the growth of the sum over target views of the square root of the shares that the chosen
    frames have in it: a view seen by few is worth more than one seen by many.
    """
    result: list[int] = []
    gap = question.gap
    covered = question.shares[:, question.last].copy()
    while len(result) < count:
        free = _not_adjacent(question, result, gap)
        if not free.any():
            if gap == 1:
                break
            gap = max(1, gap // 2)
            continue
        runs = _runs(free)
        while free.any() and len(result) < count:
            frames = np.flatnonzero(free)
            seen = question.shares[:, frames]
            gain = (np.sqrt(covered[:, None] + seen) - np.sqrt(covered)[:, None]).sum(axis=0)
            best = int(frames[np.argmax(gain + 1e-6 * question.random.random(len(frames)))])
            result.append(best)
            covered += question.shares[:, best]
            free &= runs != runs[best]
    return result


def _not_adjacent(question: Question, chosen: list[int], gap: int) -> NDArray[np.bool_]:
    """(N,) candidates more than ``gap`` frames from each chosen one; the most recent frame counts as chosen."""
    free: NDArray[np.bool_] = question.candidate.copy()
    for index in [*chosen, question.last]:
        free[max(0, index - gap) : index + gap + 1] = False
    return free


def _runs(free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) number of the run of consecutive free frames that each frame belongs to."""
    return np.asarray(np.cumsum(~free))


def _per_spread(values: FloatArray) -> FloatArray:
    """Values (N, d) divided by the largest extent over the film, so that space and time compare."""
    extent = float(np.ptp(values, axis=0).max())
    return values / extent if extent > 0.0 else values * 0.0


def _nearest(values: FloatArray, of: NDArray[np.int64], to: list[int]) -> FloatArray:
    """(n,) distance of the frames ``of`` to the nearest frame in ``to``."""
    result = np.full(len(of), np.inf)
    for index in to:
        result = np.minimum(result, np.linalg.norm(values[of] - values[index], axis=1))
    return result

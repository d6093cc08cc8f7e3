"""The strategies by name: small functions from a ``RetrievalQuery`` to the frames they choose, most useful first.

Those that do not look where the cameras look, the baselines of the papers, are here; ``fov`` has the paper's rules and
``coverage`` ours. The given frames, that is the most recent one and the pinned ones, are always shown to the model and
are not theirs to choose; frames that may not be used are never in what they choose from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .coverage import coverage
from .fov import fov_nonadjacent, fov_nonadjacent_far, fov_random
from .pool import Integers
from .query import ChosenFrame, RetrievalQuery


def first(query: RetrievalQuery) -> list[ChosenFrame]:
    """Only the first frame of the film: the paper's baseline."""
    return [ChosenFrame(int(index), "first frame") for index in _usable(query, range(query.frames), 1)]


def random(query: RetrievalQuery) -> list[ChosenFrame]:
    """Any frames of the film."""
    if query.frames <= 4096:
        there = np.arange(query.frames)
        return [ChosenFrame(int(i), "random") for i in _usable(query, query.random.permutation(there), query.count)]
    asked = query.random.choice(query.frames, min(query.frames, 64 * query.count + 4096), replace=False)
    return [ChosenFrame(int(index), "random") for index in _usable(query, asked, query.count)]


def recent(query: RetrievalQuery) -> list[ChosenFrame]:
    """The frames just before the most recent one: the DFoT window."""
    before = range(query.given_indices[0] - 1, -1, -1)
    return [ChosenFrame(int(index), "recent") for index in _usable(query, before, query.count)]


def pinned(query: RetrievalQuery) -> list[ChosenFrame]:
    """No more than the most recent frame and the pinned ones, as a story's memory of keyframes."""
    return []


def framepack(query: RetrievalQuery) -> list[ChosenFrame]:
    """Ages that grow geometrically, as FramePack compresses the past: each about twice the one before.

    Where more are asked for than doublings fit into the film, the steps are smaller and reach the first frame.
    """
    newest = query.given_indices[0]
    if query.count < 1 or newest < 1:
        return []
    oldest = min(float(newest), 2.0 ** (query.count - 1))
    wanted = np.unique(np.geomspace(1.0, oldest, query.count).round().astype(np.int64))
    chosen: list[int] = []
    for age in wanted:
        before = range(newest - int(age), -1, -1)
        chosen += [int(index) for index in _usable(query, before, 1, taken=[*query.given_indices, *chosen])]
    return [ChosenFrame(index, "older by a constant factor") for index in chosen]


def _usable(
    query: RetrievalQuery, wanted: range | Integers, count: int, taken: list[int] | None = None
) -> list[int]:
    """The first ``count`` usable frames of ``wanted`` that are not taken, asked for in small portions."""
    result: list[int] = []
    known = set(query.given_indices if taken is None else taken)
    begin = 0
    while begin < len(wanted) and len(result) < count:
        portion = np.asarray(wanted[begin : begin + _PORTION], dtype=np.int64)
        begin += _PORTION
        result += [int(index) for index in portion[query.usable(portion)] if int(index) not in known]
    return result[:count]


_PORTION = 512


@dataclass(frozen=True)
class Strategy:
    """How frames are chosen: ``choose`` gives those that join the given ones, most useful first.

    ``pool`` is how many frames near the coming views it looks at, at most; 0 for one that looks at none. ``about`` says
    what it takes, in the artist's words: FOV Retriever's tooltip is made of it, and its help page is held to it.
    """

    choose: Callable[[RetrievalQuery], list[ChosenFrame]]
    pool: int
    about: str


STRATEGIES: dict[str, Strategy] = {
    "first": Strategy(first, 0, "only the first frame of the film"),
    "random": Strategy(random, 0, "any frames"),
    "recent": Strategy(recent, 0, "the frames just before the newest one"),
    "fov_random": Strategy(fov_random, 2048, "any frames whose view meets a coming one on the map"),
    "fov_nonadjacent": Strategy(fov_nonadjacent, 2048, "of those one of each run of neighbours"),
    "fov_nonadjacent_far": Strategy(
        fov_nonadjacent_far, 2048, "the paper's full rule: of those, and some far off in space and time"
    ),
    "framepack": Strategy(framepack, 0, "frames whose ages grow geometrically"),
    "coverage": Strategy(coverage, 256, "the frames that together show the most of what is coming"),
    "pinned": Strategy(pinned, 0, "only the newest frame and the pinned ones, as Story Keyframes marks them"),
}
"""Strategies by name: those of Context-as-Memory (section 3.3 and table 3), FramePack's ages, ours, and none. The names
are kept in saved workflows: never change one, and add new ones at the end."""

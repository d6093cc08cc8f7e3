"""Strategies that do not look where the cameras look: the baselines of the papers."""

from __future__ import annotations

import numpy as np

from .pool import Choice, Integers, Question


def first(question: Question) -> list[Choice]:
    """Only the first frame of the film: the paper's baseline."""
    return [Choice(int(index), "first frame") for index in _usable(question, range(question.frames), 1)]


def random(question: Question) -> list[Choice]:
    """Any frames of the film."""
    if question.frames <= 4096:
        there = np.arange(question.frames)
        return [Choice(int(i), "random") for i in _usable(question, question.random.permutation(there), question.count)]
    asked = question.random.choice(question.frames, min(question.frames, 64 * question.count + 4096), replace=False)
    return [Choice(int(index), "random") for index in _usable(question, asked, question.count)]


def recent(question: Question) -> list[Choice]:
    """The frames just before the most recent one: the DFoT window."""
    before = range(question.given_indices[0] - 1, -1, -1)
    return [Choice(int(index), "recent") for index in _usable(question, before, question.count)]


def pinned(question: Question) -> list[Choice]:
    """No more than the most recent frame and the pinned ones, as a story's memory of keyframes."""
    return []


def framepack(question: Question) -> list[Choice]:
    """Ages that grow geometrically, as FramePack compresses the past: each about twice the one before.

    With more places than doublings fit into the film, the steps are smaller and reach the first frame.
    """
    newest = question.given_indices[0]
    if question.count < 1 or newest < 1:
        return []
    oldest = min(float(newest), 2.0 ** (question.count - 1))
    wanted = np.unique(np.geomspace(1.0, oldest, question.count).round().astype(np.int64))
    chosen: list[int] = []
    for age in wanted:
        before = range(newest - int(age), -1, -1)
        chosen += [int(index) for index in _usable(question, before, 1, taken=[*question.given_indices, *chosen])]
    return [Choice(index, "older by a constant factor") for index in chosen]


def _usable(
    question: Question, wanted: range | Integers, count: int, taken: list[int] | None = None
) -> list[int]:
    """The first ``count`` usable frames of ``wanted`` that are not taken, asked for in small portions."""
    result: list[int] = []
    known = set(question.given_indices if taken is None else taken)
    begin = 0
    while begin < len(wanted) and len(result) < count:
        portion = np.asarray(wanted[begin : begin + _PORTION], dtype=np.int64)
        begin += _PORTION
        result += [int(index) for index in portion[question.usable(portion)] if int(index) not in known]
    return result[:count]


_PORTION = 512

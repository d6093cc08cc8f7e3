"""Our strategy: the frames that together saw the most of the segment, in 3-D.

What the frames of the pool saw of the coming views is measured (``covisibility``), and frames are taken greedily by
what they add to those before them (``cover``). So frames that complement each other win over frames that are each alike
the target.
"""

from __future__ import annotations

import numpy as np

from .cover import failing_together, greedy_cover
from .covisibility import TOGETHER
from .pool import Choice, Question

LACKING = "shows what the others lack"
HARDLY_MORE = "shows hardly more, to fill k"
ONCE_MORE = "shows it once more, to fill k"

A_TRACE = 0.001
"""Whoever adds less of the segment than this fills a place that would be left over."""


def coverage(question: Question) -> list[Choice]:
    """The frames that together most probably saw the most of the coming views."""
    seen = question.seen
    pool, points = seen.question.pool, seen.points.single()
    places = (pool.poses[:, :3, 3] - points.origin).astype(np.float32)
    together = failing_together(places, TOGETHER * seen.question.scale)
    given = list(question.given)
    rows, adding = greedy_cover(seen.chances, points.weight, together, given, question.count, pool.strength)
    first = [row for row, gain in zip(rows, adding, strict=True) if gain > 0.0]
    gains = dict(zip(first, seen.gains([*given, *first])[len(given) :], strict=True))
    return [
        Choice(int(pool.indices[row]), _rule(gains[row]), gains[row])
        if row in gains
        else Choice(int(pool.indices[row]), ONCE_MORE)
        for row in rows
    ]


def _rule(gain: float) -> str:
    return LACKING if gain >= A_TRACE else HARDLY_MORE

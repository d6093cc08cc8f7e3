"""Our strategy: the frames that together saw the most of the segment, in 3-D.

What the frames of the pool saw of the coming views is measured (``covisibility``), and frames are taken greedily by
what they add to those before them. So frames that complement each other win over frames that are each alike the target.

The cover knows that neighbours fail together. If a frame was chosen for a point and did not see it after all, because
something stands in the way, then a frame from the same place did not see it either, but one from elsewhere may have.
Let v_i be the chance that frame i saw the point and r_ij (1 for frames from one place, falling with the distance
between them) how far i and j fail together. What j can still add at a point is V_j, at first v_j; when i is chosen
it loses

    r_ij min(V_j, v_i) + (1 - r_ij) V_j v_i

- between neighbours only the surplus counts, between strangers the chances are independent. With r = 0 this is the
plain greedy cover of chances, which fills its places with frames from the same spot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .covisibility import TOGETHER
from .points import Float32
from .query import ChosenFrame, RetrievalQuery


def greedy_cover(
    chances: Float32, weight: Float32, together: Float32, given: Sequence[int], count: int,
    strength: NDArray[np.float64],
) -> tuple[list[int], list[float]]:
    """Up to ``count`` rows of ``chances`` (n, P) that add most to the ``given`` rows, in the order taken.

    ``weight`` (P,) says what each point is worth, ``together`` (n, n) how far frames fail together, and ``strength``
    (n,) multiplies what a frame seems to add when the next one is chosen; rows of strength 0 are never taken. When no
    row adds anything, the next ones are chosen as if nothing had been. Returns the rows and what each adds, as a share
    of all points, 0 for those.
    """
    chance = np.ascontiguousarray(chances.T)
    worth = chance * weight[:, None]
    left = worth.copy()
    every = np.ones(len(left), dtype=np.float32)
    liking = strength.astype(np.float32)
    rows: list[int] = []
    gains: list[float] = []

    def take(row: int) -> None:
        # Only points that the frame may have seen lose anything.
        seen = np.flatnonzero(chance[:, row])
        mine = left[seen]
        apart = mine * chance[seen, row, None]
        shared = np.minimum(mine, worth[seen, row, None])
        shared -= apart
        shared *= together[row]
        mine -= apart
        mine -= shared
        left[seen] = mine
        liking[row] = 0.0

    for row in given:
        take(row)
    first, again = True, False
    while len(rows) < count:
        gain = every @ left
        liked = gain * liking
        most = liked.max(initial=0.0)
        if most <= LEAST_GAIN:
            if again:
                break
            # All is shown as well as it can be: the places left over show it once more.
            left[:] = worth
            again, first = True, False
            continue
        # Of equals the first: the last digit is another on another processor.
        best = int(np.argmax(liked >= most * EQUAL))
        rows.append(best)
        gains.append(float(gain[best]) if first else 0.0)
        again = False
        take(best)
    return rows, gains


LEAST_GAIN = 1e-7
"""A frame that adds less, as a share of all points, adds nothing."""

EQUAL = np.float32(1.0 - 1e-5)
"""Frames of which one adds at least this part of what the other adds are equals."""


def failing_together(places: Float32, reach: float) -> Float32:
    """(n, n) ``exp(-distance / reach)`` between places (n, 3)."""
    square = (places**2).sum(axis=1)
    apart = square[:, None] + square - 2.0 * (places @ places.T)
    return np.asarray(np.exp(np.sqrt(np.maximum(apart, 0.0)) * np.float32(-1.0 / reach)), dtype=np.float32)


LACKING = "shows what the others lack"
HARDLY_MORE = "shows hardly more, to fill k"
ONCE_MORE = "shows it once more, to fill k"

A_TRACE = 0.001
"""Whoever adds less of the segment than this fills a place that would be left over."""


def coverage(query: RetrievalQuery) -> list[ChosenFrame]:
    """The frames that together most probably saw the most of the coming views."""
    seen = query.seen
    pool, points = seen.comparison.pool, seen.points.single()
    places = (pool.poses[:, :3, 3] - points.origin).astype(np.float32)
    together = failing_together(places, TOGETHER * seen.comparison.scale)
    given = list(query.given)
    rows, adding = greedy_cover(seen.chances, points.weight, together, given, query.count, pool.strength)
    first = [row for row, gain in zip(rows, adding, strict=True) if gain > 0.0]
    gains = dict(zip(first, seen.gains([*given, *first])[len(given) :], strict=True))
    return [
        ChosenFrame(int(pool.indices[row]), LACKING if gains[row] >= A_TRACE else HARDLY_MORE, gains[row])
        if row in gains
        else ChosenFrame(int(pool.indices[row]), ONCE_MORE)
        for row in rows
    ]

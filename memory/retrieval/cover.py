"""Greedy cover of points that frames saw with a chance, knowing that neighbours fail together.

If a frame was chosen for a point and did not see it after all, because something stands in the way, then a frame from
the same place did not see it either, but one from elsewhere may have. Let v_i be the chance that frame i saw the point
and r_ij (1 for frames from one place, falling with the distance between them) how far i and j fail together. What j can
still add at a point is V_j, at first v_j; when i is chosen it loses

    r_ij min(V_j, v_i) + (1 - r_ij) V_j v_i

- between neighbours only the surplus counts, between strangers the chances are independent. With r = 0 this is the
plain greedy cover of chances, which fills its places with frames from the same spot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from .points import Float32


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
        best = int(np.argmax(liked))
        if liked[best] <= LEAST_GAIN:
            if again:
                break
            # All is shown as well as it can be: the places left over show it once more.
            left[:] = worth
            again, first = True, False
            continue
        rows.append(best)
        gains.append(float(gain[best]) if first else 0.0)
        again = False
        take(best)
    return rows, gains


LEAST_GAIN = 1e-7
"""A frame that adds less, as a share of all points, adds nothing."""


def failing_together(places: Float32, reach: float) -> Float32:
    """(n, n) ``exp(-distance / reach)`` between places (n, 3)."""
    square = (places**2).sum(axis=1)
    apart = square[:, None] + square - 2.0 * (places @ places.T)
    return np.asarray(np.exp(np.sqrt(np.maximum(apart, 0.0)) * np.float32(-1.0 / reach)), dtype=np.float32)


def gains_in_order(chances: FloatArray, weight: FloatArray, places: FloatArray, reach: float) -> FloatArray:
    """(n,) what each row of ``chances`` (n, P) adds to the rows before it, as a share of all points.

    As ``greedy_cover`` reckons, in float64 and row by row, so that the figures are the same on every machine. Frames at
    ``places`` (n, 3) fail together as ``failing_together`` says.
    """
    worth = chances * weight
    left = worth.copy()
    for row in range(len(left) - 1):
        rest = left[row + 1 :]
        apart = rest * chances[row]
        distance = np.linalg.norm(places[row + 1 :] - places[row], axis=1)
        rest -= apart + np.exp(-distance / reach)[:, None] * (np.minimum(rest, worth[row]) - apart)
    return np.asarray(left.sum(axis=1))

"""Fair thinning of candidates: a limit shared among groups (grid cells), each of which gets one before any gets two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .cones import Cones, Float32, directions

Integers = NDArray[np.int64]
Usable = Callable[[Integers], NDArray[np.bool_]]
CELL = 0.125
"""Size of the cells in which cameras count as much the same, in parts of the reach."""
WIDEN, MOST_ASKED = 8, 32768
_MOST_CELLS = 2**17


def fair_shares(counts: Integers, total: int) -> Integers:
    """(G,) how many of ``counts`` (G,) each group keeps, so that the sum is at most ``total``, as even as can be.

    What remains after equal shares goes to groups spread evenly over those that have more.
    """
    if counts.sum() <= total:
        return counts
    ascending = np.sort(counts)
    below = np.concatenate([[0], np.cumsum(ascending)[:-1]])
    left = np.arange(len(counts), 0, -1)
    # The smallest group that must give something: all groups from there on get the same share.
    cut = int(np.argmax(below + ascending * left > total))
    share = int((total - below[cut]) // left[cut])
    result = np.minimum(counts, share)
    hungry = np.flatnonzero(counts > share)
    rest = total - int(result.sum())
    result[hungry[np.arange(rest) * len(hungry) // max(rest, 1)]] += 1
    return result


def spread(starts: Integers, counts: Integers, shares: Integers) -> tuple[Integers, Integers]:
    """Group and row of ``shares`` (G,) members of each group, evenly spread and always with the first one.

    A group lies at ``starts`` (G,) and has ``counts`` (G,) members.
    """
    group = np.repeat(np.arange(len(shares)), shares)
    number = np.arange(len(group)) - np.repeat(np.cumsum(shares) - shares, shares)
    return group, starts[group] + number * counts[group] // np.maximum(shares[group], 1)


def sampled(
    starts: Integers, counts: Integers, oldest: Integers, shares: Integers, usable: Usable | None
) -> Integers:
    """Places of ``shares`` (G,) members of each group, the ``oldest`` (G,) among them, ascending.

    Groups lie at ``starts`` (G,) and have ``counts`` (G,) members; ``usable`` says of rows (n,) which may be taken. A
    group of whose sample none is usable is asked for eight times as many, and again, up to ``MOST_ASKED`` in all.
    """
    group, rows = spread(starts, counts, shares)
    some = np.flatnonzero((shares > 0) & (shares < counts))
    rows[(np.cumsum(shares) - shares)[some]] = oldest[some]
    if usable is None:
        return np.unique(rows)
    good = usable(rows)
    found, asked, left = [rows[good]], shares, MOST_ASKED
    while True:
        barren = np.bincount(group[good], minlength=len(shares)) == 0
        asked = np.where(barren & (asked > 0) & (asked < counts), np.minimum(counts, WIDEN * asked), 0)
        asked = fair_shares(asked, left)
        left -= int(asked.sum())
        if not asked.any():
            return np.unique(np.concatenate(found))
        group, rows = spread(starts, counts, asked)
        good = usable(rows)
        there = np.bincount(group[good], minlength=len(shares))
        _, kept = spread(np.cumsum(there) - there, there, np.minimum(there, shares))
        found.append(rows[good][kept])


def thinned(frames: Integers, cameras: Cones, origin: Float32, reach: float, limit: int) -> Integers:
    """At most ``limit`` of ``frames`` (n,), ascending, whose ``cameras`` are spread best over cells and headings.

    Of each cell and heading the oldest frame is kept first, then others spread over time: where a place was shown
    first it was made up, and each later frame of it is a copy of a copy. Cells are doubled in size
    until there are no more of them than the limit.
    """
    if len(frames) <= limit:
        return frames
    grid = np.floor((cameras.position - origin) / np.float32(CELL * reach) + np.float32(0.37))
    cell = np.clip(grid, -_MOST_CELLS, _MOST_CELLS).astype(np.int64)
    cell -= cell.min(axis=0)
    look = directions(cameras.axis)
    while True:
        size = cell.max(axis=0) + 1
        key = ((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]) * 64 + look
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        if len(starts) <= limit or not cell.any():
            break
        cell >>= 1
    counts = np.diff(np.append(starts, len(frames)))
    _, rows = spread(starts, counts, fair_shares(counts, limit))
    return np.sort(frames[order[rows]])

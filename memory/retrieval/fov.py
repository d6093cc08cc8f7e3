"""The paper's rules: frames whose field of view meets a coming one (Context-as-Memory, section 3.3 and table 3)."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .pool import BoolArray, Integers
from .query import ChosenFrame, RetrievalQuery

MEETS, FAR_OFF = "views meet on the map", "views meet on the map, far off"
"""The paper's rule looks from above: what it takes for seen may lie above or below the picture."""


def fov_random(query: RetrievalQuery) -> list[ChosenFrame]:
    """Any frames that saw part of the segment."""
    there = np.flatnonzero(_open(query))
    count = min(query.count, len(there))
    return _choices(query, [int(i) for i in query.random.choice(there, count, replace=False)], MEETS)


def fov_nonadjacent(query: RetrievalQuery) -> list[ChosenFrame]:
    """One frame of each run of consecutive frames that saw part of the segment, spread over its views.

    While fewer are chosen than asked for, the chosen frames and their neighbours are taken out of the runs and the rest
    is gone through again, so no two chosen frames are ever adjacent.
    """
    return _choices(query, _one_a_run(query, query.count), MEETS)


def fov_nonadjacent_far(query: RetrievalQuery) -> list[ChosenFrame]:
    """As ``fov_nonadjacent``; a share of the choice goes to frames far off in space and time from those chosen."""
    distant = round(query.count * query.far_share)
    chosen = _one_a_run(query, query.count - distant)
    far: list[int] = []
    position, time = _per_spread(query.pool.poses[:, :3, 3]), _per_spread(query.pool.times[:, None])
    while len(far) < distant:
        open_frames = np.flatnonzero(_not_adjacent(query, chosen + far, 1))
        if not len(open_frames):
            break
        known = [*chosen, *far, *query.given]
        distance = np.hypot(_nearest(position, open_frames, known), _nearest(time, open_frames, known))
        distance *= query.pool.strength[open_frames]
        far.append(int(open_frames[np.argmax(distance + 1e-6 * query.random.random(len(open_frames)))]))
    return _choices(query, chosen, MEETS) + _choices(query, far, FAR_OFF)


def _choices(query: RetrievalQuery, rows: list[int], rule: str) -> list[ChosenFrame]:
    return [ChosenFrame(int(query.pool.indices[row]), rule) for row in rows]


def _open(query: RetrievalQuery) -> BoolArray:
    """(n,) candidates of the pool that are not given anyway."""
    free: BoolArray = query.candidate.copy()
    free[list(query.given)] = False
    return free


def _one_a_run(query: RetrievalQuery, count: int) -> list[int]:
    """Up to ``count`` rows of the pool, no two adjacent: round by round one of each run, the best first.

    What a choice adds is the growth of the sum over target views of the square root of the shares that the chosen
    frames have in it: a view seen by few is worth more than one seen by many.
    """
    result: list[int] = []
    gap = query.gap
    covered = query.shares[:, list(query.given)].sum(axis=1)
    while len(result) < count:
        free = _not_adjacent(query, result, gap)
        if not free.any():
            if gap == 1:
                break
            gap = max(1, gap // 2)
            continue
        runs = _runs(query, free)
        while free.any() and len(result) < count:
            rows = np.flatnonzero(free)
            seen = query.shares[:, rows]
            gain = (np.sqrt(covered[:, None] + seen) - np.sqrt(covered)[:, None]).sum(axis=0)
            liked = gain * query.pool.strength[rows]
            best = int(rows[np.argmax(liked + 1e-6 * query.random.random(len(rows)))])
            result.append(best)
            covered += query.shares[:, best]
            free &= runs != runs[best]
    return result


def _not_adjacent(query: RetrievalQuery, chosen: list[int], gap: int) -> BoolArray:
    """(n,) candidates more than ``gap`` frames of the film from each chosen and given one."""
    free = _open(query)
    indices = query.pool.indices
    for row in [*chosen, *query.given]:
        free &= np.abs(indices - indices[row]) > gap
    return free


def _runs(query: RetrievalQuery, free: BoolArray) -> Integers:
    """(n,) number of the run of consecutive free frames that each frame belongs to.

    A pool may hold only a few frames of a stretch of film: frames that follow each other in the pool are consecutive
    unless the film jumps on by more than twice the gap.
    """
    jumps = np.diff(query.pool.indices, prepend=query.pool.indices[:1]) > 2 * query.gap
    return np.asarray(np.cumsum(~free | jumps))


def _per_spread(values: FloatArray) -> FloatArray:
    """Values (n, d) divided by the largest extent over the pool, so that space and time compare."""
    extent = float(np.ptp(values, axis=0).max())
    return values / extent if extent > 0.0 else values * 0.0


def _nearest(values: FloatArray, of: Integers, to: list[int]) -> FloatArray:
    """(m,) distance of the values ``of`` to the nearest of ``to``."""
    result = np.full(len(of), np.inf)
    for row in to:
        result = np.minimum(result, np.linalg.norm(values[of] - values[row], axis=1))
    return result

"""Which frames a memory can best do without: those that another frame, close by and facing the same way, replaces."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ..cameras.camera import FloatArray

TURN_DEGREES = 30.0
"""Turning by so much makes a view as new as walking a quarter of the way that the camera usually is from its centre."""


def view_points(poses: FloatArray) -> FloatArray:
    """(n, 6): where each camera (n, 4, 4) stands and where it looks, so that near points are views alike.

    Distance 1 is a turn of ``TURN_DEGREES``, or a step of a quarter of the path's spread (the root mean square distance
    from its median place), whatever the scene's unit is.
    """
    places, forward = poses[:, :3, 3], poses[:, :3, 2]
    away = places - np.median(places, axis=0)
    spread = float(np.sqrt((away**2).sum(axis=1).mean()))
    turn = 2.0 * np.sin(np.deg2rad(TURN_DEGREES) / 2.0)
    return np.concatenate([away / (spread / 4.0 if spread > 1e-9 else 1.0), forward / turn], axis=1)


def most_redundant(points: FloatArray, removable: ArrayLike, weight: ArrayLike | None = None) -> Iterator[int]:
    """Indices of ``points`` (n, d) in the order in which they can best be spared, as long as any is ``removable`` (n,).

    Greedy and exact: each time the point whose nearest remaining neighbour is closest, and of two alike the older one.
    ``weight`` (n,) above 0, 1 if left out, multiplies a point's distance: points of little weight go sooner. About
    O(log n) for each.
    """
    free = np.asarray(removable, dtype=bool)
    weights = np.ones(len(points)) if weight is None else np.asarray(weight, dtype=np.float64)
    there = np.ones(len(points), dtype=bool)
    for index in _repeated(points, free).tolist():
        there[index] = False
        yield index
    nearest = _Nearest(points, np.flatnonzero(there))
    members, distances, neighbours = nearest.at_first()
    heap = [(float(distance * weights[i]), int(i), int(neighbour))
            for i, distance, neighbour in zip(members, distances, neighbours, strict=True) if free[i]]
    heapq.heapify(heap)
    left = nearest.count
    while heap:
        _, index, neighbour = heapq.heappop(heap)
        if neighbour >= 0 and not there[neighbour]:
            # Distances only grow as points go, so the first one that is still true is the smallest of all.
            distance, other = nearest.of(index, there)
            heapq.heappush(heap, (distance * weights[index], index, other))
            continue
        there[index] = False
        left -= 1
        if left < nearest.count // 2:
            nearest = _Nearest(points, np.flatnonzero(there))
        yield index


def _repeated(points: FloatArray, free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The free points, oldest first, of which another lies in the very same place and stays."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    group = group.reshape(-1)
    newest = np.zeros(len(points), dtype=np.int64)
    np.maximum.at(newest, group, np.arange(len(points)))
    stays = np.zeros(len(points), dtype=bool)
    stays[group[~free]] = True
    return np.flatnonzero(free & (stays[group] | (newest[group] != np.arange(len(points)))))


class _Nearest:
    """The nearest others of points; asks a tree of those that are there for more and more until one still is."""

    def __init__(self, points: FloatArray, members: NDArray[np.int64]) -> None:
        self._members = members
        self._points, self.count = points, len(members)
        self._tree = cKDTree(points[members])

    def at_first(self) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
        """The members, and the distance and index of each one's nearest other; infinity and -1 for one alone."""
        if self.count < 2:
            return self._members, np.full(self.count, np.inf), np.full(self.count, -1, dtype=np.int64)
        distances, found = self._tree.query(self._points[self._members], k=2)
        return self._members, distances[:, 1], self._members[found[:, 1]]

    def of(self, index: int, there: NDArray[np.bool_]) -> tuple[float, int]:
        """Distance and index of the nearest other point that is ``there``; infinity and -1 if none is."""
        asked = 4
        while True:
            distances, found = self._tree.query(self._points[index], k=min(asked, self.count))
            others = self._members[np.atleast_1d(found)]
            good = np.flatnonzero(there[others] & (others != index))
            if len(good):
                return float(np.atleast_1d(distances)[good[0]]), int(others[good[0]])
            if asked >= self.count:
                return np.inf, -1
            asked *= 4

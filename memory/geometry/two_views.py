"""How two views of a clip lie to each other, from the same points in both: by rotation alone, or with a way between."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray

SEED = 18
ROUNDS = 8
FINENESS = 5.0
"""Parts of the picture to a slope of 1."""
MOTIONS, LEAST, OTHER_SHARE = 3, 12, 0.15
"""Up to so many motions are looked for, in at least so many points, as long as at least such a share is left."""


def rays(slopes: FloatArray) -> FloatArray:
    """Unit rays (n, 3) of slopes (n, 2)."""
    ahead = np.concatenate([slopes, np.ones((len(slopes), 1))], axis=1)
    return np.asarray(ahead / np.linalg.norm(ahead, axis=1, keepdims=True))


def cells(slopes: FloatArray) -> NDArray[np.int64]:
    """In which part of the picture, of some dozens, each of ``slopes`` (n, 2) lies: numbers (n,)."""
    return np.asarray(np.floor(slopes * FINENESS).astype(np.int64) @ (1000, 1) + 500_500)


def crowd(slopes: FloatArray) -> FloatArray:
    """How many of the slopes (n, 2) lie in the same part of the picture as each (n,)."""
    _, which, count = np.unique(cells(slopes), return_inverse=True, return_counts=True)
    return np.asarray(count[which.reshape(-1)], dtype=np.float64)


def turn_between(
    one: FloatArray, other: FloatArray, trust: FloatArray, focal: float
) -> tuple[FloatArray, FloatArray]:
    """The rotation (3, 3) that takes rays of the second view into the first, and how many pixels (n,) each is off it.

    ``one`` and ``other`` (n, 2) are slopes of the same points, with the ``trust`` (n, 2, 2) of the second. It is the
    turn that most of the picture agrees on (a robust solution of Wahba's problem), as if all were far away.
    """
    first, second = rays(one), rays(other)
    sure = np.abs(np.linalg.det(trust)) / crowd(one)
    weight = sure
    turn, off = np.eye(3), np.zeros(len(first))
    for _ in range(ROUNDS):
        u, _, vt = np.linalg.svd((first * weight[:, None]).T @ second)
        turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        seen = first @ turn
        ahead = np.maximum(seen[:, 2:], 1e-3)
        off = np.linalg.norm((trust @ (seen[:, :2] / ahead - other)[:, :, None])[:, :, 0], axis=1) * focal
        weight = sure / (1.0 + np.square(off / max(0.5, 1.5 * float(np.median(off)))))
    return turn, off


def ways_between(one: FloatArray, other: FloatArray, focal: float) -> list[tuple[FloatArray, FloatArray]]:
    """Each way the second view may lie to the first: rotation (3, 3) into the first view's axes, and place (3,) there.

    From the essential matrix and, for flat scenes, where that has two solutions, from the homography of a plane; then
    the same for the points that do not agree, which may be the scene behind something that moves. The place is of
    length 1. The same input gives the same result.
    """
    found: list[tuple[FloatArray, FloatArray]] = []
    for _ in range(MOTIONS):
        if len(one) < LEAST:
            break
        one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
        cv2.setRNGSeed(SEED)
        essential, inside = cv2.findEssentialMat(
            one, other, np.eye(3), method=cv2.RANSAC, prob=0.9999, threshold=1.0 / focal, maxIters=2000
        )
        if essential is None:
            break
        for part in np.split(essential, len(essential) // 3):
            _, turn, way, _ = cv2.recoverPose(part, one, other, np.eye(3), mask=inside.copy())
            found.append((turn.T, -turn.T @ way[:, 0]))
        cv2.setRNGSeed(SEED)
        plane, _ = cv2.findHomography(one, other, cv2.RANSAC, 2.0 / focal, maxIters=2000, confidence=0.9999)
        if plane is not None:
            _, turns, ways, _ = cv2.decomposeHomographyMat(plane, np.eye(3))
            for turn, way in zip(turns, ways, strict=True):
                length = float(np.linalg.norm(way))
                if length > 1e-6 and np.isfinite(turn).all() and np.linalg.det(turn) > 0.5:
                    found.append((turn.T, -turn.T @ way[:, 0] / length))
        rest = inside[:, 0] == 0
        if rest.mean() < OTHER_SHARE:
            break
        one, other = one[rest], other[rest]
    return found

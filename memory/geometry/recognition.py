"""Remembered frames found again in a clip: where a camera must stand to see what they show, by their depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from ..cameras.projection import split, to_world, unproject
from .reconstruction import Reconstruction
from .tracks import Tracks, looked_at
from .two_views import SEED

FEATURES = 2500
RATIO = 0.8
"""How much better than the second best a match must be (Lowe 2004, section 7.1)."""
LEAST_FOUND = 18
STEP = 1.08
"""Ratio of neighbouring depths from which on there is an edge between them: depth there belongs to neither side."""


@dataclass(frozen=True, eq=False)
class Remembered:
    """Frames whose cameras are known: ``pictures`` (n, H, W, 3) uint8 RGB, ``poses`` (n, 4, 4), ``intrinsics`` (n, 4),
    and ``depth`` (n, h, w) along the optical axis in scene units, of any size, NaN where it is unknown."""

    pictures: NDArray[np.uint8]
    poses: FloatArray
    intrinsics: FloatArray
    depth: NDArray[np.floating]

    def __post_init__(self) -> None:
        frames = len(self.pictures)
        if not (len(self.poses) == len(self.intrinsics) == len(self.depth) == frames):
            raise ValueError(
                f"There are {frames} remembered pictures, {len(self.poses)} cameras and {len(self.depth)} depth maps: "
                "give one of each for every frame."
            )


@dataclass(frozen=True, eq=False)
class Found:
    """What a frame of a clip shows again: ``positions`` (n, 2) in the picture, the ``points`` (n, 3) of the world that
    are seen there, and the ``pose`` (4, 4) that the frame's camera must then have."""

    frame: int
    positions: FloatArray
    points: FloatArray
    pose: FloatArray


def recognised(
    pictures: NDArray[np.uint8], intrinsics: FloatArray, remembered: Remembered, frames: Sequence[int]
) -> list[Found]:
    """Those of the ``frames`` of a clip, pictures (F, H, W, 3) and intrinsics (F, 4), in which enough of the remembered
    ones is found again. Features are compared (SIFT), and a camera must agree with at least ``LEAST_FOUND``."""
    sift = cv2.SIFT.create(FEATURES)
    known = [
        (*_features(sift, picture), depth, pose, own)
        for picture, depth, pose, own in zip(
            remembered.pictures, remembered.depth, remembered.poses, remembered.intrinsics, strict=True
        )
    ]
    found = []
    for frame in frames:
        positions, described = _features(sift, pictures[frame])
        here: list[FloatArray] = []
        there: list[FloatArray] = []
        for their_positions, their_described, depth, pose, their_intrinsics in known:
            mine, theirs = _matches(described, their_described)
            far = depth_at(np.asarray(depth, dtype=np.float64), their_positions[theirs])
            good = np.isfinite(far)
            u, v = their_positions[theirs[good]].T
            local = np.stack(unproject(u, v, far[good], split(their_intrinsics)), axis=-1)
            here.append(positions[mine[good]])
            there.append(to_world(local, pose))
        one = _resected(frame, np.concatenate(here), np.concatenate(there), intrinsics[frame])
        if one is not None:
            found.append(one)
    return found


def depth_at(depth: FloatArray, positions: FloatArray) -> FloatArray:
    """Depth (n,) at ``positions`` (n, 2) in the picture of a map (h, w); NaN where it is unknown or beside an edge.

    What lies between the middles of its pixels is exact on flat surfaces, whose inverse depth is linear in a picture.
    """
    height, width = depth.shape
    at = positions * (width, height) - 0.5
    column, row = np.clip(np.floor(at).astype(int), 0, (max(0, width - 2), max(0, height - 2))).T
    right, below = np.minimum(column + 1, width - 1), np.minimum(row + 1, height - 1)
    corners = np.stack([depth[row, column], depth[row, right], depth[below, column], depth[below, right]])
    a, b = (at.T - (column, row)).clip(-0.5, 1.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse = 1.0 / corners
        mixed = (inverse[0] * (1 - a) + inverse[1] * a) * (1 - b) + (inverse[2] * (1 - a) + inverse[3] * a) * b
        smooth = (corners > 0.0).all(axis=0) & (corners.max(axis=0) < STEP * corners.min(axis=0)) & (mixed > 0.0)
        return np.where(smooth, 1.0 / mixed, np.nan)


def _features(sift: cv2.SIFT, picture: NDArray[np.uint8]) -> tuple[FloatArray, NDArray[np.float32]]:
    """Picture positions (n, 2) of features, and what they look like (n, 128)."""
    grey = looked_at(picture)
    points, described = sift.detectAndCompute(grey, None)
    if described is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    positions = (np.array([point.pt for point in points]) + 0.5) / (grey.shape[1], grey.shape[0])
    described = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-6))
    return positions, described.astype(np.float32)


def _matches(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (m,) of features that are each other's best match, and clearly so."""
    if min(len(one), len(other)) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    alike = one @ other.T
    best = alike.argmax(axis=1)
    rows = np.arange(len(one))
    first = alike[rows, best]
    alike[rows, best] = -1.0
    second = alike.max(axis=1)
    alike[rows, best] = first
    far, next_far = (np.sqrt(np.maximum(0.0, 2.0 - 2.0 * value)) for value in (first, second))
    good = (far < RATIO * next_far) & (alike.argmax(axis=0)[best] == rows)
    return rows[good], best[good]


def _resected(frame: int, positions: FloatArray, points: FloatArray, intrinsics: FloatArray) -> Found | None:
    if len(positions) < LEAST_FOUND:
        return None
    focal = 832.0 * float(intrinsics[0])
    slopes = (positions - intrinsics[2:]) / intrinsics[:2]
    cv2.setRNGSeed(SEED)
    good, turn, way, inside = cv2.solvePnPRansac(
        points, slopes, np.eye(3), None, iterationsCount=3000, reprojectionError=3.0 / focal, confidence=0.9999,
        flags=cv2.SOLVEPNP_EPNP,
    )  # fmt: skip
    if not good or inside is None or len(inside) < LEAST_FOUND:
        return None
    inside = inside[:, 0]
    turn, way = cv2.solvePnPRefineLM(points[inside], slopes[inside], np.eye(3), None, turn, way)
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(turn)[0].T
    pose[:3, 3] = -pose[:3, :3] @ way[:, 0]
    return Found(frame, positions[inside], points[inside], pose) if np.isfinite(pose).all() else None


@dataclass(frozen=True, eq=False)
class Similarity:
    """How a clip lies in the world: X_world = scale * turn @ X_clip + place."""

    scale: float
    turn: FloatArray
    place: FloatArray

    def poses(self, turns: FloatArray, positions: FloatArray) -> FloatArray:
        """Poses (F, 4, 4) in the world of cameras (F, 3, 3) and (F, 3) of the clip."""
        result = np.tile(np.eye(4), (len(turns), 1, 1))
        result[:, :3, :3] = self.turn @ turns
        result[:, :3, 3] = self.scale * positions @ self.turn.T + self.place
        return result


def aligned(
    made: Reconstruction,
    tracks: Tracks,
    intrinsics: FloatArray,
    found: Sequence[tuple[Found, NDArray[np.int64]]],
    scale: float,
) -> Similarity | None:
    """How a reconstruction lies in the world, from what was found again in it; None where that does not fit together.

    ``found`` comes with the numbers (n,) that its points have in the ``tracks``; ``intrinsics`` (F, 4). ``scale`` is
    taken where the camera only turns, and as the beginning where few points have depth of their own.
    """
    found = [(one, numbers) for one, numbers in found if made.reached[one.frame]]
    if not found:
        return None
    world = np.full((tracks.points, 3), np.nan)
    for one, numbers in found:
        world[numbers] = one.points
    use = np.flatnonzero(np.isfinite(world[tracks.point, 0]) & made.reached[tracks.frame])
    use = use[:: max(1, len(use) // 4000)]
    frame, seen = tracks.frame[use], world[tracks.point[use]]
    k = intrinsics[frame]
    slope = (tracks.place[use] - k[:, 2:]) / k[:, :2]
    focal = 832.0 * float(np.median(intrinsics[:, 0]))
    columns = 6 if made.turns_only else 7

    def off(values: FloatArray, start: Similarity) -> FloatArray:
        here = _stepped(start, values)
        local = (seen - here.place) @ here.turn / here.scale - made.place[frame]
        local = (local[:, None] @ made.turn[frame])[:, 0]
        wrong = (local[:, :2] / np.maximum(local[:, 2:], 1e-3) - slope) * focal
        return np.asarray((tracks.trust[use] @ wrong[:, :, None]).reshape(-1)).clip(-1e3, 1e3)

    best, most = None, 0
    for one, numbers in found:
        turn = one.pose[:3, :3] @ made.turn[one.frame].T
        size = scale if made.turns_only else _ratio(made, one, numbers, scale)
        start = Similarity(size, turn, one.pose[:3, 3] - size * turn @ made.place[one.frame])
        fit = least_squares(off, np.zeros(columns), loss="cauchy", f_scale=1.0, args=(start,), max_nfev=40)
        inside = int((np.linalg.norm(off(fit.x, start).reshape(-1, 2), axis=1) < 3.0).sum())
        if inside > most:
            best, most = _stepped(start, fit.x), inside
    return best if most >= max(LEAST_FOUND, 0.4 * len(use)) else None


def _stepped(start: Similarity, values: FloatArray) -> Similarity:
    scale = start.scale * float(np.exp(np.clip(values[6], -3, 3))) if len(values) > 6 else start.scale
    return Similarity(scale, start.turn @ Rotation.from_rotvec(values[:3]).as_matrix(), start.place + values[3:6])


def _ratio(made: Reconstruction, one: Found, numbers: NDArray[np.int64], scale: float) -> float:
    """How many scene units one unit of the clip is: known depth over the clip's own, in the frame that both are of."""
    _, mine, theirs = np.intersect1d(numbers, made.point, return_indices=True)
    if len(mine) < 5:
        return scale
    points = made.points
    place = points.centre[theirs] + points.direction[theirs] / points.value[theirs, 2:]
    depth = ((place - made.place[one.frame]) @ made.turn[one.frame])[:, 2]
    known = ((one.points[mine] - one.pose[:3, 3]) @ one.pose[:3, :3])[:, 2]
    good = depth > 1e-6
    return float(np.median(known[good] / depth[good])) if good.any() else scale

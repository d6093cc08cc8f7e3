"""Cameras and points refined together, so that the points are seen where they were seen: bundle adjustment.

Levenberg and Marquardt's method with a robust loss, by the Schur complement of the points, whose part of the equations
is block diagonal (Triggs et al., Bundle Adjustment: A Modern Synthesis, sections 4 and 6). A point is a ray of the
camera that saw it first and its inverse depth on it, so that one at any distance, the horizon too, is a plain number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray

LOSS = 0.5
"""Pixels of a picture 832 wide from which on an observation pulls no harder."""
PRIOR = 3.0
"""How far from the usual inverse depth, in multiples of it, an unseen one is believed to lie."""

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Points:
    """Points on rays: X = centre + turn @ (a, b, 1) / rho, or a direction where rho is 0.

    ``centre`` (P, 3) and ``turn`` (P, 3, 3) are the camera that the ray is of, held still; ``value`` (P, 3) is a, b and
    rho. ``usual`` is the inverse depth that one without parallax is believed to have; ``known`` (P,) marks points whose
    place is given and does not change.
    """

    centre: FloatArray
    turn: FloatArray
    value: FloatArray
    usual: float
    known: NDArray[np.bool_]

    @property
    def direction(self) -> FloatArray:
        """Rays (P, 3) in the world, of depth 1 in the camera that they are of."""
        rays = np.concatenate([self.value[:, :2], np.ones((len(self.value), 1))], axis=1)
        return np.asarray((self.turn @ rays[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class Cameras:
    """``turn`` (F, 3, 3) camera to world and ``place`` (F, 3)."""

    turn: FloatArray
    place: FloatArray


@dataclass(frozen=True, eq=False)
class Seen:
    """Observations: ``frame`` (M,) and ``point`` (M,) index cameras and points, ``slope`` (M, 2) is x / z and y / z,
    ``trust`` (M, 2, 2) as in ``Tracks``, ``focal`` pixels of a slope of 1."""

    frame: Index
    point: Index
    slope: FloatArray
    trust: FloatArray
    focal: float


def residuals(cameras: Cameras, points: Points, seen: Seen) -> FloatArray:
    """How far off (M, 2) each point is seen, in pixels, as far as that is trusted; what is behind the camera is far."""
    return _residuals(cameras, points, seen)[0]


def refined(
    cameras: Cameras,
    points: Points,
    seen: Seen,
    fixed: NDArray[np.bool_],
    steps: int = 10,
    turn_only: bool = False,
) -> tuple[Cameras, Points]:
    """Cameras and points after some steps. ``fixed`` (F,) cameras stay where they are; with ``turn_only`` all do, and
    turn."""
    if fixed.all() or not len(seen.frame):
        return cameras, points
    damping = 1e-3
    cost = _cost(cameras, points, seen)
    for _ in range(steps):
        moved = None
        equations = _Equations.of(cameras, points, seen, fixed, turn_only)
        for _ in range(6):
            step = equations.step(damping)
            if step is not None:
                trial = _moved(cameras, step[0]), _deeper(points, step[1])
                less = _cost(*trial, seen)
                if less < cost:
                    moved = trial
                    break
            damping *= 8.0
        if moved is None:
            break
        (cameras, points), gain = moved, cost - less
        cost, damping = less, max(damping / 6.0, 1e-9)
        if gain < 1e-5 * cost:
            break
    return cameras, points


def spread(cameras: Cameras, points: Points, seen: Seen, fixed: NDArray[np.bool_], turn_only: bool) -> FloatArray:
    """Covariance (F, 6, 6) of each camera's turn (radians, in its own axes) and place, for observations that are off
    by one pixel; zeros for ``fixed`` ones. The scale, which no picture tells, is taken as known."""
    if fixed.all() or not len(seen.frame):
        return np.zeros((len(fixed), 6, 6))
    return _Equations.of(cameras, points, seen, fixed, turn_only).covariance(cameras.place)


def _residuals(cameras: Cameras, points: Points, seen: Seen) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Residuals (M, 2) in pixels, the points in the cameras' axes (M, 3), and points less cameras (M, 3)."""
    away = points.centre[seen.point] - cameras.place[seen.frame]
    ray = points.direction[seen.point] + points.value[seen.point, 2:] * away
    local = (ray[:, None] @ cameras.turn[seen.frame])[:, 0]
    depth = np.maximum(local[:, 2:], 1e-3)
    off = (local[:, :2] / depth - seen.slope) * seen.focal
    return (seen.trust @ off[:, :, None])[:, :, 0], local, away


def _loss(off: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cauchy's loss (M,) of residuals (M, 2), and the weight (M,) that makes a plain square of it."""
    square = np.square(off).sum(axis=1) / LOSS**2
    return 0.5 * LOSS**2 * np.log1p(square), 1.0 / (1.0 + square)


def _cost(cameras: Cameras, points: Points, seen: Seen) -> float:
    loss, _ = _loss(_residuals(cameras, points, seen)[0])
    usual = np.square((points.value[~points.known, 2] / points.usual - 1.0) / PRIOR)
    return float(loss.sum() + 0.5 * usual.sum())


def _moved(cameras: Cameras, step: FloatArray) -> Cameras:
    turned = cameras.turn @ Rotation.from_rotvec(step[:, :3]).as_matrix()
    return Cameras(turned, cameras.place + step[:, 3:])


def _deeper(points: Points, step: FloatArray) -> Points:
    value = points.value + step
    value[:, 2] = np.maximum(value[:, 2], 1e-4 * points.usual)
    return replace(points, value=value)


@dataclass(frozen=True, eq=False)
class _Equations:
    """The normal equations: ``camera`` (F, 6, 6), ``point`` (P, 3, 3), what joins them ``both`` (P, F, 6, 3), and the
    right sides (F, 6) and (P, 3)."""

    camera: FloatArray
    point: FloatArray
    both: FloatArray
    right_camera: FloatArray
    right_point: FloatArray
    free: NDArray[np.bool_]

    @classmethod
    def of(
        cls, cameras: Cameras, points: Points, seen: Seen, fixed: NDArray[np.bool_], turn_only: bool
    ) -> _Equations:
        off, local, away = _residuals(cameras, points, seen)
        weight = _loss(off)[1] * (local[:, 2] > 1e-3)
        frames, count = len(cameras.place), len(points.value)
        z = np.maximum(local[:, 2], 1e-3)
        onto = np.zeros((len(z), 2, 3))
        onto[:, 0, 0] = onto[:, 1, 1] = seen.focal / z
        onto[:, :, 2] = -local[:, :2] / (z * z)[:, None] * seen.focal
        onto = seen.trust @ onto
        through = onto @ cameras.turn[seen.frame].transpose(0, 2, 1)
        rho = points.value[seen.point, 2]
        by_camera = np.empty((len(z), 2, 6))
        by_camera[:, :, :3] = onto @ _crossed(local)
        by_camera[:, :, 3:] = -rho[:, None, None] * through
        if turn_only:
            by_camera[:, :, 3:] = 0.0
        by_camera[fixed[seen.frame]] = 0.0
        by_point = np.empty((len(z), 2, 3))
        by_point[:, :, :2] = through @ points.turn[seen.point][:, :, :2]
        by_point[:, :, 2] = (through @ away[:, :, None])[:, :, 0]
        by_point[points.known[seen.point]] = 0.0
        heavy = weight[:, None, None]
        camera = _summed((by_camera.transpose(0, 2, 1) * heavy) @ by_camera, seen.frame, frames)
        point = _summed((by_point.transpose(0, 2, 1) * heavy) @ by_point, seen.point, count)
        right_camera = -_summed((by_camera * heavy * off[:, :, None]).sum(axis=1), seen.frame, frames)
        right_point = -_summed((by_point * heavy * off[:, :, None]).sum(axis=1), seen.point, count)
        loose = ~points.known
        stiff = 1.0 / (PRIOR * points.usual) ** 2
        point[loose, 2, 2] += stiff
        right_point[loose, 2] -= stiff * (points.value[loose, 2] - points.usual)
        point[~loose] += np.eye(3)
        both = np.zeros((count, frames, 6, 3))
        both[seen.point, seen.frame] = (by_camera.transpose(0, 2, 1) * heavy) @ by_point
        free = np.repeat(~fixed[:, None], 6, axis=1)
        if turn_only:
            free[:, 3:] = False
        return cls(camera, point, both, right_camera, right_point, free.reshape(-1))

    def _reduced(self, damping: float) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Equations of the free cameras alone (n, n), their right side (n,), and the points' inverse (P, 3, 3)."""
        eye = np.eye(3)
        grown = self.point * (1.0 + damping * eye) + 1e-12 * eye
        try:
            inverse = np.linalg.inv(grown)
        except np.linalg.LinAlgError:
            return None
        joined = self.both.reshape(len(self.point), -1, 3)[:, self.free]
        rows = int(self.free.sum())
        flat, other = (part.transpose(1, 0, 2).reshape(rows, -1) for part in (joined, joined @ inverse))
        whole = np.zeros((len(self.free), len(self.free)))
        for frame, block in enumerate(self.camera):
            whole[6 * frame : 6 * frame + 6, 6 * frame : 6 * frame + 6] = block * (1.0 + damping * np.eye(6))
        left = whole[np.ix_(self.free, self.free)] - flat @ other.T
        right = self.right_camera.reshape(-1)[self.free] - other @ self.right_point.reshape(-1)
        return left, right, np.asarray(inverse, dtype=np.float64)

    def step(self, damping: float) -> tuple[FloatArray, FloatArray] | None:
        """The step (F, 6) of the cameras and (P, 3) of the points; None where the equations have no solution."""
        reduced = self._reduced(damping)
        if reduced is None:
            return None
        left, right, inverse = reduced
        try:
            found = cho_solve(cho_factor(left + 1e-12 * np.eye(len(left)), check_finite=False), right)
        except LinAlgError:
            return None
        flat = np.zeros(len(self.free))
        flat[self.free] = found
        cameras = flat.reshape(-1, 6)
        pulled = self.right_point - flat @ self.both.reshape(len(self.point), -1, 3)
        step = (inverse @ pulled[:, :, None])[:, :, 0]
        return (cameras, step) if np.isfinite(cameras).all() and np.isfinite(step).all() else None

    def covariance(self, positions: FloatArray) -> FloatArray:
        """(F, 6, 6), of cameras at ``positions`` (F, 3)."""
        result = np.zeros((len(positions), 6, 6))
        reduced = self._reduced(1e-9)
        if reduced is None or not self.free.any():
            return result
        left = reduced[0]
        along = np.zeros((len(positions), 6))
        along[:, 3:] = positions - positions[~self.free.reshape(-1, 6)[:, 0]].mean(axis=0)
        scale = along.reshape(-1)[self.free]
        length = float(np.linalg.norm(scale))
        if length > 1e-12:
            scale = scale / length
            left = left + 1e3 * float(np.trace(left)) / len(left) * np.outer(scale, scale)
        values, vectors = np.linalg.eigh(left)
        values = np.maximum(values, 1e-9 * float(values[-1]))
        whole = np.zeros((len(self.free), len(self.free)))
        whole[np.ix_(self.free, self.free)] = (vectors / values) @ vectors.T
        for frame in range(len(positions)):
            result[frame] = whole[6 * frame : 6 * frame + 6, 6 * frame : 6 * frame + 6]
        return result


def _crossed(local: FloatArray) -> FloatArray:
    """The matrix (M, 3, 3) of q x w for each q of ``local`` (M, 3)."""
    result = np.zeros((len(local), 3, 3))
    x, y, z = local.T
    result[:, 0, 1], result[:, 0, 2], result[:, 1, 2] = -z, y, -x
    result[:, 1, 0], result[:, 2, 0], result[:, 2, 1] = z, -y, x
    return result


def _summed(values: FloatArray, index: Index, count: int) -> FloatArray:
    """Sums (count, ...) of ``values`` (M, ...) that have the same ``index`` (M,)."""
    order = np.argsort(index, kind="stable")
    result = np.zeros((count, *values.shape[1:]))
    if len(order):
        ordered = index[order]
        begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        result[ordered[begins]] = np.add.reduceat(values[order], begins, axis=0)
    return result

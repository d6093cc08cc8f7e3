"""Values between camera samples: shortest-arc slerp for rotations, C2 splines for positions and intrinsics."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from .camera import FloatArray


def rotations_from_quaternions(quaternions: ArrayLike) -> FloatArray:
    """Rotations (F, 3, 3) from quaternions (F, 4) with w last; q and -q are the same rotation."""
    given = np.asarray(quaternions, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != 4:
        raise ValueError(f"Quaternions have the shape {given.shape}, expected (frames, 4) as x y z w.")
    length = np.linalg.norm(given, axis=1)
    if not np.isfinite(length).all() or (length < 1e-6).any():
        raise ValueError("A quaternion is zero or not finite: it names no rotation. Repair or leave out that frame.")
    # One sign for each rotation, so that a file that flips signs half-way gives the same bits as one that does not.
    leading = np.take_along_axis(given, np.argmax(np.abs(given), axis=1)[:, None], axis=1)
    return np.asarray(Rotation.from_quat(given * np.sign(leading)).as_matrix(), dtype=np.float64)


def interpolate_poses(times: FloatArray, poses: FloatArray, at: FloatArray) -> FloatArray:
    """Poses (n, 4, 4) at the times ``at`` (n,) from poses (F, 4, 4) at rising ``times`` (F,).

    Rotations are compared as rotations, never as quaternions, so each step turns the short way. Times outside the
    path give its nearest end.
    """
    inside = np.clip(at, times[0], times[-1])
    if len(times) == 1:
        return np.repeat(poses, len(at), axis=0)
    result = np.zeros((len(at), 4, 4))
    result[:, 3, 3] = 1.0
    result[:, :3, :3] = _slerped(times, poses[:, :3, :3], inside)
    result[:, :3, 3] = CubicSpline(times, poses[:, :3, 3])(inside)
    exact = np.searchsorted(times, inside)
    hit = times[np.minimum(exact, len(times) - 1)] == inside
    result[hit] = poses[exact[hit]]
    return result


def _slerped(times: FloatArray, turns: FloatArray, at: FloatArray) -> FloatArray:
    """Rotations (n, 3, 3) at ``at`` (n,): each is the rotation before it, turned by its share of the step.

    What ``scipy.spatial.transform.Slerp`` does, in half its time for a million.
    """
    step = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = (at - times[step]) / (times[step + 1] - times[step])
    keys = Rotation.from_matrix(turns)
    ways = (keys[:-1].inv() * keys[1:]).as_rotvec()
    angles = np.linalg.norm(ways, axis=1)
    axes = (ways / np.where(angles > 0.0, angles, 1.0)[:, None]).T
    half = 0.5 * angles[step] * share
    w, sine = np.cos(half), np.sin(half)
    x, y, z = (axis[step] * sine for axis in axes)
    a, b, c, d = (part[step] for part in keys.as_quat().T)
    turned = np.empty((len(at), 4))
    turned[:, 0] = d * x + w * a + b * z - c * y
    turned[:, 1] = d * y + w * b + c * x - a * z
    turned[:, 2] = d * z + w * c + a * y - b * x
    turned[:, 3] = d * w - a * x - b * y - c * z
    return np.asarray(Rotation.from_quat(turned).as_matrix(), dtype=np.float64)


def interpolate_intrinsics(times: FloatArray, intrinsics: FloatArray, at: FloatArray) -> FloatArray:
    """Intrinsics (n, 4) at the times ``at``; a zoom never overshoots the zooms given."""
    inside = np.clip(at, times[0], times[-1])
    if len(times) == 1:
        return np.repeat(intrinsics, len(at), axis=0)
    between = np.asarray(CubicSpline(times, intrinsics)(inside), dtype=np.float64)
    return np.clip(between, intrinsics.min(axis=0), intrinsics.max(axis=0))

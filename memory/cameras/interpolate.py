"""Values between camera samples.

Positions and intrinsics follow a C2 spline whose speed is held down where it would swing out: at a camera that rests,
and on both sides of a gap in time. There the path is C1; everywhere else it is the spline, bit for bit. Rotations turn
the short way: by slerp between even times, and between uneven ones by the same clock and as smoothly as the positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicHermiteSpline, CubicSpline
from scipy.spatial.transform import Rotation

from .camera import FloatArray

_EVEN = 1e-9
"""Steps that differ by less than this share of one are even: what rounding leaves of them."""
_GAP = 2.5
"""A step longer than this many usual ones is a gap, in which nobody knows where the camera was."""


def rotations_from_quaternions(quaternions: ArrayLike) -> FloatArray:
    """Rotations (F, 3, 3) from quaternions (F, 4) with w last; q and -q are the same rotation. Raises ``ValueError``
    for another shape, and for a quaternion that is zero or not finite."""
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
    turned = _slerped if _even(times) else _turned
    result[:, :3, :3] = turned(times, poses[:, :3, :3], inside)
    result[:, :3, 3] = _curve(times, poses[:, :3, 3], inside)
    exact = np.searchsorted(times, inside)
    hit = times[np.minimum(exact, len(times) - 1)] == inside
    result[hit] = poses[exact[hit]]
    return result


def straight_poses(poses: FloatArray, at: FloatArray) -> FloatArray:
    """Poses (n, 4, 4) on the straight ways between poses (F, 4, 4), at indices ``at`` (n,) from 0 to F - 1: at 2.25 a
    quarter of the way from the third to the fourth. Rotations are slerped the short way."""
    if len(poses) == 1:
        return np.repeat(poses, len(at), axis=0)
    step = np.clip(np.floor(at).astype(np.int64), 0, len(poses) - 2)
    share = (at - step)[:, None]
    result = np.zeros((len(at), 4, 4))
    result[:, 3, 3] = 1.0
    result[:, :3, :3] = _slerped(np.arange(len(poses), dtype=np.float64), poses[:, :3, :3], at)
    result[:, :3, 3] = poses[step, :3, 3] * (1.0 - share) + poses[step + 1, :3, 3] * share
    hit = at == np.round(at)
    result[hit] = poses[np.round(at[hit]).astype(np.int64)]
    return result


def _even(times: FloatArray) -> bool:
    steps = np.diff(times)
    return bool(steps.max() - steps.min() <= _EVEN * steps.mean())


def _curve(times: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Values (n, k) at ``at`` (n,) along a spline through ``values`` (F, k) that does not swing out."""
    spline = CubicSpline(times, values)
    speeds = spline(times, 1)
    held = _held(times, np.diff(values, axis=0) / np.diff(times)[:, None], speeds)
    if np.array_equal(held, speeds):
        return np.asarray(spline(at), dtype=np.float64)
    return np.asarray(CubicHermiteSpline(times, values, held)(at), dtype=np.float64)


def _held(times: FloatArray, chords: FloatArray, speeds: FloatArray) -> FloatArray:
    """The ``speeds`` (F, k) at the samples, held to what the straight ways (F - 1, k) beside them allow.

    Each differs from the slower of the two ways by no more than that way's own speed, so a camera that rests has none.
    Beside a gap, each component keeps the curve between the two ends of the gap (de Boor and Swartz: at most 3 times
    the straight way's, and never against it).
    """
    size = np.linalg.norm(chords, axis=1)
    before, after = np.concatenate([size[:1], size]), np.concatenate([size, size[-1:]])
    slower = np.concatenate([chords[:1], chords])
    slower[:-1] = np.where((after < before)[:-1, None], chords, slower[:-1])
    most = np.minimum(before, after)
    away = speeds - slower
    far = np.linalg.norm(away, axis=1)
    fast = far > most
    result = np.array(speeds)
    result[fast] = slower[fast] + away[fast] * (most[fast] / far[fast])[:, None]
    steps = np.diff(times)
    gap = (steps > _GAP * np.median(steps))[:, None]
    least = np.where(gap, np.minimum(3.0 * chords, 0.0), -np.inf)
    greatest = np.where(gap, np.maximum(3.0 * chords, 0.0), np.inf)
    free = np.full((1, chords.shape[1]), np.inf)
    least = np.maximum(np.concatenate([-free, least]), np.concatenate([least, -free]))
    greatest = np.minimum(np.concatenate([free, greatest]), np.concatenate([greatest, free]))
    return np.asarray(np.clip(result, least, greatest), dtype=np.float64)


def _turned(times: FloatArray, turns: FloatArray, at: FloatArray) -> FloatArray:
    """Rotations (n, 3, 3) at ``at`` (n,) with a continuous angular speed, held down as that of the positions is.

    Between two samples the rotation vector from the first follows a cubic whose ends have the angular speeds there.
    """
    steps = np.diff(times)
    keys = Rotation.from_matrix(turns)
    ways = (keys[:-1].inv() * keys[1:]).as_rotvec()
    chords = ways / steps[:, None]
    speeds = np.concatenate([chords[:1], chords])
    before, after = steps[:-1, None], steps[1:, None]
    speeds[1:-1] = (after * chords[:-1] + before * chords[1:]) / (before + after)
    speeds = _held(times, chords, speeds)
    step = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    length = steps[step, None]
    share = (at - times[step])[:, None] / length
    rest = 1.0 - share
    ends = _rates(ways, speeds[1:])
    way = share * share * (3.0 - 2.0 * share) * ways[step] + share * rest * length * (
        rest * speeds[step] - share * ends[step]
    )
    return np.asarray((keys[step] * Rotation.from_rotvec(way)).as_matrix(), dtype=np.float64)


def _rates(ways: FloatArray, speeds: FloatArray) -> FloatArray:
    """How fast rotation vectors (n, 3) change where the body turns with ``speeds`` (n, 3) in its own axes.

    The inverse of the right Jacobian of the exponential map.
    """
    angle = np.linalg.norm(ways, axis=1)[:, None]
    half = np.where(angle > 1e-4, angle, 1.0) / 2.0
    second = np.where(angle > 1e-4, (1.0 - half / np.tan(half)) / (4.0 * half * half), 1.0 / 12.0)
    across = np.cross(ways, speeds)
    return np.asarray(speeds + 0.5 * across + second * np.cross(ways, across), dtype=np.float64)


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


def interpolate_values(times: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    """Values (n, k) at the times ``at`` (n,) from values (F, k), along the curve that positions follow."""
    inside = np.clip(at, times[0], times[-1])
    return np.repeat(values, len(at), axis=0) if len(times) == 1 else _curve(times, values, inside)


def interpolate_intrinsics(times: FloatArray, intrinsics: FloatArray, at: FloatArray) -> FloatArray:
    """Intrinsics (n, 4) at the times ``at``; a zoom never overshoots the zooms given."""
    between = interpolate_values(times, intrinsics, at)
    return np.clip(between, intrinsics.min(axis=0), intrinsics.max(axis=0))

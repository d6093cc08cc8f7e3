"""Co-visibility of cameras in the horizontal plane (Context-as-Memory, section 3.3).

A camera is a fan in the plane: a position, a heading, and a left and a right boundary ray from its field of view. Two
tests say whether a past camera saw what a target camera will see:

- ``rays_cross``, the paper's rule: the two left rays cross, the two right rays cross, and both crossings are neither
  too near to the cameras nor too far from them.
- ``overlap``, the share of the target's fan, measured at a reference depth, that lies in the past camera's fan. It
  answers where the rule has no answer, because the rays start in one point (turning on the spot), are parallel
  (sidestep) or lie within each other (walking forward).

A camera that looks the other way never counts in either: it sees the back of what the target sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..cameras.angles import headings
from ..cameras.camera import FloatArray

BoolArray = NDArray[np.bool_]

_T = TypeVar("_T", bound=np.generic)

SAMPLES = 16
_BLOCK = 8192


@dataclass(frozen=True)
class Fans:
    """Cameras in the plane: ``positions`` (N, 2), x z, unit rays ``left`` and ``right`` (N, 2), ``forward`` (N, 3)."""

    positions: FloatArray
    left: FloatArray
    right: FloatArray
    forward: FloatArray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> Fans:
        return Fans(self.positions[part], self.left[part], self.right[part], self.forward[part])


def fans(poses: FloatArray, intrinsics: FloatArray) -> Fans:
    """Fans of cameras with poses (N, 4, 4) and intrinsics (N, 4)."""
    yaw, (left, right) = headings(poses), _half_angles(intrinsics)
    return Fans(poses[:, [0, 2], 3], _ray(yaw - left), _ray(yaw + right), poses[:, :3, 2])


def rays_cross(targets: Fans, past: Fans, near: float, far: float) -> BoolArray:
    """(T, N): the paper's rule for every target and past camera, crossings between ``near`` and ``far`` of both."""
    def block(part: Fans) -> BoolArray:
        return np.asarray(
            _crossing(targets.positions, targets.left, part.positions, part.left, near, far)
            & _crossing(targets.positions, targets.right, part.positions, part.right, near, far)
            & _facing(targets, part)
        )

    return _in_blocks(block, past, np.zeros((len(targets), 0), dtype=np.bool_))


def overlap(
    targets: Fans, poses: FloatArray, intrinsics: FloatArray, past: Fans, depth: float, near: float, far: float
) -> FloatArray:
    """(T, N): the share 0..1 of each target's horizontal view that each past camera also saw.

    ``poses`` (T, 4, 4) and ``intrinsics`` (T, 4) belong to ``targets``. Points at ``depth`` scene units, spread evenly
    over the angle of the target's fan, count if they lie in the past camera's fan, between ``near`` and ``far`` from
    it, and are seen from the same side. The same camera gives 1.
    """
    def block(part: Fans) -> FloatArray:
        seen = _seen(targets, poses, intrinsics, part, depth, near, far)
        return np.asarray(seen.mean(axis=1) * _facing(targets, part))

    return _in_blocks(block, past, np.zeros((len(targets), 0)))


def _seen(
    targets: Fans, poses: FloatArray, intrinsics: FloatArray, part: Fans, depth: float, near: float, far: float
) -> BoolArray:
    """(T, SAMPLES, n) whether each past camera had each point of each target's view in its fan."""
    left, right = _half_angles(intrinsics)
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    sight = _ray(headings(poses)[:, None] - left[:, None] + (left + right)[:, None] * steps)
    # Products of small matrices instead of a vector for each pair; near the origin, so that they lose no digits.
    origin = targets.positions[0] if len(targets) else np.zeros(2)
    points = (targets.positions[:, None] + depth * sight - origin).reshape(-1, 2)
    sights = sight.reshape(-1, 2)
    positions = part.positions - origin
    inward_left = np.stack([part.left[:, 1], -part.left[:, 0]], axis=1)
    inward_right = np.stack([-part.right[:, 1], part.right[:, 0]], axis=1)
    square = (points**2).sum(axis=1)[:, None] - 2.0 * points @ positions.T + (positions**2).sum(axis=1)
    seen = (points @ inward_left.T >= (positions * inward_left).sum(axis=1)) & (
        points @ inward_right.T >= (positions * inward_right).sum(axis=1)
    )
    seen &= (square >= near**2) & (square <= far**2)
    seen &= (points * sights).sum(axis=1)[:, None] > sights @ positions.T
    return np.asarray(seen.reshape(len(targets), SAMPLES, -1))


def _in_blocks(compute: Callable[[Fans], NDArray[_T]], past: Fans, empty: NDArray[_T]) -> NDArray[_T]:
    parts = [compute(past[begin : begin + _BLOCK]) for begin in range(0, len(past), _BLOCK)]
    return np.concatenate(parts, axis=1) if parts else empty


def _crossing(
    from_a: FloatArray, along_a: FloatArray, from_b: FloatArray, along_b: FloatArray, near: float, far: float
) -> BoolArray:
    """(T, N) whether rays a and b (unit directions) cross between ``near`` and ``far`` from both origins."""
    between = from_b - from_a[:, None]
    turn = _cross(along_a[:, None], along_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        on_a = _cross(between, along_b) / turn
        on_b = _cross(between, along_a[:, None]) / turn
    return np.asarray((on_a >= near) & (on_a <= far) & (on_b >= near) & (on_b <= far))


def _facing(targets: Fans, past: Fans) -> BoolArray:
    """(T, N) whether both cameras look into the same half of space."""
    return np.asarray(targets.forward @ past.forward.T > 0.0)


def _half_angles(intrinsics: FloatArray) -> tuple[FloatArray, FloatArray]:
    fx, cx = intrinsics[:, 0], intrinsics[:, 2]
    return np.arctan(cx / fx), np.arctan((1.0 - cx) / fx)


def _ray(angle: FloatArray) -> FloatArray:
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Above 0 where ``b`` (..., 2) points to the right of ``a`` (..., 2), in (x, z) with z ahead and x to the right."""
    return np.asarray(a[..., 1] * b[..., 0] - a[..., 0] * b[..., 1])

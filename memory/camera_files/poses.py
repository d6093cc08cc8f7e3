"""From the matrices and quaternions of a file to poses of ours: checked, cleaned of rounding, turned to our axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray, rigid_inverse
from ..cameras.interpolate import rotations_from_quaternions
from .source import Source

Where = Callable[[int], str]

ROUNDING = 2e-3
"""Rotations written with three decimals are off orthonormal by less; scale and shear are off by more."""
_CLEAN = 1e-9
FARTHEST = 1e9
"""Beyond this, float64 no longer holds a position to a millionth of a unit."""

FLIP_YZ: FloatArray = np.diag([1.0, -1.0, -1.0, 1.0])
"""Camera axes of OpenGL (x right, y up, z back) in ours, and the other way; so too a world with y up and z back."""
FROM_Z_UP: FloatArray = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
"""A right-handed world with z up (nerfstudio, Blender) turned to ours, whose up is -y: determinant +1."""
FROM_UNREAL: FloatArray = np.array([[0, 1.0, 0, 0], [0, 0, -1.0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1.0]])
"""Unreal's left-handed axes (x forward, y right, z up) to ours. It mirrors (determinant -1), so it must stand on both
sides of a matrix: U M U^T is a rotation again. On one side only it gives the improper matrices that some tools use."""


def frame(index: int) -> str:
    return f"frame {index}"


def rigid_poses(source: Source, matrices: FloatArray, where: Where = frame) -> FloatArray:
    """Poses (F, 4, 4) from a file's matrices (F, 3 or 4, 4), in whatever convention they are.

    Rotations that are rounded are moved to the nearest rotation; improper, scaled or sheared ones are refused, with
    ``where(i)`` as the name of the i-th; so are numbers that are not finite and positions beyond 1e9.
    """
    matrices = np.asarray(matrices, dtype=np.float64)
    if matrices.ndim != 3 or matrices.shape[1:] not in ((3, 4), (4, 4)):
        source.refuse(f"its matrices have the shape {matrices.shape}", "Give 3x4 or 4x4 numbers for each frame")
    if len(matrices) == 0:
        source.refuse("it has no cameras", "Choose a file with at least one")
    refuse_numbers(source, matrices.reshape(len(matrices), -1), where)
    if matrices.shape[1] == 4:
        last = np.abs(matrices[:, 3] - (0.0, 0.0, 0.0, 1.0)).max(axis=1)
        if last.max() > 1e-6:
            index = int(np.argmax(last > 1e-6))
            source.refuse(
                f"the last row of the matrix is {matrices[index, 3].tolist()}, expected [0, 0, 0, 1]",
                "The matrix may be transposed: write it row by row, translation in the last column",
                where(index),
            )
    result = np.zeros((len(matrices), 4, 4))
    result[:, :3] = matrices[:, :3]
    result[:, 3, 3] = 1.0
    turns = result[:, :3, :3]
    error = np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    if error.max() > ROUNDING:
        index = int(np.argmax(error > ROUNDING))
        source.refuse(
            f"the rotation is off orthonormal by {error[index]:.2g}, expected at most {ROUNDING:g}, which is "
            "rounding to three decimals",
            "Remove scale or shear from the camera, or choose another layout",
            where(index),
        )
    mirrored = np.linalg.det(turns) < 0.0
    if mirrored.any():
        source.refuse(
            "the rotation is improper: its determinant is -1, expected +1, so it mirrors the scene",
            "The file comes from a left-handed program or lost a change of axes: convert its axes first",
            where(int(np.argmax(mirrored))),
        )
    rounded = error > _CLEAN
    if rounded.any():
        result[rounded, :3, :3] = nearest_rotations(turns[rounded])
    return result


def nearest_rotations(turns: FloatArray) -> FloatArray:
    """The nearest rotations (F, 3, 3) to nearly orthonormal ones, by Newton's iteration for the polar factor.

    From 2e-3 the error falls as e -> 3/4 e^2: below 1e-15 after four steps, and many times faster than an SVD each.
    """
    for _ in range(4):
        turns = 1.5 * turns - 0.5 * (turns @ turns.transpose(0, 2, 1) @ turns)
    return turns


def quaternion_poses(
    source: Source, positions: FloatArray, quaternions: FloatArray, where: Where = frame
) -> FloatArray:
    """Poses (F, 4, 4) from positions (F, 3) and quaternions (F, 4) with w last, of either sign, rounded or not."""
    refuse_numbers(source, np.concatenate([positions, quaternions], axis=1), where)
    length = np.linalg.norm(quaternions, axis=1)
    wrong = np.abs(length - 1.0) > 0.01
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(
            f"the quaternion {quaternions[index].tolist()} (x y z w) has the length {length[index]:.4g}, expected 1",
            "Check the order of the columns, or normalise it",
            where(index),
        )
    matrices = np.zeros((len(quaternions), 3, 4))
    matrices[:, :, :3] = rotations_from_quaternions(quaternions)
    matrices[:, :, 3] = positions
    return rigid_poses(source, matrices, where)


def inverse(poses: FloatArray) -> FloatArray:
    """World-to-camera from camera-to-world poses (F, 4, 4), and back."""
    return rigid_inverse(poses)


def refuse_numbers(source: Source, values: FloatArray, where: Where = frame) -> None:
    """Refuses rows (F, n) with a number that is not finite or too large."""
    fine: NDArray[np.bool_] = np.abs(values) <= FARTHEST
    if fine.all():
        return
    index = int(np.argmin(fine.all(axis=1)))
    value = float(values[index][~fine[index]][0])
    if np.isfinite(value):
        source.refuse(
            f"{value:g} is farther than {FARTHEST:g}", "Move or scale the scene nearer to its origin", where(index)
        )
    source.refuse(f"{value} is not a finite number", "Repair or leave out that camera", where(index))

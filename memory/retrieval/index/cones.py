"""Cameras as bounding cones of their view: position, axis and tangent, 28 bytes a frame, and a bin of the heading.

Bins are 54 directions on a cube map times four widths of the field of view. Each face of the cube has three by three
bins of equal angle, 30 degrees wide at its middle. A level camera of a film that starts level stays in the middle row,
so a little nodding does not change its bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...cameras.camera import FloatArray

Float32 = NDArray[np.float32]

FARTHEST, _THIN = 1e12, 1e-6
"""Positions beyond and fields of view narrower than anything real are taken to be at these limits, so that no number
overflows."""


@dataclass(frozen=True, eq=False)
class Cones:
    """Cameras in a frame of reference: ``position`` (n, 3), ``axis`` (n, 3) the unit line of sight, ``tangent`` (n,).

    The cone about the axis holds the whole picture: ``tangent`` is that of the angle to the farthest corner. So the
    roll does not matter, and an off-centre principal point only gives a wider cone.
    """

    position: Float32
    axis: Float32
    tangent: Float32

    def __len__(self) -> int:
        return len(self.tangent)

    def __getitem__(self, part: slice | NDArray[np.integer]) -> Cones:
        return Cones(self.position[part], self.axis[part], self.tangent[part])

    @property
    def nbytes(self) -> int:
        return self.position.nbytes + self.axis.nbytes + self.tangent.nbytes


def cones(poses: FloatArray, intrinsics: FloatArray, anchor: FloatArray) -> Cones:
    """Cones of cameras with poses (n, 4, 4) and intrinsics (n, 4), as seen from the pose ``anchor`` (4, 4).

    Seen from the first camera of the film a world far from its origin loses no digits in float32, and turning or moving
    the world changes nothing.
    """
    turn = anchor[:3, :3]
    positions = np.clip(poses[:, :3, 3], -FARTHEST, FARTHEST) - np.clip(anchor[:3, 3], -FARTHEST, FARTHEST)
    return Cones(
        (positions @ turn).astype(np.float32),
        (poses[:, :3, 2] @ turn).astype(np.float32),
        tangents(intrinsics).astype(np.float32),
    )


def tangents(intrinsics: FloatArray) -> FloatArray:
    """Tangent (n,) of the angle between the axis and the farthest corner of pictures with intrinsics (n, 4)."""
    focal, centre = intrinsics[:, :2], intrinsics[:, 2:]
    corner = np.maximum(np.abs(centre), np.abs(1.0 - centre)) / np.maximum(focal, _THIN)
    return np.clip(np.hypot(corner[:, 0], corner[:, 1]), _THIN, 1 / _THIN)


def joined(parts: Sequence[Cones]) -> Cones:
    """The cameras of all parts, in order."""
    return Cones(
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.axis for part in parts]),
        np.concatenate([part.tangent for part in parts]),
    )


def checked(poses: ArrayLike, intrinsics: ArrayLike, what: str) -> tuple[FloatArray, FloatArray]:
    """Poses (n, 4, 4) and intrinsics (n, 4) as float64, refused if they do not fit or are not finite."""
    cameras, intrinsics = np.asarray(poses, dtype=np.float64), np.asarray(intrinsics, dtype=np.float64)
    if cameras.ndim != 3 or cameras.shape[1:] != (4, 4) or intrinsics.shape != (len(cameras), 4):
        raise ValueError(f"{what}: poses {cameras.shape} and intrinsics {intrinsics.shape} do not fit together, "
                         "expected (frames, 4, 4) and (frames, 4). Give one pose and one lens for each frame.")
    if not (np.isfinite(cameras).all() and np.isfinite(intrinsics).all()):
        raise ValueError(f"{what} hold a value that is not a finite number. Repair or leave out those cameras.")
    return cameras, intrinsics


SIDE, WIDTHS = 3, 4
DIRECTIONS = 6 * SIDE * SIDE
LOOKS = WIDTHS * DIRECTIONS
_WIDEST = 1.5
"""Tangent above which a field of view is of the first width; each is half as wide as the one before."""


def looks(cameras: Cones) -> NDArray[np.uint8]:
    """(n,) bin 0..215 of direction and field of view of each camera."""
    return (directions(cameras.axis) + DIRECTIONS * _fov_widths(cameras.tangent)).astype(np.uint8)


def directions(axis: Float32) -> NDArray[np.intp]:
    """(n,) bin 0..53 of unit directions (n, 3)."""
    size = np.abs(axis)
    face = np.argmax(size, axis=1)
    rows = np.arange(len(axis))
    ahead = axis[rows, face]
    low = np.maximum(np.abs(ahead), 1e-12)
    across, up = axis[rows, (face + 1) % 3] / low, axis[rows, (face + 2) % 3] / low
    return np.asarray(((2 * face + (ahead < 0)) * SIDE + _third(across)) * SIDE + _third(up))


def _third(slope: Float32) -> NDArray[np.intp]:
    edge = np.float32(np.tan(np.pi / 12))
    return np.asarray((slope > -edge).astype(np.intp) + (slope > edge))


def _fov_widths(tangent: Float32) -> NDArray[np.intp]:
    halvings = np.log2(_WIDEST / np.maximum(tangent, 1e-6))
    return np.asarray(np.clip(np.ceil(halvings), 0, WIDTHS - 1).astype(np.intp))


def _bin_middles() -> tuple[Float32, Float32]:
    """Middle (54, 3) of each direction bin, and the largest angle (54,) from it to a direction in the bin."""
    edges = np.tan(np.linspace(-np.pi / 4, np.pi / 4, SIDE + 1))
    middle, spread = np.zeros((DIRECTIONS, 3)), np.zeros(DIRECTIONS)
    for face in range(3):
        for back in range(2):
            for i in range(SIDE):
                for j in range(SIDE):
                    corners = np.zeros((4, 3))
                    corners[:, face] = -1.0 if back else 1.0
                    corners[:, (face + 1) % 3] = edges[[i, i, i + 1, i + 1]]
                    corners[:, (face + 2) % 3] = edges[[j, j + 1, j, j + 1]]
                    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
                    number = ((2 * face + back) * SIDE + i) * SIDE + j
                    middle[number] = corners.sum(axis=0) / np.linalg.norm(corners.sum(axis=0))
                    spread[number] = np.arccos((corners @ middle[number]).min())
    return middle.astype(np.float32), spread.astype(np.float32)


MIDDLE, SPREAD = _bin_middles()

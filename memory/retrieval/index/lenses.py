"""Cameras as the index keeps them: a place, an axis and a cone, 28 bytes a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...cameras.camera import FloatArray

Float32 = NDArray[np.float32]

FARTHEST, _THIN = 1e12, 1e-6
"""Places beyond and lenses thinner than anything real are taken to be at these limits, so that no number overflows."""


@dataclass(frozen=True, eq=False)
class Cones:
    """Cameras in a frame of reference: ``place`` (n, 3), ``axis`` (n, 3) the unit line of sight, ``tangent`` (n,).

    The cone about the axis holds the whole picture: ``tangent`` is that of the angle to the farthest corner. So the
    roll does not matter, and an off-centre lens only gets a wider cone.
    """

    place: Float32
    axis: Float32
    tangent: Float32

    def __len__(self) -> int:
        return len(self.tangent)

    def __getitem__(self, part: slice | NDArray[np.integer]) -> Cones:
        return Cones(self.place[part], self.axis[part], self.tangent[part])

    @property
    def nbytes(self) -> int:
        return self.place.nbytes + self.axis.nbytes + self.tangent.nbytes


def cones(poses: FloatArray, intrinsics: FloatArray, anchor: FloatArray) -> Cones:
    """Cones of cameras with poses (n, 4, 4) and intrinsics (n, 4), as seen from the pose ``anchor`` (4, 4).

    Seen from the first camera of the film a world far from its origin loses no digits in float32, and turning or moving
    the world changes nothing.
    """
    turn = anchor[:3, :3]
    places = np.clip(poses[:, :3, 3], -FARTHEST, FARTHEST) - np.clip(anchor[:3, 3], -FARTHEST, FARTHEST)
    return Cones(
        (places @ turn).astype(np.float32),
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
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.axis for part in parts]),
        np.concatenate([part.tangent for part in parts]),
    )


def checked(poses: ArrayLike, intrinsics: ArrayLike, what: str) -> tuple[FloatArray, FloatArray]:
    """Poses (n, 4, 4) and intrinsics (n, 4) as float64, refused if they do not fit or are not finite."""
    cameras, lenses = np.asarray(poses, dtype=np.float64), np.asarray(intrinsics, dtype=np.float64)
    if cameras.ndim != 3 or cameras.shape[1:] != (4, 4) or lenses.shape != (len(cameras), 4):
        raise ValueError(f"{what}: poses {cameras.shape} and intrinsics {lenses.shape} do not fit together, expected "
                         "(frames, 4, 4) and (frames, 4). Give one pose and one lens for each frame.")
    if not (np.isfinite(cameras).all() and np.isfinite(lenses).all()):
        raise ValueError(f"{what} hold a value that is not a finite number. Repair or leave out those cameras.")
    return cameras, lenses

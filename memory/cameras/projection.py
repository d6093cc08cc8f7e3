"""Points, pixels and rays: a pinhole camera, written down once, for numpy arrays and torch tensors alike.

A *picture position* (u, v) goes from (0, 0) at the left upper corner to (1, 1) at the right lower one, in the terms of
normalised intrinsics; with intrinsics in pixels it counts in pixels. Coordinates come one array each, so that a caller
chooses which axis runs fastest, and only operators are used, so that gradients, devices and types stay the caller's.

The order of the arithmetic is part of it: choices of frames and pixels of films hang on the last bit of these numbers.

>>> intrinsics = np.array([0.5, 0.8, 0.5, 0.5])  # fx fy cx cy: 90 degrees across, 8:5
>>> [float(part) for part in project(1.0, 0.0, 2.0, split(intrinsics))]
[0.75, 0.5]
>>> [float(part) for part in unproject(0.75, 0.5, 2.0, split(intrinsics))]
[1.0, 0.0, 2.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .camera import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", "NDArray[np.float64]", "NDArray[np.float32]", "NDArray[np.floating[Any]]", "Tensor")
Whole = TypeVar("Whole", "NDArray[np.float64]", "Tensor")


def split(intrinsics: Array, axes: int = 0) -> tuple[Array, Array, Array, Array]:
    """``fx fy cx cy`` of intrinsics (..., 4), each (...) with ``axes`` more of length 1, to go with many points.

    >>> [part.shape for part in split(np.ones((7, 4)), 2)]
    [(7, 1, 1), (7, 1, 1), (7, 1, 1), (7, 1, 1)]
    """
    more = (None,) * axes
    fx, fy, cx, cy = (intrinsics[(..., number) + more] for number in range(4))
    return fx, fy, cx, cy


def pixel_middles(index: Whole) -> Whole:
    """Picture positions (n,) of the middles of n pixels in a row, from their numbers ``index`` (n,) = 0 to n - 1.

    >>> pixel_middles(np.arange(4.0)).tolist()
    [0.125, 0.375, 0.625, 0.875]
    """
    return (index + 0.5) / len(index)


def slopes(u: Array, v: Array, intrinsics: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
    """``x / z`` and ``y / z`` of the ray, in camera axes, through picture positions ``u`` and ``v``.

    ``u``, ``v`` and each part of the ``intrinsics`` (``split``) have shapes that broadcast. The ray itself is
    ``(x / z, y / z, 1)``; it is not of unit length.
    """
    fx, fy, cx, cy = intrinsics
    return (u - cx) / fx, (v - cy) / fy


def unproject(
    u: Array, v: Array, z: Array, intrinsics: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """Points ``x``, ``y``, ``z`` in camera axes that are seen at ``u`` and ``v`` at depth ``z`` along the optical axis.

    All have shapes that broadcast, depth and result in scene units. ``project`` leads back.
    """
    across, down = slopes(u, v, intrinsics)
    return across * z, down * z, z


def project(
    x: Array, y: Array, z: Array | float, intrinsics: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array]:
    """Picture positions ``u`` and ``v`` of points in camera axes: from 0 to 1 inside the picture, where ``z`` > 0.

    All have shapes that broadcast. Points behind the camera have positions too: the caller looks at ``z``. Of a ray
    whose slopes are known ``z`` is 1.
    """
    fx, fy, cx, cy = intrinsics
    return fx * x / z + cx, fy * y / z + cy


def to_camera(points: FloatArray, poses: FloatArray) -> FloatArray:
    """Points (..., n, 3) of the world in the axes of cameras with poses (..., 4, 4).

    >>> to_camera(np.array([[1.0, 2.0, 3.0]]), np.eye(4)).tolist()
    [[1.0, 2.0, 3.0]]
    """
    return np.asarray((points - poses[..., None, :3, 3]) @ poses[..., :3, :3])


def to_world(points: FloatArray, poses: FloatArray) -> FloatArray:
    """Points (..., n, 3) in the axes of cameras with poses (..., 4, 4), in the world. ``to_camera`` leads back.

    >>> ahead = np.eye(4)
    >>> ahead[2, 3] = 5.0
    >>> to_world(np.array([[1.0, 2.0, 3.0]]), ahead).tolist()
    [[1.0, 2.0, 8.0]]
    """
    return np.asarray(points @ poses[..., :3, :3].swapaxes(-1, -2) + poses[..., None, :3, 3])

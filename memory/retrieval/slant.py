"""How surfaces lie that depth shows: their normals, from neighbouring rays.

Over a flat surface with n . X = 1 the inverse depth 1 / z is n . (x / z, y / z, 1): linear in the picture. It is fitted
by least squares over the neighbouring rays whose depth is much the same.
"""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray

WINDOW, SMOOTH = 3, 1.25
"""Rays to each side, and the ratio of depths per ray up to which two lie on one surface."""
FEWEST = 3
"""Rays that a normal is fitted to at least."""


def slants(ways: FloatArray, distance: FloatArray) -> FloatArray:
    """Unit normals (T, C, 3) to the viewer, in the axes of ``ways``; 0 where the surface is not known.

    ``ways`` (T, C, 3) are unit rays in camera axes, neighbours beside each other, and ``distance`` (T, C) along them is
    not finite where it is unknown.
    """
    views, count = distance.shape
    slope = ways[..., :2] / ways[..., 2:]
    known = np.isfinite(distance)
    logarithm = np.log(np.where(known, distance, 1.0))
    inverse = np.where(known, 1.0 / (np.where(known, distance, 1.0) * ways[..., 2]), 0.0)
    square, product = np.zeros((views, count, 3, 3)), np.zeros((views, count, 3))
    for shift in range(-WINDOW, WINDOW + 1):
        at = np.arange(count) + shift
        inside = (at >= 0) & (at < count)
        at = np.clip(at, 0, count - 1)
        same = inside & known[:, at] & known
        same &= np.abs(logarithm[:, at] - logarithm) < np.log(SMOOTH) * max(1, abs(shift))
        row = np.concatenate([slope[:, at] - slope, np.ones((views, count, 1))], axis=2) * same[..., None]
        square += row[..., :, None] * row[..., None, :]
        product += row * inverse[:, at, None]
    enough = square[..., 2, 2] >= FEWEST
    # Rays differ less in height than across: what is hardly measured is taken to be upright.
    square += np.diag([1e-4, 0.3, 1e-9])
    fit = np.linalg.solve(square, product[..., None])[..., 0]
    normal = np.concatenate([fit[..., :2], (fit[..., 2] - (fit[..., :2] * slope).sum(axis=2))[..., None]], axis=2)
    size = np.linalg.norm(normal, axis=2, keepdims=True)
    return np.asarray(np.where(enough[..., None] & (size > 0), -normal / np.maximum(size, 1e-300), 0.0))

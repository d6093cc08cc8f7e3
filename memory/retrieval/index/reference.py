"""What the index shall find, said plainly: every past camera against every ball of every view, in float64.

Slow and readable; the index is tested against it.
"""

from __future__ import annotations

import math

import numpy as np

from ...cameras.camera import FloatArray
from .lenses import tangents
from .views import COARSE, DEPTHS, FINE, LEAST_DENSITY, OPPOSITE, different_views


def relevance(
    poses: FloatArray, intrinsics: FloatArray, targets: FloatArray, target_intrinsics: FloatArray, reach: float
) -> FloatArray:
    """(n,) by how many scene units past cameras (n, 4, 4) have a ball of the targets' views in view, best of all balls.

    A camera is relevant if this is 0 or more: see ``views`` for what it says in words.
    """
    angle, tangent = np.arctan(tangents(intrinsics)), tangents(intrinsics)
    result = np.full(len(poses), -np.inf)
    for view in different_views(targets, reach):
        target, lens = targets[view], target_intrinsics[view]
        for x, y, size in _picture(lens):
            ray = np.array([(x - lens[2]) / lens[0], (y - lens[3]) / lens[1], 1.0])
            sight = target[:3, :3] @ (ray / np.linalg.norm(ray))
            for depth in reach * np.array(DEPTHS):
                radius = size * depth
                to_ball = target[:3, 3] + depth * sight - poses[:, :3, 3]
                distance = np.linalg.norm(to_ball, axis=1)
                ahead = (to_ball * poses[:, :3, 2]).sum(axis=1)
                aside = np.sqrt(np.maximum(distance**2 - ahead**2, 0.0))
                beside = np.arctan2(aside, ahead) - angle
                in_view = radius - distance * np.where(beside > np.pi / 2, 1.0, np.sin(beside))
                enough = tangents(lens[None])[0] / tangent * depth / LEAST_DENSITY
                near = np.minimum(enough, reach) + radius - distance
                same_side = to_ball @ sight + OPPOSITE * distance
                result = np.maximum(result, np.minimum(np.minimum(in_view, near), same_side))
    return result


def _picture(lens: FloatArray) -> list[tuple[float, float, float]]:
    """Middles of the parts of a picture, and half the size of a part at a distance of 1."""
    columns, rows = (FINE, COARSE) if lens[0] <= lens[1] else (COARSE, FINE)
    size = min(1.0, max(0.5 / (columns * lens[0]), 0.5 / (rows * lens[1])))
    return [
        ((column + 0.5) / columns, (row + 0.5) / rows, size)
        for row, column in (divmod(part, columns) for part in range(math.prod((columns, rows))))
    ]

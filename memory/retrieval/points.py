"""Surface points that the coming views may see: rays of several target views, each at several depths.

A ray's depth is unknown, so it is taken at the middles of equally likely parts of a log-normal distribution, in units
of the scene's scale. The scale itself is a guess, and so there are several with a likelihood each: every ray has points
for each of them. Everything is computed near the origin, so that float32 is enough to choose by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.projection import pixel_middles, slopes, split

Float32 = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]
"""Of float32 where many frames are compared, of float64 where a figure is told: it must not hang on a last digit."""

COLUMNS, ROWS = 10, (0.0, 0.22, -0.22)
QUANTILES = (-0.97, 0.0, 0.97)
"""Middles of three equally likely parts of a normal distribution."""
MEDIAN, SPREAD = 0.9, 0.75
"""Of the depth's logarithm: the median in units of the scale, and the standard deviation where the scale is known."""

Scales = tuple[tuple[float, float], ...]
"""What the scale may be, in scene units, and how likely each is; they add up to 1."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points ``places`` (P, 3) relative to ``origin`` (3,), each seen by target ``view`` (P,) along ``sight`` (P, 3).

    ``distance`` (P,) from that target's camera, ``weight`` (P,) the share of the segment that hangs on it; the weights
    sum to 1. ``share`` (P,) is the part of its view that it stands for, every ray the same; they sum to 1 in each view.
    ``eyes`` (T, 3) are the targets' places relative to the origin and ``focal`` (T,) their focal lengths. ``normal``
    (P, 3) is the surface's, to the viewer; 0 where it is unknown, None if it is nowhere known. ``scale`` (P,) is the
    one that a point belongs to.
    """

    origin: FloatArray
    places: Reals
    sight: Reals
    distance: Reals
    weight: Reals
    share: Reals
    view: NDArray[np.intp]
    eyes: Reals
    focal: Reals
    scale: Reals
    normal: Reals | None = None

    def single(self) -> Points:
        """The same points in float32, to compare many frames by."""
        return replace(
            self,
            places=self.places.astype(np.float32),
            sight=self.sight.astype(np.float32),
            distance=self.distance.astype(np.float32),
            weight=self.weight.astype(np.float32),
            share=self.share.astype(np.float32),
            eyes=self.eyes.astype(np.float32),
            focal=self.focal.astype(np.float32),
            scale=self.scale.astype(np.float32),
            normal=None if self.normal is None else self.normal.astype(np.float32),
        )


def rays(targets: FloatArray, intrinsics: FloatArray, columns: int) -> FloatArray:
    """Unit rays (T, columns, 3) of target views, evenly over the width, changing rows."""
    u, v = pixel_middles(np.arange(columns, dtype=np.float64)), 0.5 + np.resize(ROWS, columns)
    across, down = slopes(u, v, split(intrinsics, 1))
    local = np.stack([across, down, np.ones_like(across)], axis=-1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return np.asarray(local @ targets[:, :3, :3].transpose(0, 2, 1))


def likely_depths(scales: Scales, near: float, far: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Depths (J,) between ``near`` and ``far``, how likely each is (J,), and the scale that each belongs to (J,)."""
    of, likely = np.array(scales).T
    depths = MEDIAN * of[:, None] * np.exp(SPREAD * np.array(QUANTILES))
    count = len(QUANTILES)
    return np.clip(depths.ravel(), near, far), np.repeat(likely / count, count), np.repeat(of, count)


def likely_points(targets: FloatArray, intrinsics: FloatArray, scales: Scales, near: float, far: float) -> Points:
    """Points of target views (T, 4, 4) with intrinsics (T, 4) at likely depths between ``near`` and ``far``."""
    ways = rays(targets, intrinsics, COLUMNS)
    distance, weight, own = (
        np.broadcast_to(each, (*ways.shape[:2], len(each))) for each in likely_depths(scales, near, far)
    )
    return points_at(targets, intrinsics, ways, distance, weight, own)


def points_at(
    targets: FloatArray, intrinsics: FloatArray, ways: FloatArray, distance: FloatArray, weight: FloatArray,
    scale: FloatArray, normal: FloatArray | None = None,
) -> Points:
    """Points at ``distance`` (T, C, J) along unit rays ``ways`` (T, C, 3); ``weight`` (T, C, J) is made to sum to 1,
    ``scale`` (T, C, J) is the one that each belongs to.

    ``normal`` (T, C, 3) is the same for all depths of a ray.
    """
    origin = targets[0, :3, 3]
    eyes = targets[:, :3, 3] - origin
    places = eyes[:, None, None] + ways[:, :, None] * distance[..., None]
    kept = weight.reshape(-1) > 0
    facing = None if normal is None else np.repeat(normal.reshape(-1, 3), distance.shape[2], axis=0)[kept]
    per_view = distance.shape[1] * distance.shape[2]
    sight = np.broadcast_to(ways[:, :, None], places.shape).reshape(-1, 3)
    even = weight / weight.sum(axis=2, keepdims=True) / distance.shape[1]
    return Points(
        origin=origin,
        places=places.reshape(-1, 3)[kept],
        sight=sight[kept],
        distance=distance.reshape(-1)[kept],
        weight=weight.reshape(-1)[kept] / weight.sum(),
        share=even.reshape(-1)[kept],
        view=np.repeat(np.arange(len(targets)), per_view)[kept],
        eyes=eyes,
        focal=intrinsics[:, 0],
        scale=scale.reshape(-1)[kept],
        normal=facing,
    )

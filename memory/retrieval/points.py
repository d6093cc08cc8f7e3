"""Surface points that the coming views may see: rays of several target views, each at several depths.

A ray's depth is unknown, so it is taken at the middles of equally likely parts of a log-normal distribution, in units
of the scene's scale. Everything is computed near the origin, so that float32 is enough to choose by.
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
QUANTILES = (-1.15, -0.32, 0.32, 1.15)
"""Middles of four equally likely parts of a normal distribution."""
MEDIAN, SPREAD = 0.9, 1.0
"""Of the depth's logarithm: the median in units of the scale, and the standard deviation."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points ``places`` (P, 3) relative to ``origin`` (3,), each seen by target ``view`` (P,) along ``sight`` (P, 3).

    ``distance`` (P,) from that target's camera, ``weight`` (P,) the share of the segment that hangs on it; the weights
    sum to 1. ``share`` (P,) is the part of its view that it stands for, every ray the same; they sum to 1 in each view.
    ``eyes`` (T, 3) are the targets' places relative to the origin and ``focal`` (T,) their focal lengths. ``normal``
    (P, 3) is the surface's, to the viewer; 0 where it is unknown, None if it is nowhere known.
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
            normal=None if self.normal is None else self.normal.astype(np.float32),
        )


def rays(targets: FloatArray, intrinsics: FloatArray, columns: int) -> FloatArray:
    """Unit rays (T, columns, 3) of target views, evenly over the width, changing rows."""
    u, v = pixel_middles(np.arange(columns, dtype=np.float64)), 0.5 + np.resize(ROWS, columns)
    across, down = slopes(u, v, split(intrinsics, 1))
    local = np.stack([across, down, np.ones_like(across)], axis=-1)
    local /= np.linalg.norm(local, axis=-1, keepdims=True)
    return np.asarray(local @ targets[:, :3, :3].transpose(0, 2, 1))


def likely_depths(median: float, near: float, far: float) -> FloatArray:
    """Equally likely depths (J,) between ``near`` and ``far``."""
    return np.asarray(np.clip(median * np.exp(SPREAD * np.array(QUANTILES)), near, far))


def likely_points(targets: FloatArray, intrinsics: FloatArray, median: float, near: float, far: float) -> Points:
    """Points of target views (T, 4, 4) with intrinsics (T, 4) at likely depths between ``near`` and ``far``."""
    depths = likely_depths(median, near, far)
    ways = rays(targets, intrinsics, COLUMNS)
    distance = np.broadcast_to(depths, (*ways.shape[:2], len(depths)))
    return points_at(targets, intrinsics, ways, distance, np.full(distance.shape, 1.0))


def points_at(
    targets: FloatArray, intrinsics: FloatArray, ways: FloatArray, distance: FloatArray, weight: FloatArray,
    normal: FloatArray | None = None,
) -> Points:
    """Points at ``distance`` (T, C, J) along unit rays ``ways`` (T, C, 3); ``weight`` (T, C, J) is made to sum to 1.

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
        normal=facing,
    )

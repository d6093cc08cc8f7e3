"""Surface points that the coming views may see: rays of several target views, each at several depths.

A ray's depth is unknown, so it is taken at several likely depths, in units of the scene's scale. The scale itself is a
guess, and so there are several with a likelihood each: a depth is as likely as all of them make it, and at each depth
some scales are likelier than others. Everything is computed near the origin, so that float32 is enough to choose by.
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

COLUMNS, ROWS = 10, (0.0, 0.32, -0.32)
MEDIAN, STEP = 0.9, 1.0
"""The median depth in units of the scale, and what its logarithm may be off by to each side, all three equally likely;
so far apart, too, are the guesses of the scale."""

Scales = tuple[tuple[float, float], ...]
"""What the scale may be, in scene units, and how likely each is: ``STEP`` apart in the logarithm, adding up to 1."""


@dataclass(frozen=True, eq=False)
class Points:
    """Points ``places`` (P, 3) relative to ``origin`` (3,), each seen by target ``view`` (P,) along ``sight`` (P, 3).

    ``distance`` (P,) from that target's camera, ``weight`` (P,) the share of the segment that hangs on it; the weights
    sum to 1. ``share`` (P,) is the part of its view that it stands for, every ray the same; they sum to 1 in each view.
    ``eyes`` (T, 3) are the targets' places relative to the origin and ``focal`` (T,) their focal lengths. ``normal``
    (P, 3) is the surface's, to the viewer; 0 where it is unknown, None if it is nowhere known. Where there is a
    point, the scale is each of ``scales`` (S,) with the likelihood ``likely`` (P, S).
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
    scales: Reals
    likely: Reals
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
            scales=self.scales.astype(np.float32),
            likely=self.likely.astype(np.float32),
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
    """Depths (J,) between ``near`` and ``far``, how likely each is (J,), and how likely each scale is at it (J, S).

    A scale has its median depth and one more to each side; those of neighbours coincide.
    """
    count = len(scales)
    both = np.zeros((count + 2, count))
    for number, (_, likely) in enumerate(scales):
        both[number : number + 3, number] = likely / 3
    depths = MEDIAN * scales[0][0] * np.exp(STEP * np.arange(-1, count + 1))
    weight = both.sum(axis=1)
    return np.clip(depths, near, far), weight, both / weight[:, None]


def likely_points(targets: FloatArray, intrinsics: FloatArray, scales: Scales, near: float, far: float) -> Points:
    """Points of target views (T, 4, 4) with intrinsics (T, 4) at likely depths between ``near`` and ``far``."""
    ways = rays(targets, intrinsics, COLUMNS)
    depths, weight, likely = likely_depths(scales, near, far)
    shape = (*ways.shape[:2], len(depths))
    distance, weight, likely = (
        np.broadcast_to(depths, shape), np.broadcast_to(weight, shape), np.broadcast_to(likely, (*shape, len(scales)))
    )
    return points_at(targets, intrinsics, ways, distance, weight, scales, likely)


def points_at(
    targets: FloatArray, intrinsics: FloatArray, ways: FloatArray, distance: FloatArray, weight: FloatArray,
    scales: Scales, likely: FloatArray, normal: FloatArray | None = None,
) -> Points:
    """Points at ``distance`` (T, C, J) along unit rays ``ways`` (T, C, 3); ``weight`` (T, C, J) is made to sum to 1,
    ``likely`` (T, C, J, S) says how likely each of the ``scales`` is there.

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
        scales=np.array([scale for scale, _ in scales]),
        likely=likely.reshape(-1, len(scales))[kept],
        normal=facing,
    )

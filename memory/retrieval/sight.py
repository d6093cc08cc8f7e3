"""How likely a past camera saw a surface point that a target camera will see, from poses alone.

Four things must hold, and their chances are multiplied:

- *view*: the point lies in the past camera's picture, in front of it;
- *side*: both look at the same side of the surface. Which way it faces is unknown, so this falls with the angle between
  the two lines of sight and is nothing for cameras that look at the point from opposite sides;
- *range*: the past camera saw it in enough pixels. The pixels a surface gets fall with distance over focal length;
  beyond about twice the target's own distance the chance drops;
- *clear*: nothing stands between. What stands where is unknown, but nothing stands on the target's own line of sight;
  the farther the past camera is beside that line, or behind the target, the more likely something does:
  ``exp(-aside / (CLEAR * scale) - behind / (BEHIND * scale))``, averaged over what the scale may be.

The constants are fitted to whether frames truly saw points, in floor plans other than those of the benchmark.
"""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.projection import split
from .points import Points, Reals

CLEAR, BEHIND, RANGE = 1.0, 2.0, 2.1
"""Of the chances above: two distances in scales, and a ratio of distances."""
KNOWN_RANGE = 3.6
"""The ratio where the slant of the surface is known and counted."""


def sight_chances(
    points: Points, poses: FloatArray, intrinsics: FloatArray, far: float, blind: bool = True
) -> Reals:
    """(n, P) chance 0..1 that past cameras (n, 4, 4) with intrinsics (n, 4) saw each point.

    Nothing farther than ``far`` scene units from a past camera counts. ``blind`` False leaves out what depth can tell:
    whether nothing stands between and whether both look at the same side.
    """
    places = (poses[:, :3, 3] - points.origin).astype(points.places.dtype)
    x, y, z = in_cameras(points, poses, places)
    fx, fy, cx, cy = split(intrinsics.astype(points.places.dtype), 1)
    # In the picture: 0 <= fx x / z + cx <= 1 and the same for y, without dividing.
    seen = (z > 0) & (np.abs(fx * x + (cx - np.float32(0.5)) * z) <= np.float32(0.5) * z)
    seen &= np.abs(fy * y + (cy - np.float32(0.5)) * z) <= np.float32(0.5) * z
    square = x * x
    square += y * y
    square += z * z
    if np.isfinite(far):
        seen &= square <= np.float32(far * far)
    result = _in_range(points, intrinsics, square, places if not blind else None)
    if blind:
        forward = places @ points.sight.T - (points.eyes[points.view] * points.sight).sum(axis=1)
        apart = np.take(((places[:, None] - points.eyes) ** 2).sum(axis=2), points.view, axis=1)
        result *= same_side_and_clear(forward, apart, square, points.distance, points.scales, points.likely)
    result *= seen
    return result


def certain_chances(points: Points) -> Reals:
    """(P,) the chance that a camera in the very place of its target saw each point, in the measure of the others."""
    unknown, known = 1.0 / (1.0 + RANGE**-4), 1.0 / (1.0 + KNOWN_RANGE**-8)
    if points.normal is None:
        return np.full(len(points.distance), unknown)
    return np.where(points.normal.any(axis=1), known, unknown)


def same_side_and_clear(
    forward: Reals, apart: Reals, square: Reals, distance: Reals, scales: Reals, likely: Reals
) -> Reals:
    """Chance that a camera looks at the target's side of the surface and nothing stands in its way.

    ``forward`` is how far before the target the camera is along the target's line of sight to the point, ``apart`` its
    squared distance from the target and ``square`` that from the point, ``distance`` the target's; ``likely`` is how
    likely each of the ``scales`` (S,) is there. The first chance is (1 + cosine) / 2 of the angle between the lines
    of sight. All arrays and the result have one shape, (n, P) or (m,), and ``likely`` one more axis, (P, S) or (m, S);
    the distance may be (P,).
    """
    # From the place of the target, not of the point: a camera beside it keeps its digits.
    aside = np.sqrt(np.maximum(apart - forward * forward, np.float32(0.0)))
    aside *= np.float32(-1.0 / CLEAR)
    aside += np.minimum(forward, np.float32(0.0)) * np.float32(1.0 / BEHIND)
    result = np.zeros_like(aside)
    for number, scale in enumerate(scales):
        clear = aside * (np.float32(1.0) / scale)
        # Numbers so small that processors slow down over them are of no use.
        np.maximum(clear, np.float32(-30.0), out=clear)
        np.exp(clear, out=clear)
        clear *= likely[:, number]
        result += clear
    side = distance - forward
    side /= np.sqrt(np.maximum(square, np.float32(1e-12)))
    side += np.float32(1.0)
    side *= np.float32(0.5)
    result *= np.maximum(side, np.float32(0.0), out=side)
    return np.asarray(result)


def in_cameras(points: Points, poses: FloatArray, places: Reals) -> tuple[Reals, Reals, Reals]:
    """Coordinates x, y, z (n, P) of the points in past cameras with poses (n, 4, 4) at ``places`` (n, 3).

    All points in all cameras, and float32 is enough: products of matrices instead of a point for each pair.
    """
    turns = poses[:, :3, :3].astype(points.places.dtype)
    x, y, z = (
        turns[:, :, axis] @ points.places.T - (turns[:, :, axis] * places).sum(axis=1)[:, None] for axis in range(3)
    )
    return x, y, z


def _in_range(points: Points, intrinsics: FloatArray, square: Reals, places: Reals | None) -> Reals:
    """Chance (n, P) by distance over focal length, relative to the target's: 1 / (1 + (ratio / RANGE)^4).

    Where the surface's normal is known, and ``places`` (n, 3) are given, how obliquely both look at it counts too, and
    the chance falls with the 8th power beyond KNOWN_RANGE.
    """
    unit = points.distance / points.focal[points.view]
    ratio = square * (1.0 / (unit * unit))
    ratio *= (1.0 / intrinsics[:, :1].astype(points.places.dtype)) ** 2
    limit = np.float32(1.0 / RANGE**2)
    if places is not None and points.normal is not None:
        known = points.normal.any(axis=1)
        facing = (points.places * points.normal).sum(axis=1) - places @ points.normal.T
        steep = -(points.sight * points.normal).sum(axis=1)
        # A view from behind, or along the surface, has no pixels of it.
        facing = np.minimum(facing, np.float32(-1e-4) * np.sqrt(square))
        slant = square * np.float32(1.0 / KNOWN_RANGE**2)
        slant *= np.square(steep / facing)
        ratio *= np.where(known, slant, limit)
        ratio *= np.where(known, np.minimum(ratio, np.float32(1e9)), np.float32(1.0))
    else:
        ratio *= limit
    np.minimum(ratio, np.float32(1e9), out=ratio)
    ratio *= ratio
    ratio += np.float32(1.0)
    return np.asarray(np.reciprocal(ratio, out=ratio))

"""How likely a past camera saw a surface point that a target camera will see, from poses alone.

Four things must hold, and their chances are multiplied:

- *view*: the point lies in the past camera's picture, in front of it;
- *side*: both look at the same side of the surface. Which way it faces is unknown, so this falls with the angle between
  the two lines of sight and is nothing for cameras that look at the point from opposite sides;
- *range*: the past camera saw it in enough pixels. The pixels a surface gets fall with distance over focal length;
  beyond about twice the target's own distance the chance drops;
- *clear*: nothing stands between. What stands where is unknown; the farther the past camera is from the target's place,
  the more likely something does: ``exp(-distance / (CLEAR * scale))``.
"""

from __future__ import annotations

import numpy as np

from ..camera import FloatArray
from .points import Float32, Points

CLEAR, RANGE = 1.2, 2.4
"""Of the chances above: a distance in scales, a ratio of distances, the cosine down to which the sides may agree."""


def sight_chances(
    points: Points, poses: FloatArray, lenses: FloatArray, scale: float, far: float, clear: bool = True
) -> Float32:
    """(n, P) chance 0..1 that past cameras (n, 4, 4) with lenses (n, 4) saw each point.

    ``scale`` is the scene's scale; nothing farther than ``far`` from a past camera counts. ``clear`` False leaves out
    the chance that nothing stands between.
    """
    places = (poses[:, :3, 3] - points.origin).astype(np.float32)
    x, y, z = project(points, poses, places)
    fx, fy, cx, cy = lenses.astype(np.float32).T[:, :, None]
    # In the picture: 0 <= fx x / z + cx <= 1 and the same for y, without dividing.
    seen = (z > 0) & (np.abs(fx * x + (cx - np.float32(0.5)) * z) <= np.float32(0.5) * z)
    seen &= np.abs(fy * y + (cy - np.float32(0.5)) * z) <= np.float32(0.5) * z
    square = x * x
    square += y * y
    square += z * z
    if np.isfinite(far):
        seen &= square <= np.float32(far * far)
    along = (points.places * points.sight).sum(axis=1) - places @ points.sight.T
    result = _same_side(along, square)
    result *= _in_range(points, lenses, square)
    if clear:
        result *= clear_chance(along, square, scale)
    result *= seen
    return result


def clear_chance(along: Float32, square: Float32, scale: float) -> Float32:
    """Chance that nothing stands in the way of a camera beside the target's line of sight.

    ``along`` is how far from the point it is in the direction of that line, ``square`` its squared distance.
    """
    aside = np.sqrt(np.maximum(square - along * along, np.float32(0.0)))
    aside *= np.float32(-1.0 / (CLEAR * scale))
    return np.asarray(np.exp(aside, out=aside))


def project(points: Points, poses: FloatArray, places: Float32) -> tuple[Float32, Float32, Float32]:
    """Coordinates x, y, z (n, P) of the points in the past cameras at ``places`` (n, 3)."""
    turns = poses[:, :3, :3].astype(np.float32)
    x, y, z = (
        turns[:, :, axis] @ points.places.T - (turns[:, :, axis] * places).sum(axis=1)[:, None] for axis in range(3)
    )
    return x, y, z


def _same_side(along: Float32, square: Float32) -> Float32:
    """Chance (n, P) by the cosine between the lines of sight: (1 + cosine) / 2."""
    cosine = along / np.sqrt(np.maximum(square, np.float32(1e-12)))
    cosine += np.float32(1.0)
    cosine *= np.float32(0.5)
    np.maximum(cosine, 0.0, out=cosine)
    return cosine


def _in_range(points: Points, lenses: FloatArray, square: Float32) -> Float32:
    """Chance (n, P) by distance over focal length, relative to the target's: 1 / (1 + (ratio / RANGE)^4)."""
    unit = points.distance * np.float32(RANGE) / points.focal[points.view]
    ratio = square * (1.0 / (unit * unit))
    ratio *= (1.0 / lenses[:, :1].astype(np.float32)) ** 2
    ratio *= ratio
    ratio += np.float32(1.0)
    return np.asarray(np.reciprocal(ratio, out=ratio))

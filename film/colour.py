"""Colours anchored to what is remembered: a segment's mean and spread of colour follow the frames that saw the same.

Long films drift in colour, most often towards red, because every segment is made from the ones before. Here each new
segment is compared with the remembered frames that it was given, only where both look at the same places: a point at an
assumed distance along the line of sight of a new pixel is looked up in the remembered frame. One change for the whole
segment follows, so that nothing flickers inside it.

The comparison is made in Oklab (Ottosson, 2020): its three axes are lightness, green to red and blue to yellow. So a
cast is a shift of two of them, a loss of contrast a factor on the first, and equal distances look about equally large.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ..memory.cameras.pacing import spread
from ..memory.cameras.projection import pixel_middles, project, slopes, split
from ..memory.cameras.trajectory import Trajectory

VERSION = 1
"""Part of a segment's key where colours are anchored."""

MOST_SHIFT, MOST_GAIN = 0.08, 1.25
"""No segment is changed by more, in Oklab (lightness goes from 0 to 1)."""

GRID, LOOKED_AT, FEWEST = 32, 8, 200
"""Points across a picture that are compared, new frames of a segment, and pairs of points below which none is used."""

SAME_WAY = 0.7
"""Cosine between two lines of sight to one point; beyond, they are likely to see different sides of it."""

ODD, FLOOR, CALM = 3.0, 0.02, 0.01

FLAT = 0.06
"""Spread of colours (sum over the axes) below which a scene is so even that its points cannot say if they match."""

_TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def oklab(pictures: NDArray[np.uint8]) -> Floats:
    """Oklab (..., 3) float32 of sRGB pixels of the same shape, uint8: lightness 0..1, then green to red and
    blue to yellow, about -0.4..0.4 each."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.cbrt(linear[pictures] @ _TO_LMS.T.astype(np.float32)) @ _TO_LAB.T.astype(np.float32)


def srgb(lab: Floats) -> Pixels:
    """sRGB pixels uint8 of Oklab, both of the shape (..., 3); colours that no screen has are cut in each channel."""
    linear = ((lab @ _FROM_LAB.T.astype(np.float32)) ** 3 @ _FROM_LMS.T.astype(np.float32)).clip(0, 1)
    levels = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (levels * 255).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Change:
    """What brings colours to the remembered ones: about ``centre`` (3,) by ``gain`` (3,), then by ``shift`` (3,)."""

    centre: Floats
    gain: Floats
    shift: Floats

    def on(self, pictures: Pixels, strength: float) -> Pixels:
        """The pictures changed, by a share 0..1 of the way."""
        gain, shift = self.gain**strength, self.shift * strength
        changed = [srgb((oklab(one) - self.centre) * gain + self.centre + shift) for one in pictures]
        return np.stack(changed)


def anchored(
    pictures: Pixels,
    path: Trajectory,
    references: Pixels,
    seen_from: Trajectory,
    strength: float,
    distance: float,
) -> Pixels:
    """New frames (F, H, W, 3) with their colours brought towards those of remembered ones (K, H, W, 3).

    Args:
        path: cameras of the new frames.
        seen_from: cameras of the remembered ones.
        strength: 0 leaves the frames as they are, 1 goes all the way.
        distance: assumed distance of what is seen, in scene units.

    Returns:
        The same frames where strength is 0 or both see too little of the same.
    """
    if strength <= 0.0 or not len(references) or not len(pictures):
        return pictures
    chosen = spread(len(pictures), LOOKED_AT)
    cameras = replace(path, poses=path.poses[chosen], intrinsics=path.intrinsics[chosen])
    change = change_between(*pairs(pictures[chosen], cameras, references, seen_from, distance))
    return pictures if change is None else change.on(pictures, min(1.0, strength))


def change_between(ours: Floats, theirs: Floats) -> Change | None:
    """The change from colours (n, 3) to those that were remembered of the same points; None if there are too few.

    None, too, where points that should be the same differ more than all points of a picture do among each other: then
    the cameras do not tell the truth, or the scene is another. Points that changed for another reason (a thing that
    moved, a wrong distance) are left out: those whose difference is far from the usual one. The spread is compared, not
    fitted, so that points a little beside each other do no harm.
    """
    if len(ours) < FEWEST:
        return None
    apart = theirs - ours
    usual = np.median(apart, axis=0)
    off = np.abs(apart - usual)
    if _spread(apart) > max(_spread(ours), _spread(theirs), FLAT):
        return None
    kept = (off <= np.maximum(FLOOR, ODD * np.median(off, axis=0))).all(axis=1)
    if kept.sum() < FEWEST:
        return None
    ours, theirs = ours[kept], theirs[kept]
    gain = (theirs.std(axis=0) + CALM) / (ours.std(axis=0) + CALM)
    shift = (theirs.mean(axis=0) - ours.mean(axis=0)).clip(-MOST_SHIFT, MOST_SHIFT)
    return Change(ours.mean(axis=0), gain.clip(1 / MOST_GAIN, MOST_GAIN), shift)


def _spread(colours: Floats) -> float:
    """Median distance from the median, all three axes together."""
    return float(np.median(np.abs(colours - np.median(colours, axis=0)), axis=0).sum())


def pairs(
    pictures: Pixels, path: Trajectory, references: Pixels, seen_from: Trajectory, distance: float
) -> tuple[Floats, Floats]:
    """Oklab (n, 3) of points in new frames, and of the same points in remembered ones that see them."""
    height = max(2, round(GRID * pictures.shape[1] / pictures.shape[2]))
    new, old = (oklab(_small(frames, height)) for frames in (pictures, references))
    u, v = np.meshgrid(*(pixel_middles(np.arange(count, dtype=np.float64)) for count in (GRID, height)))
    ours, theirs = [], []
    for colours, pose, k in zip(new, path.poses, path.intrinsics, strict=True):
        sight = np.stack([*slopes(u, v, split(k)), np.ones_like(u)], axis=-1)
        sight = sight / np.linalg.norm(sight, axis=-1, keepdims=True) @ pose[:3, :3].T
        points = pose[:3, 3] + distance * sight
        for known, other, other_k in zip(old, seen_from.poses, seen_from.intrinsics, strict=True):
            from_there = points - other[:3, 3]
            local = from_there @ other[:3, :3]
            depth = np.maximum(local[..., 2], 1e-6)
            across, down = project(local[..., 0] / depth, local[..., 1] / depth, 1.0, split(other_k))
            column, row = np.floor(across * GRID), np.floor(down * height)
            alike = (from_there * sight).sum(axis=-1) > SAME_WAY * np.linalg.norm(from_there, axis=-1)
            seen = (local[..., 2] > 1e-6) & alike & (column >= 0) & (column < GRID) & (row >= 0) & (row < height)
            ours.append(colours[seen])
            theirs.append(known[row[seen].astype(int), column[seen].astype(int)])
    return np.concatenate(ours), np.concatenate(theirs)


def _small(frames: Pixels, height: int) -> Pixels:
    return np.stack([cv2.resize(frame, (GRID, height), interpolation=cv2.INTER_AREA) for frame in frames])

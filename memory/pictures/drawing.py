"""What the pictures of a memory are drawn with: text, frames at a smaller size, and a map of cameras from above."""

from __future__ import annotations

import colorsys
import math
from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray, horizontal_fov
from .letters import letters, readable

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
PANEL: Colour = (34, 37, 42)
QUIET: Colour = (110, 116, 126)
TEXT: Colour = (232, 234, 238)
WHITE: Colour = (255, 255, 255)
LINE, MARGIN = 15, 8
MOST_SCALE = 1e6
"""Pixels a scene unit at most: a camera that only turns stands in one place."""

PIXELS = 12
"""Height of a line of text of size 1."""
MOST_LETTERS = 1000
"""No picture is wide enough for more."""


def canvas(height: int, width: int, colour: Colour = BACKGROUND) -> Pixels:
    """An empty picture (height, width, 3)."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


def write(
    picture: Pixels, line: str, at: tuple[int, int], colour: Colour = TEXT, size: float = 1.0, room: int = 0
) -> None:
    """A line of text of any script whose left lower corner is ``at`` (x, y); cut to ``room`` pixels where that is
    given."""
    shown = readable(line[:MOST_LETTERS])
    if room and (text_width(shown, size) > room or len(line) > MOST_LETTERS):
        fits = bisect_right(range(1, len(shown)), room, key=lambda kept: text_width(f"{shown[:kept]}...", size))
        shown = f"{shown[:fits]}..."
    letters().draw(picture, shown, at, colour, round(PIXELS * size))


def text_width(line: str, size: float = 1.0) -> int:
    """Pixels that ``write`` needs for a line."""
    return letters().width(readable(line), round(PIXELS * size))


def thumbnail(frame: Pixels, width: int, height: int) -> Pixels:
    """A frame (H, W, 3) at another size."""
    how = cv2.INTER_CUBIC if frame.shape[1] < width else cv2.INTER_AREA
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), dtype=np.uint8)


def grown(picture: Pixels, height: int) -> Pixels:
    """A picture (H, W, 3) with background below it, up to ``height``: (height, W, 3)."""
    result = canvas(height, picture.shape[1])
    result[: len(picture)] = picture
    return result


def series_colour(index: int, count: int) -> Colour:
    """The colour of one of ``count`` things in order."""
    red, green, blue = colorsys.hsv_to_rgb(0.02 + 0.8 * index / max(1, count), 0.65, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def note_picture(*lines: str) -> Pixels:
    """A picture (H, W, 3) that only says something."""
    picture = canvas(260, 520)
    for row, line in enumerate(lines):
        write(picture, line, (2 * MARGIN, 130 + row * 2 * LINE))
    return picture


@dataclass(frozen=True, eq=False)
class Plan:
    """Where scene units lie on a map of ``width`` x ``height`` pixels: x to the right, z upwards. ``middle`` (x, y) is
    the pixel of ``centre`` (x, z)."""

    width: int
    height: int
    centre: FloatArray
    middle: FloatArray
    scale: float

    @classmethod
    def around(cls, poses: FloatArray, side: int) -> Plan:
        """A square map with the cameras (n, 4, 4) in the middle, so that wedges of a quarter of the map fit too."""
        positions = poses[:, [0, 2], 3]
        extent = max(float(np.ptp(positions, axis=0).max()), 1e-9)
        centre, middle = (positions.min(axis=0) + positions.max(axis=0)) / 2, np.full(2, side / 2)
        return cls(side, side, centre, middle, min(0.38 * side / extent, MOST_SCALE))

    @classmethod
    def with_marks(cls, positions: FloatArray, marks: FloatArray, width: int, height: int) -> Plan:
        """The largest map on which all ``positions`` (n, 2), x and z, stand with their ``marks``: pixels (n, 2) beside
        each that are to be on the map too, however large it is."""
        centre = (positions.min(axis=0) + positions.max(axis=0)) / 2
        flat = (positions - centre) * (1.0, -1.0)

        def bounds(scale: float) -> tuple[FloatArray, FloatArray]:
            reached = np.concatenate([flat * scale, flat * scale + marks])
            return reached.min(axis=0), reached.max(axis=0)

        def fits(scale: float) -> bool:
            least, most = bounds(scale)
            return bool((most - least <= (width, height)).all())

        extent = max(float(np.ptp(positions, axis=0).max()), 1e-9)
        low, high = 0.0, min(max(width, height) / extent, MOST_SCALE)
        for _ in range(40):
            half = (low + high) / 2
            low, high = (half, high) if fits(half) else (low, half)
        least, most = bounds(low)
        return cls(width, height, centre, np.array([width, height]) / 2 - (least + most) / 2, low)

    def at(self, pose: FloatArray) -> tuple[int, int]:
        """Pixel (x, y) of a pose (4, 4)."""
        x, z = (np.array([pose[0, 3], pose[2, 3]]) - self.centre) * self.scale
        return round(float(self.middle[0] + x)), round(float(self.middle[1] - z))


def fan(pose: FloatArray, intrinsics: FloatArray, reach: float) -> FloatArray:
    """Pixels (10, 2) of the horizontal field of view of a camera on a map, from its position, which is the first."""
    heading, half = _heading(pose), math.radians(float(horizontal_fov(intrinsics))) / 2
    angles = heading + np.linspace(-half, half, 9)
    return np.concatenate([np.zeros((1, 2)), reach * np.stack([np.sin(angles), -np.cos(angles)], axis=1)])


def wedge(
    picture: Pixels, plan: Plan, pose: FloatArray, intrinsics: FloatArray, reach: float, colour: Colour,
    fill: float = 0.0, line: int = 1,
) -> None:
    """The view of a camera with a pose (4, 4) and intrinsics (4,) on a map: its horizontal field of view, ``reach``
    pixels long, ``fill`` 0..1 of it covered, its outline ``line`` pixels wide."""
    outline = (np.array(plan.at(pose)) + fan(pose, intrinsics, reach)).round().astype(np.int32)
    if fill:
        layer = picture.copy()
        cv2.fillPoly(layer, [outline], colour, cv2.LINE_AA)
        cv2.addWeighted(layer, fill, picture, 1 - fill, 0, dst=picture)
    cv2.polylines(picture, [outline], True, colour, line, cv2.LINE_AA)


def camera_mark(picture: Pixels, plan: Plan, pose: FloatArray, colour: Colour, tick: int = 9, radius: int = 2) -> None:
    """A camera with a pose (4, 4) on a map: a dot of ``radius`` pixels, and a ``tick`` of so many the way it looks."""
    at, heading = plan.at(pose), _heading(pose)
    if tick:
        end = (round(at[0] + tick * math.sin(heading)), round(at[1] - tick * math.cos(heading)))
        cv2.line(picture, at, end, colour, 1, cv2.LINE_AA)
    cv2.circle(picture, at, radius, colour, -1, cv2.LINE_AA)


def scale_bar(picture: Pixels, end: tuple[int, int], scale: float, room: float, below: bool = False) -> None:
    """How long a few scene units are at ``scale`` pixels a unit: a bar of ``room`` pixels at most whose right end is
    ``end`` (x, y), and its length in words above it, or ``below``."""
    units = round_units(room / scale)
    right, y = end
    left = round(right - units * scale)
    if right - left < 2:
        return
    cv2.line(picture, (left, y), end, QUIET, 1, cv2.LINE_AA)
    label = f"{units:g} unit{'s' if units != 1 else ''}"
    write(picture, label, (right - text_width(label), y + LINE) if below else (left, y - 5), QUIET)


def round_units(room: float) -> float:
    """The greatest 1, 2 or 5 times a power of ten that is not above ``room``."""
    decade = 10.0 ** math.floor(math.log10(max(room, 1e-12)))
    return float(decade * max(step for step in (1, 2, 5) if step * decade <= room * (1 + 1e-9)))


def _heading(pose: FloatArray) -> float:
    return math.atan2(pose[0, 2], pose[2, 2])

"""The lines of COLMAP's images.txt and cameras.txt."""

from __future__ import annotations

import math
from itertools import takewhile

from .colmap_model import Camera, Images
from .numbers import first_rows, is_number, numbers_of
from .source import MAX_POSES, Source

_UNIT = 0.01
"""How far from 1 the length of a quaternion may be, as in `poses.quaternion_poses`."""


def begins_with_image(source: Source) -> bool:
    """Whether COLMAP's own comment, or an image's line, comes first."""
    comments = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), source.beginning)
    if any("IMAGE_ID" in line and "QW" in line for line in comments):
        return True
    words = source.first_rows[0].split(None, 9) if source.first_rows else []
    return _is_image(words) and (not _is_numeric(words[9]) or (len(words[9].split()) == 1 and _is_unit(words)))


def begins_with_camera(source: Source, models: set[str]) -> bool:
    return any(len(row) > 6 and row[1] in models for row in first_rows(source))


def images(source: Source) -> Images:
    """What the images' lines say. The line after each, of points, may be empty or missing."""
    if not source.first_rows:
        source.refuse("it has no images", "Choose images.txt of a model with images")
    rows: list[list[str]] = []
    numbers: list[int] = []
    points = False
    for number, line in enumerate(source.lines(), 1):
        if line.lstrip().startswith("#"):
            continue
        words = line.split(None, 9)
        if points and not _follows_image(words, line):
            points = False
        elif words:
            if len(words) < 10:
                source.refuse(
                    f"{len(words)} values, expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME",
                    "Each image has two lines, of which the second, of points, may be empty",
                    f"line {number}",
                )
            if len(rows) == MAX_POSES:
                source.refuse(f"it has more than {MAX_POSES} cameras, the most that are read",
                              "Keep only those of the shot")  # fmt: skip
            rows.append([*words[:9], words[9].rstrip()])
            numbers.append(number)
            points = True

    def where(index: int) -> str:
        return f"line {numbers[index]}"

    values = numbers_of(source, [row[:8] for row in rows], 8, "COLMAP's images", where)
    return Images(values[:, 1:], [row[8] for row in rows], [row[9] for row in rows], where)


def cameras(source: Source) -> list[Camera]:
    """The cameras that its lines say, not yet checked."""
    return [
        Camera(line.split(), f"line {number}")
        for number, line in enumerate(source.lines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _follows_image(words: list[str], line: str) -> bool:
    """Whether the line after an image's (its first nine words and the rest) is the next image's, not its points.

    Points come in threes, x y and a whole number. An image ends in a name, which may be digits only; where both fit,
    it is the image's if its quaternion has the length 1, which two places in pixels and a point's number do not.
    """
    if not words or not all(map(is_number, words[:9])):
        # Nothing stands for no points. A word among the numbers: an image that is damaged, and is refused as that.
        return bool(words)
    if len(words) == 10 and not is_number(words[9].rsplit(None, 1)[-1]):
        return True
    return _is_image(words) and (not _is_numeric(words[9]) or len(line.split()) % 3 != 0 or _is_unit(words))


def _is_image(words: list[str]) -> bool:
    return len(words) == 10 and words[0].isdigit() and words[8].isdigit() and all(map(is_number, words[1:8]))


def _is_unit(words: list[str]) -> bool:
    return abs(math.hypot(*map(float, words[1:5])) - 1.0) <= _UNIT


def _is_numeric(rest: str) -> bool:
    return all(map(is_number, rest.split()))

"""What COLMAP's images and cameras say: the lines of images.txt and cameras.txt, and the records of images.bin and
cameras.bin, little-endian, one after the other, behind their number.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from itertools import takewhile
from typing import NoReturn

import numpy as np

from ..cameras.camera import FloatArray
from .numbers import first_rows, is_number, numbers_of
from .poses import Where
from .source import MAX_POSES, Source


@dataclass(frozen=True)
class Images:
    """``values`` (F, 7): quaternion with w first and translation, world-to-camera; CAMERA_ID and NAME of each."""

    values: FloatArray
    cameras: list[str]
    names: list[str]
    where: Where


@dataclass(frozen=True)
class Camera:
    """The words CAMERA_ID MODEL WIDTH HEIGHT PARAMS[] of one camera, and where they stand."""

    words: list[str]
    location: str


def begins_with_image(source: Source) -> bool:
    """Whether it begins as a file of images does."""
    return _text_begins_with_image(source) if source.is_table else (
        not source.is_text and _binary_begins_with_image(source)
    )


def begins_with_camera(source: Source) -> bool:
    """Whether it begins as a file of cameras does."""
    return _text_begins_with_camera(source) if source.is_table else (
        not source.is_text and _binary_begins_with_camera(source)
    )


def images(source: Source) -> Images:
    """What a file of images says; refuses one that is none, or not whole."""
    return _text_images(source) if source.is_text else _binary_images(source)


def cameras(source: Source) -> list[Camera]:
    """What a file of cameras says, in the words of cameras.txt, not yet checked."""
    return _text_cameras(source) if source.is_text else _binary_cameras(source)


_UNIT = 0.01
"""How far from 1 the length of a quaternion may be, as in `poses.quaternion_poses`."""


def _text_begins_with_image(source: Source) -> bool:
    """Whether COLMAP's own comment, or an image's line, comes first."""
    comments = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), source.beginning)
    if any("IMAGE_ID" in line and "QW" in line for line in comments):
        return True
    words = source.first_rows[0].split(None, 9) if source.first_rows else []
    return _is_image(words) and (not _is_numeric(words[9]) or (len(words[9].split()) == 1 and _is_unit(words)))


def _text_begins_with_camera(source: Source) -> bool:
    models = {name for name, _ in _MODELS}
    return any(len(row) > 6 and row[1] in models for row in first_rows(source))


def _text_images(source: Source) -> Images:
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


def _text_cameras(source: Source) -> list[Camera]:
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


_COUNT = struct.Struct("<Q")
_IMAGE = struct.Struct("<I7dI")
_CAMERA = struct.Struct("<iiQQ")
_POINT = 24
_LONGEST_NAME = 4096
_MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)  # fmt: skip
"""Names of the camera models by their number, and how many parameters each has."""


def _binary_begins_with_image(source: Source) -> bool:
    """Whether a number of images and a whole first one stand at the beginning."""
    data = source.data
    if len(data) < _COUNT.size + _IMAGE.size + 2 or not 1 <= _COUNT.unpack_from(data)[0] <= len(data) // _IMAGE.size:
        return False
    _, *numbers, _ = _IMAGE.unpack_from(data, _COUNT.size)
    name = _name(data, _COUNT.size + _IMAGE.size)
    return all(map(math.isfinite, numbers)) and abs(math.hypot(*numbers[:4]) - 1.0) <= 0.01 and bool(name)


def _binary_begins_with_camera(source: Source) -> bool:
    data = source.data
    if len(data) < _COUNT.size + _CAMERA.size or not 1 <= _COUNT.unpack_from(data)[0] <= len(data) // _CAMERA.size:
        return False
    _, model, width, height = _CAMERA.unpack_from(data, _COUNT.size)
    end = _COUNT.size + _CAMERA.size + 8 * (_MODELS[model][1] if 0 <= model < len(_MODELS) else 0)
    return 0 <= model < len(_MODELS) and 0 < width < 10**6 and 0 < height < 10**6 and end <= len(data)


def _binary_images(source: Source) -> Images:
    data, count, at = source.data, _count(source, "images"), _COUNT.size
    values = np.empty((count, 7))
    cameras, names = [], []
    for index in range(count):
        name = _name(data, at + _IMAGE.size) if at + _IMAGE.size < len(data) else ""
        points = at + _IMAGE.size + len(name.encode()) + 1
        if not name or points + _COUNT.size > len(data):
            _refuse_cut(source, f"image {index + 1} of {count}", at)
        _, *numbers, camera = _IMAGE.unpack_from(data, at)
        values[index] = numbers
        cameras.append(str(camera))
        names.append(name)
        at = points + _COUNT.size + _POINT * _COUNT.unpack_from(data, points)[0]
        if at > len(data):
            _refuse_cut(source, f"the points of image {index + 1} of {count}", points)
    if at != len(data):
        source.refuse(f"{len(data) - at} bytes follow after the last of its {count} images", "Copy the file again")
    return Images(values, cameras, names, lambda index: f"image {index + 1} ({names[index]})")


def _binary_cameras(source: Source) -> list[Camera]:
    """The cameras in the words of cameras.txt."""
    data, count, at = source.data, _count(source, "cameras"), _COUNT.size
    result = []
    for index in range(count):
        location = f"camera {index + 1} of {count}"
        if at + _CAMERA.size > len(data):
            _refuse_cut(source, location, at)
        number, model, width, height = _CAMERA.unpack_from(data, at)
        if not 0 <= model < len(_MODELS):
            source.refuse(
                f"the camera model {model} is not known",
                "Write the model as text: `colmap model_converter --output_type TXT`",
                location,
            )
        name, parameters = _MODELS[model]
        if at + _CAMERA.size + 8 * parameters > len(data):
            _refuse_cut(source, location, at)
        values = struct.unpack_from(f"<{parameters}d", data, at + _CAMERA.size)
        result.append(Camera([str(number), name, str(width), str(height), *map(repr, values)], location))
        at += _CAMERA.size + 8 * parameters
    if at != len(data):
        source.refuse(f"{len(data) - at} bytes follow after the last of its {count} cameras", "Copy the file again")
    return result


def _count(source: Source, what: str) -> int:
    if len(source.data) < _COUNT.size:
        source.refuse("it has fewer bytes than a number takes", f"Choose {what}.bin of a COLMAP model")
    (count,) = _COUNT.unpack_from(source.data)
    if count == 0:
        source.refuse(f"it has no {what}", f"Choose {what}.bin of a model with {what}")
    if count > MAX_POSES:
        source.refuse(f"it says that it has {count} {what}, at most {MAX_POSES} are read",
                      f"Choose {what}.bin of a COLMAP model, with those of the shot only")  # fmt: skip
    return int(count)


def _name(data: bytes, at: int) -> str:
    """The name that begins at byte ``at``; empty where none ends."""
    end = data.find(b"\0", at, at + _LONGEST_NAME)
    try:
        name = data[at:end].decode("utf-8") if end > at else ""
    except UnicodeDecodeError:
        return ""
    return name if name.isprintable() else ""


def _refuse_cut(source: Source, what: str, at: int) -> NoReturn:
    source.refuse(f"{what} is not whole, from byte {at} of {len(source.data)}", "The file is cut off or damaged: copy "
                  "it again")  # fmt: skip

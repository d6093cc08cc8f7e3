"""COLMAP's images.bin and cameras.bin: little-endian records one after the other, behind their number."""

from __future__ import annotations

import math
import struct
from typing import NoReturn

import numpy as np

from .colmap_model import Camera, Images
from .source import MAX_POSES, Source

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


def begins_with_image(source: Source) -> bool:
    """Whether a number of images and a whole first one stand at the beginning."""
    data = source.data
    if len(data) < _COUNT.size + _IMAGE.size + 2 or not 1 <= _COUNT.unpack_from(data)[0] <= len(data) // _IMAGE.size:
        return False
    _, *numbers, _ = _IMAGE.unpack_from(data, _COUNT.size)
    name = _name(data, _COUNT.size + _IMAGE.size)
    return all(map(math.isfinite, numbers)) and abs(math.hypot(*numbers[:4]) - 1.0) <= 0.01 and bool(name)


def begins_with_camera(source: Source) -> bool:
    data = source.data
    if len(data) < _COUNT.size + _CAMERA.size or not 1 <= _COUNT.unpack_from(data)[0] <= len(data) // _CAMERA.size:
        return False
    _, model, width, height = _CAMERA.unpack_from(data, _COUNT.size)
    end = _COUNT.size + _CAMERA.size + 8 * (_MODELS[model][1] if 0 <= model < len(_MODELS) else 0)
    return 0 <= model < len(_MODELS) and 0 < width < 10**6 and 0 < height < 10**6 and end <= len(data)


def images(source: Source) -> Images:
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


def cameras(source: Source) -> list[Camera]:
    """The cameras in the words of cameras.txt."""
    data, count, at = source.data, _count(source, "cameras"), _COUNT.size
    result = []
    for index in range(count):
        place = f"camera {index + 1} of {count}"
        if at + _CAMERA.size > len(data):
            _refuse_cut(source, place, at)
        number, model, width, height = _CAMERA.unpack_from(data, at)
        if not 0 <= model < len(_MODELS):
            source.refuse(
                f"the camera model {model} is not known",
                "Write the model as text: `colmap model_converter --output_type TXT`",
                place,
            )
        name, parameters = _MODELS[model]
        if at + _CAMERA.size + 8 * parameters > len(data):
            _refuse_cut(source, place, at)
        values = struct.unpack_from(f"<{parameters}d", data, at + _CAMERA.size)
        result.append(Camera([str(number), name, str(width), str(height), *map(repr, values)], place))
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

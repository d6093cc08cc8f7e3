"""The metadata of a segment: the text whose sha256 is the segment's id, and what must hold for it.

The text states the sha256 of the cameras and of every frame's pixels, so the id vouches for the whole segment, however
its pictures are coded, and still does when some of them were dropped.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..document import FORMAT_VERSION, Document, canonical, parse, text_id
from ..errors import damaged
from ..state.depth import MAX_DEPTH_SIDE
from .codec import MAX_PIXELS

SEGMENT_KIND = "scene-memory segment"
MAX_SIDE = 16384
MAX_SEGMENT_FRAMES = 65536
MAX_TEXT_BYTES = 1024 * 1024
MAX_SHOTS = 1_000_000
MIN_FPS, MAX_FPS = 1e-9, 1e9
"""Rates that are read: far beyond what a film has, but what camera files without times have led to must still load."""
MAX_TIME = 1e15
MAX_EXTRA_BYTES = 2 << 30
"""Bytes of the largest latents of a segment."""

_WHOLE = (
    ("shot", 0, MAX_SHOTS - 1), ("frames", 1, MAX_SEGMENT_FRAMES), ("height", 1, MAX_SIDE), ("width", 1, MAX_SIDE),
)


def digest(value: NDArray[Any] | bytes) -> str:
    """Hex sha256 of bytes, or of an array of any shape row by row, little endian."""
    return hashlib.sha256(value if isinstance(value, bytes) else np.ascontiguousarray(value).data).hexdigest()


def segment_text(
    *,
    parent: str,
    shot: int,
    prompt: str,
    size: tuple[int, int],
    fps: float,
    time: float,
    info: Mapping[str, Any],
    latent_space: str,
    tensors: Mapping[str, NDArray[Any]],
) -> str:
    """The metadata of a segment with ``tensors`` "poses" (F, 3, 4), "intrinsics" (1 or F, 4), "hashes" (F, 32), and
    perhaps "latents" (C, T, h, w) and "depth" (F, h, w)."""
    return canonical({
        "format": SEGMENT_KIND,
        "version": FORMAT_VERSION,
        "parent": parent,
        "shot": shot,
        "prompt": prompt,
        "frames": len(tensors["poses"]),
        "height": size[0],
        "width": size[1],
        "fps": fps,
        "time": time,
        "info": dict(info),
        "latent_space": latent_space,
        "tensors": {name: {"shape": list(value.shape), "sha256": digest(value)} for name, value in tensors.items()},
    })


def parse_segment(text: str | bytes, segment_id: str, what: str) -> Document:
    """The metadata in ``text``, whose id must be ``segment_id``. Raises ``DamageError`` that names ``what``."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_TEXT_BYTES or not data.isascii():
        raise damaged(f"{what} has metadata that is not ASCII, or more than {MAX_TEXT_BYTES} bytes")
    if text_id(data) != segment_id:
        raise damaged(f"{what} does not hold what its name says: its metadata was changed")
    document = parse(data.decode("ascii"), SEGMENT_KIND, what)
    if not (_good_numbers(document) and _good_tensors(document)):
        raise damaged(f"{what} has metadata that this format does not allow")
    return document


def parent_in(text: bytes) -> str:
    """Id of the memory that the entry with the metadata ``text`` continues; empty if it does not say."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    parent = document.get("parent") if isinstance(document, dict) else None
    return parent if isinstance(parent, str) else ""


def is_version_1(document: Document) -> bool:
    """Whether the segment was written by version 1: it hashes its coded pictures as a whole."""
    return "frames" in document["tensors"]


def intrinsics_rows(document: Document) -> int:
    """Rows of the tensor "intrinsics": 1 if all frames have the same, else one a frame."""
    return int(document["tensors"]["intrinsics"]["shape"][0])


def check_cameras(document: Document, poses: FloatArray, intrinsics: FloatArray, time: float, what: str) -> None:
    """Raises ``DamageError`` that names ``what`` for cameras whose hashes are not those in the metadata.

    ``poses`` (F, 3, 4), ``intrinsics`` (``intrinsics_rows``, 4), and ``time``, the second at which the segment begins.
    """
    stated = document["tensors"]
    if is_version_1(document):
        square = np.zeros((len(poses), 4, 4))
        square[:, :3], square[:, 3, 3] = poses, 1.0
        poses = square
        times = time + np.arange(document["frames"]) / document["fps"]
        if digest(times) != stated["times"]["sha256"]:
            raise damaged(f"{what} has times that do not follow those before it")
    elif document["time"] != time:
        raise damaged(f"{what} begins at {document['time']} s, expected {time} s")
    if digest(poses) != stated["poses"]["sha256"] or digest(intrinsics) != stated["intrinsics"]["sha256"]:
        raise damaged(f"{what} has cameras that were changed")


def _good_numbers(document: Document) -> bool:
    time, fps = document.get("time"), document.get("fps")
    for key, low, high in _WHOLE:
        value = document.get(key)
        if type(value) is not int or not low <= value <= high:
            return False
    return (
        document["height"] * document["width"] <= MAX_PIXELS
        and isinstance(fps, int | float)
        and not isinstance(fps, bool)
        and MIN_FPS <= fps <= MAX_FPS
        and (time is None or (type(time) is float and 0.0 <= time <= MAX_TIME))
        and isinstance(document.get("parent"), str)
        and isinstance(document.get("prompt"), str)
        and isinstance(document.get("info"), dict)
        and isinstance(document.get("latent_space"), str)
    )


def _good_tensors(document: Document) -> bool:
    tensors, frames = document.get("tensors"), document["frames"]
    if not isinstance(tensors, dict):
        return False
    shapes: dict[str, list[int]] = {}
    for name, value in tensors.items():
        if not (isinstance(value, dict) and isinstance(value.get("sha256"), str)):
            return False
        shape = value.get("shape")
        if not isinstance(shape, list):
            return False
        for side in shape:
            if type(side) is not int or not 0 <= side < 2**48:
                return False
        shapes[name] = shape
    if "frames" in shapes:
        return (
            document.get("coding") == "png"
            and document["time"] is None
            and len(shapes["frames"]) == 1
            and shapes.get("poses") == [frames, 4, 4]
            and shapes.get("intrinsics") == [frames, 4]
            and shapes.get("times") == [frames]
            and shapes.get("offsets") == [frames + 1]
        )
    depth, latents = shapes.get("depth", [frames, 1, 1]), shapes.get("latents", [1, 1, 1, 1])
    return (
        document["time"] is not None
        and shapes.get("poses") == [frames, 3, 4]
        and shapes.get("intrinsics") in ([frames, 4], [1, 4])
        and shapes.get("hashes") == [frames, 32]
        and len(depth) == 3
        and depth[0] == frames
        and 1 <= depth[1] <= MAX_DEPTH_SIDE
        and 1 <= depth[2] <= MAX_DEPTH_SIDE
        and len(latents) == 4
        and min(latents) >= 1
        and math.prod(latents) <= MAX_EXTRA_BYTES // 4
    )

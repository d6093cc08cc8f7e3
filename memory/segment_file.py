"""One segment as a content-addressed safetensors file: its name is the sha256 of what it holds.

The metadata states the sha256 of every tensor, and the id is the sha256 of the metadata, so one short text vouches for
the whole file. FORMAT.md has the layout.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .camera import FloatArray
from .codec import decode_frame, encode_frame
from .errors import damaged
from .format import FORMAT_VERSION, canonical, parse
from .state import SegmentRecord
from .trajectory import Trajectory

KIND = "scene-memory segment"
MAX_SIDE = 16384
_KEY = "scene_memory"
_DTYPES = {"frames": "U8", "offsets": "I64", "poses": "F64", "intrinsics": "F64", "times": "F64"}


@dataclass(frozen=True)
class SegmentCameras:
    """What a state needs of a segment: its record, poses (F, 4, 4), intrinsics (F, 4) and times (F,)."""

    record: SegmentRecord
    poses: FloatArray
    intrinsics: FloatArray
    times: FloatArray


def pack_segment(
    frames: NDArray[np.uint8],
    trajectory: Trajectory,
    times: FloatArray,
    *,
    parent: str,
    start: int,
    shot: int,
    prompt: str,
    info: Mapping[str, Any],
) -> tuple[SegmentRecord, bytes]:
    """The record and the file of a segment from frames (F, H, W, 3) uint8 and their cameras."""
    count, height, width = (int(side) for side in frames.shape[:3])
    coded = [encode_frame(frame, "png") for frame in frames]
    offsets = np.concatenate([[0], np.cumsum([len(data) for data in coded])])
    tensors: dict[str, NDArray[Any]] = {
        "frames": np.frombuffer(b"".join(coded), dtype=np.uint8),
        "offsets": offsets.astype("<i8"),
        "poses": np.ascontiguousarray(trajectory.poses, dtype="<f8"),
        "intrinsics": np.ascontiguousarray(trajectory.intrinsics, dtype="<f8"),
        "times": np.ascontiguousarray(times, dtype="<f8"),
    }
    metadata = canonical({
        "format": KIND,
        "version": FORMAT_VERSION,
        "parent": parent,
        "shot": shot,
        "prompt": prompt,
        "frames": count,
        "height": height,
        "width": width,
        "fps": trajectory.fps,
        "coding": "png",
        "info": dict(info),
        "tensors": {name: {"shape": list(value.shape), "sha256": _digest(value)} for name, value in tensors.items()},
    })
    record = SegmentRecord(
        id=hashlib.sha256(metadata.encode("ascii")).hexdigest(),
        parent=parent,
        start=start,
        frames=count,
        shot=shot,
        prompt=prompt,
        size=(height, width),
        fps=trajectory.fps,
        info_json=canonical(info),
    )
    return record, save(tensors, metadata={_KEY: metadata})


def read_cameras(path: Path, segment_id: str, start: int) -> SegmentCameras:
    """The record and cameras of the segment file ``path``, checked to the last bit, pictures included.

    Raises ``DamageError`` that names the file. A file that has not changed since it was checked is not read again in
    full.
    """
    with _opened(path) as file:
        document = _document(file, path, segment_id)
        count = document["frames"]
        shapes = {"offsets": (count + 1,), "poses": (count, 4, 4), "intrinsics": (count, 4), "times": (count,)}
        tensors = {name: _tensor(file, name, shape, document, path) for name, shape in shapes.items()}
    offsets, times = tensors["offsets"], tensors["times"]
    length = document["tensors"]["frames"]["shape"][0]
    if offsets[0] != 0 or offsets[-1] != length or (np.diff(offsets) <= 0).any() or not np.isfinite(times).all():
        raise damaged(f"{path.name} has pictures or times out of order")
    status = path.stat()
    _check_pictures(path, document["tensors"]["frames"]["sha256"], length, status.st_size, status.st_mtime_ns)
    record = SegmentRecord(
        id=segment_id,
        parent=document["parent"],
        start=start,
        frames=count,
        shot=document["shot"],
        prompt=document["prompt"],
        size=(document["height"], document["width"]),
        fps=float(document["fps"]),
        info_json=canonical(document["info"]),
    )
    return SegmentCameras(record, tensors["poses"], tensors["intrinsics"], times)


def read_pictures(path: Path, record: SegmentRecord, indices: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) uint8 at ``indices`` within the segment; only their bytes are read."""
    with _opened(path) as file:
        offsets = _slice(file, "offsets", path)[:]
        blob = _slice(file, "frames", path)
        length = blob.get_shape()[0]
        if len(offsets) != record.frames + 1:
            raise damaged(f"{path.name} lists {len(offsets) - 1} pictures, expected {record.frames}")
        for index in indices:
            begin, end = int(offsets[index]), int(offsets[index + 1])
            if not 0 <= begin < end <= length:
                raise damaged(f"{path.name}: picture {index} lies outside the file")
            yield decode_frame(blob[begin:end].tobytes(), record.size, f"{path.name}, picture {index},", "png")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            yield file
    except FileNotFoundError as error:
        raise damaged(f"{path.name} is missing from {path.parent}") from error
    except (SafetensorError, OSError) as error:
        raise damaged(f"{path.name} cannot be read ({error})") from error


def _document(file: Any, path: Path, segment_id: str) -> dict[str, Any]:
    text = (file.metadata() or {}).get(_KEY, "")
    document = parse(text, KIND, path.name)
    if hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != segment_id:
        raise damaged(f"{path.name} does not hold what its name says: its metadata was changed")
    whole = {"shot": (0, 2**31 - 1), "frames": (1, 2**31 - 1), "height": (1, MAX_SIDE), "width": (1, MAX_SIDE)}
    good = (
        all(type(document.get(key)) is int and low <= document[key] <= high for key, (low, high) in whole.items())
        and type(document.get("fps")) in (int, float)
        and math.isfinite(document["fps"])
        and document["fps"] > 0
        and isinstance(document.get("parent"), str)
        and isinstance(document.get("prompt"), str)
        and isinstance(document.get("info"), dict)
        and document.get("coding") == "png"
        and _good_tensors(document.get("tensors"))
    )
    if not good:
        raise damaged(f"{path.name} has metadata that this format does not allow")
    return document


def _good_tensors(tensors: object) -> bool:
    return isinstance(tensors, dict) and all(
        isinstance(tensors.get(name), dict)
        and isinstance(tensors[name].get("sha256"), str)
        and isinstance(tensors[name].get("shape"), list)
        and len(tensors[name]["shape"]) >= 1
        and all(type(side) is int for side in tensors[name]["shape"])
        for name in _DTYPES
    )


def _slice(file: Any, name: str, path: Path) -> Any:
    if name not in set(file.keys()):
        raise damaged(f"{path.name} has no tensor {name!r}")
    part = file.get_slice(name)
    if part.get_dtype() != _DTYPES[name]:
        raise damaged(f"{path.name}: {name!r} is {part.get_dtype()}, expected {_DTYPES[name]}")
    return part


def _tensor(file: Any, name: str, shape: tuple[int, ...], document: dict[str, Any], path: Path) -> NDArray[Any]:
    found = tuple(_slice(file, name, path).get_shape())
    if found != shape:
        raise damaged(f"{path.name}: {name!r} has the shape {found}, expected {shape}")
    value: NDArray[Any] = file.get_tensor(name)
    if _digest(value) != document["tensors"][name]["sha256"]:
        raise damaged(f"{path.name}: {name!r} was changed")
    return value


@lru_cache(maxsize=65536)
def _check_pictures(path: Path, digest: str, length: int, size: int, modified: int) -> None:
    with _opened(path) as file:
        blob = _slice(file, "frames", path)
        if tuple(blob.get_shape()) != (length,) or _digest(blob[:]) != digest:
            raise damaged(f"{path.name}: its pictures were changed")


def _digest(value: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()

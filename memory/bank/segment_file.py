"""One segment as a safetensors file, whose name is the id of what it holds. FORMAT.md has the layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from ..document import Document, canonical, text_id
from ..errors import BankError, DamageError, damaged
from ..state.depth import READ_OFF, depth_to_keep
from ..state.records import SegmentRecord
from ..state.state import MemoryState
from .codec import DEFAULT_CODING, decode_frame, encode_frame, in_parallel
from .segment_text import check_cameras, digest, intrinsics_rows, is_version_1, parse_segment, segment_text
from .tensor_file import Buffer, Stored, TensorFile, encode_tensors, open_tensors

_TEXT, _CODING = "scene_memory", "coding"
_ALONE_BYTES = 1 << 20
_HUGE_BYTES = 1 << 26
_OVERHEAD = 1 << 16
"""Bytes that a coded picture may have beside twice those of its pixels."""
_ORDER = ("poses", "intrinsics", "latents", "depth", "hashes")

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class SegmentCameras:
    """What a state needs of a segment: its record, poses (F, 3, 4) and intrinsics (1 or F, 4)."""

    record: SegmentRecord
    poses: FloatArray
    intrinsics: FloatArray


@dataclass(frozen=True)
class CodedPicture:
    """A picture as it lies in a file; ``sha256`` is that of its pixels, None if the file was checked as a whole."""

    data: bytes
    size: tuple[int, int]
    coding: str
    sha256: bytes | None
    what: str

    def decoded(self) -> NDArray[np.uint8]:
        """The pixels (H, W, 3) uint8. Raises ``DamageError`` if they are not those that were stored."""
        picture = decode_frame(self.data, self.size, self.what, self.coding)
        if self.sha256 is not None and hashlib.sha256(np.ascontiguousarray(picture).data).digest() != self.sha256:
            raise damaged(f"{self.what} does not have the pixels that were stored")
        return picture


def describe_segment(
    state: MemoryState,
    frames: NDArray[np.uint8],
    trajectory: Trajectory,
    *,
    shot: int,
    prompt: str = "",
    info: Mapping[str, Any] | None = None,
    latents: NDArray[Any] | None = None,
    latent_space: str = "",
    depth: NDArray[Any] | None = None,
) -> tuple[SegmentRecord, Tensors]:
    """The record of a new segment after ``state``, which has its id, and what is stored beside its pictures.

    ``frames`` (F, H, W, 3) uint8, ``latents`` (C, T, h, w), ``depth`` (F, h, w). Raises ``ValueError`` or ``TypeError``
    for an ``info`` that JSON cannot hold and a depth of another shape.
    """
    hashes = _each(lambda frame: hashlib.sha256(np.ascontiguousarray(frame).data).digest(), frames, frames[0].nbytes)
    return _described(
        state, trajectory, np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32), latents, depth,
        size=(frames.shape[1], frames.shape[2]), shot=shot, prompt=prompt, info=info or {}, latent_space=latent_space,
    )


def describe_again(
    state: MemoryState,
    path: Path,
    segment_id: str,
    trajectory: Trajectory,
    *,
    shot: int,
    prompt: str = "",
    info: Mapping[str, Any] | None = None,
    depth: NDArray[Any] | None = None,
) -> tuple[SegmentRecord, Tensors]:
    """The record that the pictures and latents of a segment file have after another memory, ``state``, and what is
    stored beside its pictures. ``depth`` (F, h, w). After the same memory its ``info`` stays as it is, but for what it
    says of what is read off the pictures, depth and cameras.

    Raises ``BankError`` for a segment of version 1, whose pictures only have a hash together.
    """
    with _opened(path, segment_id) as (file, document):
        hashes = _hashes(file, document, path)
        if hashes is None or len(hashes) != len(trajectory):
            raise BankError(f"{path.name} does not hold the pictures of {len(trajectory)} frames with a hash of each.")
    told = dict(info or {})
    if document["parent"] == state.id:
        read_off = {name: told[name] for name in READ_OFF if name in told}
        told = {name: value for name, value in document["info"].items() if name not in READ_OFF} | read_off
    return _described(
        state, trajectory, hashes, read_extra(path, segment_id, "latents"), depth,
        size=(document["height"], document["width"]), shot=shot, prompt=prompt,
        info=told, latent_space=document["latent_space"],
    )


def _described(
    state: MemoryState,
    trajectory: Trajectory,
    hashes: NDArray[np.uint8],
    latents: NDArray[Any] | None,
    depth: NDArray[Any] | None,
    *,
    size: tuple[int, int],
    shot: int,
    prompt: str,
    info: Mapping[str, Any],
    latent_space: str,
) -> tuple[SegmentRecord, Tensors]:
    intrinsics = np.ascontiguousarray(trajectory.intrinsics, dtype=np.float64)
    tensors: dict[str, NDArray[Any]] = {
        "poses": np.ascontiguousarray(trajectory.poses[:, :3], dtype=np.float64),
        "intrinsics": intrinsics[:1] if (intrinsics == intrinsics[:1]).all() else intrinsics,
        "hashes": hashes,
    }
    if latents is not None:
        tensors["latents"] = np.ascontiguousarray(latents)
    if depth is not None:
        tensors["depth"] = depth_to_keep(depth, len(hashes), state.depth_size)
    text = segment_text(
        parent=state.id, shot=shot, prompt=prompt, size=size, fps=trajectory.fps, time=state.end_time, info=info,
        latent_space=latent_space if latents is not None else "", tensors=tensors,
    )
    return SegmentRecord.from_text(text_id(text), state.frames, text), tensors


def copy_segment(path: Path, segment_id: str, record: SegmentRecord, tensors: Tensors) -> list[Buffer]:
    """The parts of the file of a segment from ``describe_again``, with the pictures of the file ``path`` as they are
    coded there, without those that were dropped. Raises ``BankError`` if one of them is damaged."""
    pictures = read_coded(path, segment_id, range(record.frames))
    coded = [picture for picture in pictures if picture is not None]
    decode_all(coded)
    coding = coded[0].coding if coded else DEFAULT_CODING
    return _parts(record.text, coding, tensors, [picture.data if picture else b"" for picture in pictures])


def read_hashes(path: Path, segment_id: str) -> NDArray[np.uint8] | None:
    """(F, 32) sha256 of the pixels of each frame, also of dropped ones; None for a segment of version 1."""
    with _opened(path, segment_id) as (file, document):
        return None if is_version_1(document) else _hashes(file, document, path)


def encode_segment(record: SegmentRecord, tensors: Tensors, frames: NDArray[np.uint8]) -> list[Buffer]:
    """The parts of the file of a segment from ``describe_segment``, with its pictures ``frames`` (F, H, W, 3) uint8."""
    coded = _each(encode_frame, frames, frames[0].nbytes)
    return _parts(record.text, DEFAULT_CODING, tensors, coded)


def read_cameras(path: Path, segment_id: str, start: int, time: float) -> SegmentCameras:
    """The record and cameras of a segment file that begins at frame ``start`` and second ``time``, checked.

    Pictures are checked when they are read. Raises ``DamageError`` that names the file.
    """
    with _opened(path, segment_id) as (file, document):
        frames = document["frames"]
        intrinsics = file.read("intrinsics", "F64", (intrinsics_rows(document), 4))
        poses = file.read("poses", "F64", (frames, 4 if is_version_1(document) else 3, 4))[:, :3]
        check_cameras(document, poses, intrinsics, time, path.name)
        _offsets(file, document)
        return SegmentCameras(SegmentRecord.from_text(segment_id, start, file.metadata[_TEXT]), poses, intrinsics)


def read_parent(path: Path, segment_id: str) -> str:
    """Id of the memory that a segment file continues. Raises ``DamageError`` that names the file."""
    with _opened(path, segment_id) as (_, document):
        return str(document["parent"])


def read_text(path: Path, segment_id: str) -> Document:
    """The metadata of a segment file. Raises ``DamageError`` that names the file."""
    with _opened(path, segment_id) as (_, document):
        return document


def after_another(path: Path, segment_id: str, parent: str, time: float) -> tuple[str, list[Buffer]]:
    """The segment as one that continues the memory ``parent`` and begins at second ``time``: its id and its file.

    Pictures and all else stay as they lie in the file, not yet checked. Not for segments of version 1.
    """
    with _opened(path, segment_id) as (file, document):
        text = canonical({**document, "parent": parent, "time": time})
        offsets = _offsets(file, document)
        coded = [file.bytes_at(int(begin), int(end)) for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
        tensors = {name: file.read(name, file.tensors[name].kind, tuple(document["tensors"][name]["shape"]))
                   for name in _ORDER if name in file.tensors and name in document["tensors"]}
        return text_id(text), _parts(text, _coding(file, document), tensors, coded)


def read_coded(path: Path, segment_id: str, indices: Sequence[int]) -> list[CodedPicture | None]:
    """The pictures at ``indices`` within the segment as they lie in its file; None for one that was dropped."""
    with _opened(path, segment_id) as (file, document):
        offsets = _offsets(file, document)
        kept = any(offsets[index] < offsets[index + 1] for index in indices)
        hashes = _hashes(file, document, path) if kept else None
        coding, size = _coding(file, document), (document["height"], document["width"])
        most, result = _OVERHEAD + 6 * size[0] * size[1], list[CodedPicture | None]()
        for index in indices:
            begin, end = int(offsets[index]), int(offsets[index + 1])
            sha256 = bytes(hashes[index]) if hashes is not None else None
            what = f"{path.name}, picture {index},"
            # More bytes than a picture of its size can have are none of it, and may not fit into memory.
            data = file.bytes_at(begin, min(end, begin + most))
            result.append(CodedPicture(data, size, coding, sha256, what) if data else None)
        return result


def read_segment_pixels(path: Path, segment_id: str) -> NDArray[np.uint8]:
    """Pixels (F, H, W, 3) of a whole segment. Raises ``BankError`` if one of its pictures was dropped or is damaged."""
    with _opened(path, segment_id) as (_, document):
        frames = int(document["frames"])
    pictures = [one for one in read_coded(path, segment_id, range(frames)) if one is not None]
    if len(pictures) < frames:
        raise BankError(f"{path.name} has lost {frames - len(pictures)} of its {frames} pictures: they were dropped.")
    return np.stack(decode_all(pictures))


def picture_bytes(path: Path, segment_id: str) -> NDArray[np.int64]:
    """(F,) bytes that each picture takes in the file, 0 where it was dropped."""
    with _opened(path, segment_id) as (file, document):
        return np.diff(_offsets(file, document))


def kept_pictures(path: Path, segment_id: str) -> NDArray[np.bool_]:
    """(F,) which pictures are still in the file."""
    return picture_bytes(path, segment_id) > 0


def read_extra(path: Path, segment_id: str, name: str) -> NDArray[Any] | None:
    """The tensor "latents" (C, T, h, w) or "depth" (F, h, w) of a segment; None if none is kept. Raises ``DamageError``
    if it was changed."""
    with _opened(path, segment_id) as (file, document):
        stated = document["tensors"].get(name)
        if stated is None or name not in file.tensors or is_version_1(document):
            return None
        kind = "F32" if name == "latents" and file.tensors[name].kind == "F32" else "F16"
        value = file.read(name, kind, tuple(stated["shape"]))
        if digest(value) != stated["sha256"]:
            raise damaged(f"{path.name}: {name!r} was changed")
        return value


def without_pictures(
    path: Path, segment_id: str, indices: Sequence[int], leave_out: Sequence[str] = ()
) -> list[Buffer]:
    """The parts of the file of a segment without the pictures at ``indices``; its id stays valid.

    Latents go with the last picture; ``leave_out`` names "latents" or "depth" that go as well. Raises ``BankError`` for
    a segment of version 1, whose pictures only have a hash together.
    """
    with _opened(path, segment_id) as (file, document):
        if is_version_1(document):
            raise BankError(f"{path.name} is from version 1 of the format: its pictures cannot be dropped one by one. "
                            "Leave it as it is.")
        offsets, gone = _offsets(file, document), set(indices)
        coded = [b"" if index in gone else file.bytes_at(int(offsets[index]), int(offsets[index + 1]))
                 for index in range(document["frames"])]
        tensors: dict[str, NDArray[Any]] = {}
        for name in _ORDER:
            stored = file.tensors.get(name)
            if stored is None or name in leave_out or (name == "latents" and not any(coded)):
                continue
            tensors[name] = file.read(name, stored.kind, tuple(document["tensors"][name]["shape"]))
        return _parts(file.metadata[_TEXT], _coding(file, document), tensors, coded)


def cameras_only(record: SegmentRecord, poses: FloatArray, intrinsics: FloatArray) -> list[Buffer]:
    """The parts of a file for the segment ``record`` of which nothing is left but poses (F, 3, 4) and intrinsics
    (F, 4)."""
    rows = intrinsics_rows(parse_segment(record.text, record.id, record.id))
    tensors = {"poses": np.ascontiguousarray(poses), "intrinsics": np.ascontiguousarray(intrinsics[:rows])}
    return _parts(record.text, DEFAULT_CODING, tensors, [b""] * record.frames)


def is_sound(path: Path, record: SegmentRecord, time: float, *, dropped: bool = False) -> bool:
    """Whether the file holds all of the segment that begins at second ``time``, down to the last pixel.

    With ``dropped``, pictures that were dropped to save space may be missing, and the latents with the last of them.
    """
    try:
        read_cameras(path, record.id, record.start, time)
        pictures = read_coded(path, record.id, range(record.frames))
        decode_all([picture for picture in pictures if picture is not None])
        gone = dropped and all(picture is None for picture in pictures)
        names = ("depth",) if gone else ("latents", "depth")
        extras = [read_extra(path, record.id, name) is not None for name in names]
        with _opened(path, record.id) as (_, document):
            stated = [name in document["tensors"] for name in names]
    except BankError:
        return False
    return (dropped or None not in pictures) and extras == stated


def decode_some(pictures: Sequence[CodedPicture]) -> list[NDArray[np.uint8] | DamageError]:
    """The pixels (H, W, 3) uint8 of each of the ``pictures``, a few at a time, or what is wrong with it."""
    height, width = pictures[0].size if pictures else (0, 0)
    return _each(_decoded_or_not, pictures, 3 * height * width)


def decode_all(pictures: Sequence[CodedPicture]) -> list[NDArray[np.uint8]]:
    """The pixels (H, W, 3) uint8 of each of the ``pictures``. Raises ``DamageError`` for the first that is damaged."""
    height, width = pictures[0].size if pictures else (0, 0)
    return _each(CodedPicture.decoded, pictures, 3 * height * width)


def _decoded_or_not(picture: CodedPicture) -> NDArray[np.uint8] | DamageError:
    try:
        return picture.decoded()
    except DamageError as problem:
        return problem


def _each(work: Callable[[_Given], _Made], items: Iterable[_Given], bytes_each: int) -> list[_Made]:
    given = list(items)
    # Threads cost more than they gain for thumbnails, and memory for giants.
    if bytes_each > _HUGE_BYTES or bytes_each * len(given) < _ALONE_BYTES:
        return [work(one) for one in given]
    return in_parallel(work, given)


def _parts(text: str, coding: str, tensors: Tensors, coded: Sequence[bytes]) -> list[Buffer]:
    offsets = np.concatenate([[0], np.cumsum([len(data) for data in coded])]).astype(np.int64)
    ordered: dict[str, Any] = {}
    for name in _ORDER:
        if name in tensors:
            ordered[name] = tensors[name]
        if name == "intrinsics":
            ordered["offsets"] = offsets
    return encode_tensors({**ordered, "frames": coded}, {_TEXT: text, _CODING: coding})


@contextmanager
def _opened(path: Path, segment_id: str) -> Iterator[tuple[TensorFile, Document]]:
    with open_tensors(path) as file:
        yield file, parse_segment(file.metadata.get(_TEXT, ""), segment_id, path.name)


def _coding(file: TensorFile, document: Document) -> str:
    return "png" if is_version_1(document) else file.metadata.get(_CODING, "")


def _offsets(file: TensorFile, document: Document) -> NDArray[np.int64]:
    """Where each picture begins in the file (F + 1,); one that was dropped is empty."""
    offsets = file.read("offsets", "I64", (document["frames"] + 1,))
    blob: Stored = file.stored("frames", "U8")
    if offsets[0] != 0 or offsets[-1] != blob.end - blob.begin or (np.diff(offsets) < 0).any():
        raise damaged(f"{file.name} has pictures out of order")
    if is_version_1(document) and digest(offsets) != document["tensors"]["offsets"]["sha256"]:
        raise damaged(f"{file.name} has pictures out of order")
    return offsets + blob.begin


def _hashes(file: TensorFile, document: Document, path: Path) -> NDArray[np.uint8] | None:
    if is_version_1(document):
        status, blob = path.stat(), file.stored("frames", "U8")
        _check_pictures(path, document["tensors"]["frames"]["sha256"], blob, status.st_size, status.st_mtime_ns)
        return None
    hashes = file.read("hashes", "U8", (document["frames"], 32))
    if digest(hashes) != document["tensors"]["hashes"]["sha256"]:
        raise damaged(f"{file.name}: 'hashes' was changed")
    return hashes


@lru_cache(maxsize=4096)
def _check_pictures(path: Path, sha256: str, blob: Stored, size: int, modified: int) -> None:
    """Checks all pictures of a version 1 segment; ``size`` and ``modified`` tell a changed file from a checked one."""
    with open_tensors(path) as file:
        if digest(file.bytes_at(blob.begin, blob.end)) != sha256:
            raise damaged(f"{path.name}: its pictures were changed")

"""Cameras and texts of many segments in one file, so that a film of a million frames opens at once.

A pack says nothing that the segment files do not: each text in it has the id of its segment and vouches for the cameras
beside it. New segments are packed 64 at a time, and 64 packs into one, so every segment is written into a pack twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cameras.camera import FloatArray
from ..document import FORMAT_VERSION, canonical, is_id, parse, text_id
from ..errors import damaged
from ..files import no_link, write_whole
from ..state.edits import MAX_EDIT_BYTES
from ..state.state import EMPTY_ID, MemoryState, PackRef
from .segment_text import intrinsics_rows
from .tensor_file import Buffer, Tensor, encode_tensors, open_tensors

PACK_KIND = "scene-memory pack"
SMALL, LARGE = 64, 4096
MOST_FRAMES = 1 << 19
MOST_TEXT = 1 << 25
MAX_BYTES = 256 * 1024 * 1024
NO_PACK = PackRef("", 0, 0, 0, EMPTY_ID)
_TEXT = "scene_memory"
_EDIT_START = b'{"by":'


@dataclass(frozen=True)
class PackLabel:
    """What a pack says of itself: the pack ``before`` it, how much is in it, and the memories it leads from and to."""

    before: str | None
    segments: int
    edits: int
    frames: int
    parent: str
    last: str


@dataclass(frozen=True)
class Pack:
    """The contents of a pack: ``texts`` of segments and edits in order, poses (n, 3, 4), and intrinsics (m, 4) of
    which a segment has one row or one a frame."""

    label: PackLabel
    texts: list[bytes]
    poses: FloatArray
    intrinsics: FloatArray


def is_edit(text: bytes) -> bool:
    """Whether a text in a pack is that of an edit; keys are sorted, and only an edit's begin with this one."""
    return text.startswith(_EDIT_START)


def packed(folder: Path, state: MemoryState) -> MemoryState:
    """``state`` with its older segments in packs in ``folder``: fewer than 64 are left for the head to list."""
    while True:
        done = state.packs[-1] if state.packs else NO_PACK
        if len(state.segments) - done.segments + len(state.edit_entries) - done.edits < SMALL:
            return state
        state = _merged(folder, _with_pack(folder, state, state.packs))


def read_label(path: Path, pack_id: str) -> PackLabel:
    """What the pack file says of itself. Raises ``DamageError`` that names it."""
    with open_tensors(no_link(path)) as file:
        return _label(file.metadata.get(_TEXT, ""), pack_id, path.name)


def read_pack(path: Path, pack_id: str) -> Pack:
    """A pack file; its texts and cameras are still to be checked. Raises ``DamageError`` that names it."""
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise damaged(f"{path.name} is larger than {MAX_BYTES} bytes")
    with open_tensors(no_link(path)) as file:
        label = _label(file.metadata.get(_TEXT, ""), pack_id, path.name)
        offsets = file.read("offsets", "I64", (label.segments + label.edits + 1,))
        stored = file.stored("records", "U8")
        rows = file.stored("intrinsics", "F64").shape
        if stored.end - stored.begin > MOST_TEXT + MAX_EDIT_BYTES:
            raise damaged(f"{path.name} has more text than a pack may have")
        if offsets[0] != 0 or offsets[-1] != stored.end - stored.begin or (np.diff(offsets) < 1).any():
            raise damaged(f"{path.name} has texts out of order")
        if len(rows) != 2:
            raise damaged(f"{path.name} has intrinsics of the shape {rows}")
        records = file.bytes_at(stored.begin, stored.end)
        ends = offsets.tolist()
        texts = [records[begin:end] for begin, end in zip(ends[:-1], ends[1:], strict=True)]
        return Pack(label, texts, file.read("poses", "F64", (label.frames, 3, 4)), file.read("intrinsics", "F64", rows))


def pack_parts(state: MemoryState, number: int) -> list[Buffer]:
    """The parts of the file of pack ``number`` of ``state``, made from the memory itself."""
    return _filled(state, state.packs[number - 1] if number else NO_PACK, state.packs[number])[1]


def _with_pack(folder: Path, state: MemoryState, before: tuple[PackRef, ...]) -> MemoryState:
    """The state with one more pack behind ``before``, of as much as fits into one."""
    pack, parts = _filled(state, before[-1] if before else NO_PACK, None)
    write_whole(no_link(folder / f"{pack.id}.safetensors"), *parts)
    return replace(state, packs=(*before, pack))


def _filled(state: MemoryState, done: PackRef, end: PackRef | None) -> tuple[PackRef, list[Buffer]]:
    """A pack behind ``done`` up to ``end``, or of as much as fits into one, and the parts of its file."""
    texts: list[bytes] = []
    intrinsics: list[FloatArray] = []
    segments, edits, frames, room, last = done.segments, done.edits, done.frames, MOST_TEXT, done.last
    ids, since = state.entry_ids(done.segments, done.edits), state.entry_texts(done.segments, done.edits)
    for entry, text in zip(ids, since, strict=True):
        full = len(texts) == LARGE or frames - done.frames >= MOST_FRAMES or room < 0
        if full if end is None else (segments, edits) == (end.segments, end.edits):
            break
        if is_edit(data := text.encode("ascii")):
            edits += 1
        else:
            document = json.loads(data)
            intrinsics.append(state.camera_rows(frames, frames + document["frames"])[1][: intrinsics_rows(document)])
            segments, frames = segments + 1, frames + document["frames"]
        texts.append(data)
        room, last = room - len(data), entry
    label = canonical({
        "format": PACK_KIND, "version": FORMAT_VERSION, "before": done.id or None, "segments": segments - done.segments,
        "edits": edits - done.edits, "frames": frames - done.frames, "parent": done.last, "last": last,
    })
    pack_id = text_id(label)
    poses = state.camera_rows(done.frames, frames)[0]
    return PackRef(pack_id, segments, edits, frames, last), _parts(label, texts, poses, intrinsics)


def _merged(folder: Path, state: MemoryState) -> MemoryState:
    """The state with its last 64 packs in one, if they are small ones."""
    refs = (NO_PACK, *state.packs)[-SMALL - 1 :]
    entries = [(after.segments - before.segments) + (after.edits - before.edits)
               for before, after in zip(refs[:-1], refs[1:], strict=True)]
    if len(entries) < SMALL or max(entries) >= 2 * SMALL or refs[-1].frames - refs[0].frames > MOST_FRAMES:
        return state
    return _with_pack(folder, state, state.packs[:-SMALL])


def _parts(label: str, texts: list[bytes], poses: FloatArray, intrinsics: list[FloatArray]) -> list[Buffer]:
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    rows = np.concatenate([np.empty((0, 4)), *intrinsics])
    tensors: dict[str, Tensor] = {"poses": poses, "intrinsics": rows, "offsets": offsets, "records": texts}
    return encode_tensors(tensors, {_TEXT: label})


def _label(text: str, pack_id: str, what: str) -> PackLabel:
    if text_id(text) != pack_id:
        raise damaged(f"{what} does not hold what its name says: its metadata was changed")
    document = parse(text, PACK_KIND, what)
    counts: list[Any] = [document.get(name) for name in ("segments", "edits", "frames")]
    ids: list[Any] = [document.get(name) for name in ("parent", "last")]
    before = document.get("before")
    if not (
        all(type(count) is int and 0 <= count < 2**31 for count in counts)
        and all(isinstance(one, str) for one in ids)
        and (before is None or is_id(before))
    ):
        raise damaged(f"{what} has metadata that this format does not allow")
    return PackLabel(before, counts[0], counts[1], counts[2], ids[0], ids[1])

"""Records of a memory's segments: small numbers in a table, and their metadata as compressed text, read on demand."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..document import canonical
from .table import Column, Table

_COLUMNS = (Column("id", (32,), "u1"), Column("start", (), "i8"), Column("shot", (), "i4"))
_SEALED_TEXTS = 256


@dataclass(frozen=True)
class SegmentRecord:
    """One segment of a memory, without its pixels.

    ``id`` and ``parent`` are hex sha256; ``start`` is the index of its first frame in the memory; ``size`` is
    (height, width); ``info`` holds what the maker of the segment noted, as JSON text. ``depth_size`` is (height, width)
    of the depth that is kept for its frames, None if there is none. ``text`` is the segment's metadata as it is on the
    disk, empty for a segment that is on none.
    """

    id: str
    parent: str
    start: int
    frames: int
    shot: int
    prompt: str
    size: tuple[int, int]
    fps: float
    info_json: str = "{}"
    depth_size: tuple[int, int] | None = None
    text: str = field(default="", repr=False, compare=False)

    @property
    def info(self) -> dict[str, Any]:
        """A fresh copy of what the maker of the segment noted."""
        return dict(json.loads(self.info_json))

    @classmethod
    def from_text(cls, segment_id: str, start: int, text: str) -> SegmentRecord:
        """The record of a segment whose metadata ``text`` was checked."""
        document = json.loads(text)
        depth = document.get("tensors", {}).get("depth")
        return cls(
            id=segment_id,
            parent=document["parent"],
            start=start,
            frames=document["frames"],
            shot=document["shot"],
            prompt=document["prompt"],
            size=(document["height"], document["width"]),
            fps=float(document["fps"]),
            info_json=canonical(document["info"]),
            depth_size=(depth["shape"][1], depth["shape"][2]) if depth else None,
            text=text if "format" in document else "",
        )

    def to_text(self) -> str:
        """The metadata from which ``from_text`` makes this record again."""
        if self.text:
            return self.text
        document: dict[str, Any] = {
            "parent": self.parent, "frames": self.frames, "shot": self.shot, "prompt": self.prompt,
            "height": self.size[0], "width": self.size[1], "fps": self.fps, "info": json.loads(self.info_json),
        }
        if self.depth_size:
            document["tensors"] = {"depth": {"shape": [self.frames, *self.depth_size]}}
        return canonical(document)


@dataclass(frozen=True)
class SegmentBatch:
    """Segments of one memory in a row, checked: what the state keeps of them.

    For each segment its id, first frame, shot and metadata text; for all frames poses (n, 3, 4), intrinsics (n, 4) and
    times (n,).
    """

    ids: list[str]
    starts: list[int]
    shots: list[int]
    texts: list[str]
    size: tuple[int, int]
    fps: float
    depth_size: tuple[int, int] | None
    poses: FloatArray
    intrinsics: FloatArray
    times: FloatArray


@dataclass(frozen=True)
class PackRef:
    """A file of the bank that holds the cameras of many segments: how many segments, edits and frames the memory has
    up to its end, and the id of the memory there."""

    id: str
    segments: int
    edits: int
    frames: int
    last: str


class _Texts:
    """ASCII texts that only grow, shared as ``Table`` shares rows; sealed ones are compressed, 256 at a time."""

    __slots__ = ("rows", "_sealed", "_tail", "_lock")

    def __init__(self) -> None:
        self.rows = 0
        self._sealed: tuple[bytes, ...] = ()
        self._tail: list[bytes] = []
        self._lock = threading.Lock()

    def appended(self, texts: Sequence[str]) -> _Texts:
        result = _Texts()
        used = self.rows - len(self._sealed) * _SEALED_TEXTS
        result.rows, result._sealed, result._lock = self.rows + len(texts), self._sealed, self._lock
        with self._lock:
            tail = self._tail if len(self._tail) == used else self._tail[:used]
            for text in texts:
                tail.append(text.encode("ascii"))
                if len(tail) == _SEALED_TEXTS:
                    result._sealed = (*result._sealed, zlib.compress(b"\n".join(tail), 1))
                    tail = []
        result._tail = tail
        return result

    def __getitem__(self, row: int) -> str:
        block, within = divmod(row, _SEALED_TEXTS)
        texts = _opened(self._sealed[block]) if block < len(self._sealed) else self._tail
        return texts[within].decode("ascii")

    @property
    def nbytes(self) -> int:
        return sum(map(len, self._sealed)) + sum(map(len, self._tail))


@lru_cache(maxsize=4)
def _opened(sealed: bytes) -> list[bytes]:
    return zlib.decompress(sealed).split(b"\n")


class Segments(Sequence[SegmentRecord]):
    """The segments of a state in order, read-only: any one in O(1), its prompt and info read when it is asked for."""

    __slots__ = ("_table", "_texts")

    def __init__(self, table: Table | None = None, texts: _Texts | None = None) -> None:
        self._table = table or Table(_COLUMNS)
        self._texts = texts or _Texts()

    def extended(self, ids: list[str], starts: list[int], shots: list[int], texts: list[str]) -> Segments:
        """These segments and more, from their ids, first frames, shots and metadata texts, which were checked."""
        raw = np.frombuffer(bytes.fromhex("".join(ids)), dtype=np.uint8).reshape(-1, 32)
        table = self._table.appended(raw, np.asarray(starts, dtype=np.int64), np.asarray(shots, dtype=np.int32))
        return Segments(table, self._texts.appended(texts))

    def __len__(self) -> int:
        return self._table.rows

    @overload
    def __getitem__(self, index: int) -> SegmentRecord: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SegmentRecord, ...]: ...

    def __getitem__(self, index: int | slice) -> SegmentRecord | tuple[SegmentRecord, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        row = self._row(index)
        start = int(self._table.take("start", np.array([row]))[0])
        return SegmentRecord.from_text(self.id_of(row), start, self._texts[row])

    def __iter__(self) -> Iterator[SegmentRecord]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} segments>"

    def id_of(self, index: int) -> str:
        """Id of one segment, without the rest of its record."""
        return bytes(self._table.take("id", np.array([self._row(index)]))[0]).hex()

    def ids(self, start: int, stop: int) -> list[str]:
        """Ids of the segments ``start`` to ``stop``."""
        return [bytes(row).hex() for row in self._table.take("id", np.arange(start, stop))] if start < stop else []

    def text_of(self, index: int) -> str:
        """Metadata text of one segment."""
        return self._texts[self._row(index)]

    def of_frames(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index (n,) of the segment that each of the ``frames`` (n,) belongs to."""
        return self._table.search("start", frames) if len(frames) else np.empty(0, dtype=np.int64)

    def starts(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """First frame (n,) of each of the segments ``indices`` (n,)."""
        return self._table.take("start", indices)

    def shots(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Shot (n,) of each of the segments ``indices`` (n,)."""
        return self._table.take("shot", indices)

    @property
    def nbytes(self) -> int:
        """Bytes of RAM."""
        return self._table.nbytes + self._texts.nbytes

    def _row(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Segment {index} of a memory of {len(self)} segments.")
        return index % len(self)

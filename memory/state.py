"""What is remembered, as an immutable value.

A ``MemoryState`` is a head: a length and an id over columns that it shares with the states it came from. Appending
writes behind the end of the columns and returns a new head; if another head has already written there, the columns are
copied first. So appending costs O(segment), and two branches from one state never see each other.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .camera import FloatArray, clean_intrinsics, clean_poses

if TYPE_CHECKING:
    from .bank import Bank

EMPTY_ID = "0" * 64
"""Id of a state that remembers nothing, and parent of the first segment."""

_FIRST_CAPACITY = 256


@dataclass(frozen=True)
class SegmentRecord:
    """One segment of a memory, without its pixels.

    ``id`` and ``parent`` are hex sha256; ``start`` is the index of its first frame in the memory; ``size`` is
    (height, width); ``info`` holds what the maker of the segment noted, as JSON text.
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

    @property
    def info(self) -> dict[str, Any]:
        """A fresh copy of what the maker of the segment noted."""
        return dict(json.loads(self.info_json))


class _Columns:
    """Growing arrays, one row a frame, and the segment records; only rows behind every head are ever written."""

    def __init__(self, capacity: int) -> None:
        self.lock = threading.Lock()
        self.rows = 0
        self.segments: list[SegmentRecord] = []
        self.poses = np.empty((capacity, 4, 4), dtype=np.float64)
        self.intrinsics = np.empty((capacity, 4), dtype=np.float64)
        self.times = np.empty(capacity, dtype=np.float64)
        self.shot_ids = np.empty(capacity, dtype=np.int32)
        self.segment_ids = np.empty(capacity, dtype=np.int32)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        return (self.poses, self.intrinsics, self.times, self.shot_ids, self.segment_ids)

    def appended(
        self, rows: int, segments: int, record: SegmentRecord, values: tuple[NDArray[Any] | int, ...]
    ) -> _Columns:
        """Columns of my first ``rows`` rows and ``segments`` records, then the new ones: myself if I end there."""
        added = record.frames
        with self.lock:
            target = self
            if self.rows != rows or len(self.segments) != segments or rows + added > len(self.times):
                target = self._copy(rows, segments, max(_FIRST_CAPACITY, 2 * (rows + added)))
            for column, value in zip(target.arrays(), values, strict=True):
                column[rows : rows + added] = value
            target.segments.append(record)
            target.rows = rows + added
        return target

    def _copy(self, rows: int, segments: int, capacity: int) -> _Columns:
        result = _Columns(capacity)
        result.rows = rows
        result.segments = self.segments[:segments]
        for column, source in zip(result.arrays(), self.arrays(), strict=True):
            column[:rows] = source[:rows]
        return result


class Segments(Sequence[SegmentRecord]):
    """The segments of a state in order, read-only; O(1) to make."""

    def __init__(self, records: list[SegmentRecord], count: int) -> None:
        self._records = records
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> SegmentRecord: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SegmentRecord, ...]: ...

    def __getitem__(self, index: int | slice) -> SegmentRecord | tuple[SegmentRecord, ...]:
        if isinstance(index, slice):
            return tuple(self._records[i] for i in range(*index.indices(self._count)))
        if not -self._count <= index < self._count:
            raise IndexError(f"Segment {index} of a memory of {self._count} segments.")
        return self._records[index % self._count]

    def __iter__(self) -> Iterator[SegmentRecord]:
        return (self._records[i] for i in range(self._count))

    def __repr__(self) -> str:
        return f"<{self._count} segments>"


@dataclass(frozen=True, eq=False, repr=False)
class MemoryState:
    """What a film remembers at one moment: immutable, compared and hashed by ``id``.

    ``bank`` stores the pixels (None for a memory of cameras only). ``frames`` is N. ``size`` is (height, width) and
    ``fps`` the frame rate, both None before the first segment. ``shots`` is the highest shot number plus 1. ``id`` is a
    hex sha256 chained over the segments.
    """

    bank: Bank | None = None
    frames: int = 0
    size: tuple[int, int] | None = None
    fps: float | None = None
    shots: int = 0
    id: str = EMPTY_ID
    _segments: int = 0
    _columns: _Columns | None = None

    @property
    def segments(self) -> Segments:
        """The segments in order."""
        return Segments(self._columns.segments if self._columns else [], self._segments)

    @property
    def poses(self) -> FloatArray:
        """(N, 4, 4) float64 camera-to-world, read-only."""
        return self._view(self._columns.poses) if self._columns else _read_only(np.empty((0, 4, 4)))

    @property
    def intrinsics(self) -> FloatArray:
        """(N, 4) float64 ``fx fy cx cy``, read-only."""
        return self._view(self._columns.intrinsics) if self._columns else _read_only(np.empty((0, 4)))

    @property
    def times(self) -> FloatArray:
        """(N,) float64 seconds since the start of the film, read-only."""
        return self._view(self._columns.times) if self._columns else _read_only(np.empty(0))

    @property
    def shot_ids(self) -> NDArray[np.int32]:
        """(N,) int32 shot of each frame, read-only."""
        return self._view(self._columns.shot_ids) if self._columns else _read_only(np.empty(0, dtype=np.int32))

    @property
    def segment_ids(self) -> NDArray[np.int32]:
        """(N,) int32 index into ``segments`` of each frame, read-only."""
        return self._view(self._columns.segment_ids) if self._columns else _read_only(np.empty(0, dtype=np.int32))

    @property
    def last_pose(self) -> FloatArray:
        """(4, 4) pose of the last frame, read-only; the identity in an empty memory."""
        return self.poses[-1] if self.frames else _read_only(np.eye(4))

    @property
    def duration(self) -> float:
        """Seconds of film remembered."""
        return self.end_time

    @property
    def end_time(self) -> float:
        """Time in seconds at which the next frame starts; 0 in an empty memory."""
        return float(self.times[-1]) + 1.0 / self.fps if self.frames and self.fps else 0.0

    def with_segment(
        self,
        record: SegmentRecord,
        poses: ArrayLike,
        intrinsics: ArrayLike,
        times: ArrayLike | None = None,
    ) -> MemoryState:
        """A new state with one segment more; this one stays as it is.

        ``poses`` (F, 4, 4), ``intrinsics`` (F, 4) and ``times`` (F,) in seconds, which follow ``end_time`` at the
        record's rate if left out. Raises ``ValueError`` if the record does not continue this state.
        """
        what = f"Segment {len(self.segments)}"
        if record.parent != self.id or record.start != self.frames:
            raise ValueError(f"{what} continues memory {record.parent[:12]} at frame {record.start}, but this is "
                             f"memory {self.id[:12]} with {self.frames} frames. Make the segment from this memory.")
        if self.size is not None and record.size != self.size:
            raise ValueError(f"{what} has frames of {_shown(record.size)}, but the memory holds {_shown(self.size)} "
                             "(width x height). Use the memory's size, or start a new bank.")
        if self.fps is not None and record.fps != self.fps:
            raise ValueError(f"{what} runs at {record.fps:g} frames a second, but the memory at {self.fps:g}. Give the "
                             "camera path the memory's rate, or start a new bank.")
        if record.shot < 0:
            raise ValueError(f"{what} belongs to shot {record.shot}: shots count from 0. Use {self.shots}.")
        checked = clean_poses(poses, what)
        if len(checked) != record.frames:
            raise ValueError(f"{what} has {record.frames} frames but {len(checked)} poses. Give one pose a frame.")
        lenses = clean_intrinsics(intrinsics, record.frames, what)
        if times is None:
            times = self.end_time + np.arange(record.frames) / record.fps
        clock = np.asarray(times, dtype=np.float64)
        if clock.shape != (record.frames,) or not np.isfinite(clock).all():
            raise ValueError(f"{what}: times have the shape {clock.shape}, expected ({record.frames},) finite seconds.")
        columns = (self._columns or _Columns(_FIRST_CAPACITY)).appended(
            self.frames, self._segments, record, (checked, lenses, clock, record.shot, self._segments)
        )
        return MemoryState(
            bank=self.bank,
            frames=self.frames + record.frames,
            size=record.size,
            fps=record.fps,
            shots=max(self.shots, record.shot + 1),
            id=record.id,
            _segments=self._segments + 1,
            _columns=columns,
        )

    def read_frames(self, indices: ArrayLike | Sequence[int]) -> NDArray[np.uint8]:
        """Pixels (n, H, W, 3) uint8 of the frames asked for, in that order, from the bank."""
        if self.bank is None:
            raise ValueError("This memory has no bank and so no pictures. Start from a Memory Bank.")
        return self.bank.read_frames(self, indices)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, MemoryState) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> MemoryState:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> MemoryState:
        return self

    def __repr__(self) -> str:
        bank = repr(self.bank.name) if self.bank else "no bank"
        return f"<MemoryState {self.id[:12]}: {self.frames} frames, {self.shots} shots, {bank}>"

    def _view(self, column: NDArray[Any]) -> NDArray[Any]:
        return _read_only(column[: self.frames])


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"

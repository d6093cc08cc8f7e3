"""The state of a memory as an immutable value: segments, cameras, times, flags and edits of its frames.

A ``MemoryState`` is a length and an id over append-only columns (``Table``) that it shares with the states it came
from. Appending costs O(segment); branches of one state do not affect each other. Pixels, latents and depth stay on the
disk, in the bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.camera import FloatArray, clean_intrinsics, clean_poses
from ..document import text_id
from ..errors import BankError
from .depth import depth_to_keep
from .edits import Edit, EditEntry, EditLog, FrameFlags, edit_text
from .frames import Frames, square
from .records import PackRef, SegmentBatch, SegmentRecord, Segments

if TYPE_CHECKING:
    from ..retrieval.index import CameraIndex

__all__ = ["EMPTY_ID", "MemoryState", "PackRef", "PictureStore", "SegmentBatch", "SegmentRecord", "Segments"]

EMPTY_ID = "0" * 64
"""Id of a state that remembers nothing, and parent of the first segment."""


class PictureStore(Protocol):
    """What a memory asks of the bank that keeps its pictures, latents and depth; ``memory.bank.bank.Bank`` is one.

    Its methods are given the memory itself and raise ``BankError`` for what is not there.
    """

    @property
    def name(self) -> str:
        """What the artist calls it."""

    @property
    def path(self) -> Path:
        """The folder that it has."""

    def read_frames(
        self,
        state: MemoryState,
        indices: ArrayLike | Sequence[int],
        nearest: bool = False,
        damaged: list[int] | None = None,
    ) -> NDArray[np.uint8]:
        """Pictures (n, H, W, 3) uint8 of the frames ``indices``; with ``nearest`` another stands in for one that is
        lost."""

    def kept(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> NDArray[np.bool_]:
        """(n,) bool: whether the pictures of the frames ``indices``, a list of n, are still there."""

    def read_latents(self, state: MemoryState, indices: ArrayLike | Sequence[int]) -> list[NDArray[Any] | None]:
        """For each frame its latent (C, h, w), where its segment keeps one latent a frame; else None."""

    def read_depth(self, state: MemoryState, segment: int) -> NDArray[np.float16] | None:
        """Depth (F, h, w) of a segment, None if none is kept."""


@dataclass(frozen=True, eq=False, repr=False)
class MemoryState:
    """What a film remembers at one moment: immutable, compared and hashed by ``id``.

    ``bank`` stores the pixels (None for a memory of cameras only). ``frames`` is N. ``size`` is (height, width) and
    ``fps`` the frame rate, both None before the first segment. ``shots`` is the highest shot number plus 1. ``id`` is a
    hex sha256 chained over the segments and edits. ``segments`` are the segments in order. ``depth_size`` is (height,
    width) of the depth that is kept, None if there is none. ``packs`` are the bank's affair.

    ``cameras``, ``times_at``, ``segment_at``, ``flags`` and ``depth`` cost O(frames asked for). The whole columns
    ``poses``, ``intrinsics``, ``times``, ``shot_ids`` and ``segment_ids`` are put together on each call.
    """

    bank: PictureStore | None = None
    frames: int = 0
    size: tuple[int, int] | None = None
    fps: float | None = None
    shots: int = 0
    id: str = EMPTY_ID
    segments: Segments = field(default_factory=Segments)
    depth_size: tuple[int, int] | None = None
    packs: tuple[PackRef, ...] = ()
    _frames: Frames = field(default_factory=Frames)
    _edits: EditLog = field(default_factory=EditLog)
    _depths: tuple[tuple[int, NDArray[np.float16]], ...] = ()
    _index: list[CameraIndex] = field(default_factory=list)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits in the order they were made; later ones win."""
        return tuple(entry.edit for entry in self._edits.entries)

    @property
    def edit_entries(self) -> tuple[EditEntry, ...]:
        """The edits, each with the number of segments before it."""
        return self._edits.entries

    def cameras(self, indices: ArrayLike | Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Poses (n, 4, 4) float64 and intrinsics (n, 4) float64 of the frames ``indices``, in that order."""
        rows = self.checked_indices(indices)
        return square(self._frames.poses(rows)), self._frames.intrinsics(rows)

    def times_at(self, indices: ArrayLike | Sequence[int]) -> FloatArray:
        """Seconds (n,) since the start of the film at which the frames ``indices`` are shown."""
        return self._frames.times(self.checked_indices(indices))

    def segment_at(self, indices: ArrayLike | Sequence[int]) -> NDArray[np.int64]:
        """Index (n,) into ``segments`` of the frames ``indices``."""
        return self.segments.of_frames(self.checked_indices(indices))

    def flags(self, indices: ArrayLike | Sequence[int]) -> FrameFlags:
        """What the edits say about the n frames ``indices``, as columns of the shape (n,)."""
        return self._edits.flags(self.checked_indices(indices))

    def pinned_frames(self) -> NDArray[np.int64]:
        """The pinned frames that may be used, ascending, (n,) int64."""
        runs = self._edits.pinned.runs(self.frames)
        pinned = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(start, stop) for start, stop in runs)])
        return pinned[self._edits.flags(pinned).usable]

    @property
    def has_depth(self) -> bool:
        """Whether depth is kept for some frames."""
        return self.depth_size is not None

    def depth(self, indices: ArrayLike | Sequence[int]) -> NDArray[np.float32]:
        """Depth (n, h, w) float32 along the line of sight in scene units, NaN where it is unknown.

        At most 64 a side. Frames without depth are all NaN; a memory without any gives (n, 1, 1).
        """
        rows = self.checked_indices(indices)
        result = np.full((len(rows), *(self.depth_size or (1, 1))), np.nan, dtype=np.float32)
        if self.depth_size is None:
            return result
        kept, owners = dict(self._depths), self.segments.of_frames(rows)
        for owner in np.unique(owners):
            mine = np.flatnonzero(owners == owner)
            values = kept.get(int(owner))
            if values is None and self.bank is not None:
                values = self.bank.read_depth(self, int(owner))
            if values is not None:
                result[mine] = values[rows[mine] - int(self.segments.starts(owners[mine[:1]])[0])]
        return result

    @property
    def index(self) -> CameraIndex:
        """The index of the cameras by position; made when it is first asked for, then extended with the memory."""
        from ..retrieval.index import CameraIndex

        found = self._index[0] if self._index else CameraIndex.empty()
        start = found.frames
        if start < self.frames:
            for begin in range(start, self.frames, 65536):
                rows = np.arange(begin, min(begin + 65536, self.frames))
                found = found.extended(*self.cameras(rows), begin)
            self._index[:] = [found]
        return found

    @property
    def poses(self) -> FloatArray:
        """(N, 4, 4) float64 camera-to-world, read-only; a copy of all frames."""
        return _read_only(square(self._frames.poses()))

    @property
    def intrinsics(self) -> FloatArray:
        """(N, 4) float64 ``fx fy cx cy``, read-only; a copy of all frames."""
        return _read_only(self._frames.intrinsics())

    @property
    def times(self) -> FloatArray:
        """(N,) float64 seconds since the start of the film, read-only; a copy of all frames."""
        return _read_only(self._frames.times())

    @property
    def shot_ids(self) -> NDArray[np.int32]:
        """(N,) int32 shot of each frame, read-only; a copy of all frames."""
        return _read_only(self.segments.shots(self.segment_ids.astype(np.int64)))

    @property
    def segment_ids(self) -> NDArray[np.int32]:
        """(N,) int32 index into ``segments`` of each frame, read-only; a copy of all frames."""
        return _read_only(self.segments.of_frames(np.arange(self.frames)).astype(np.int32))

    @property
    def last_pose(self) -> FloatArray:
        """(4, 4) pose of the last frame, read-only; the identity in an empty memory."""
        return _read_only(self.cameras([self.frames - 1])[0][0] if self.frames else np.eye(4))

    @property
    def duration(self) -> float:
        """Seconds of film remembered."""
        return self.end_time

    @property
    def end_time(self) -> float:
        """Time in seconds at which the next frame starts; 0 in an empty memory."""
        return float(self.times_at([self.frames - 1])[0]) + 1.0 / self.fps if self.frames and self.fps else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes of RAM of the columns, the texts, the edits and the index, so far as it was made."""
        columns = self._frames.nbytes + self.segments.nbytes + self._edits.nbytes
        return columns + sum(one.nbytes for one in self._index) + sum(depth.nbytes for _, depth in self._depths)

    def with_segment(
        self,
        record: SegmentRecord,
        poses: ArrayLike,
        intrinsics: ArrayLike,
        times: ArrayLike | None = None,
        depth: ArrayLike | None = None,
    ) -> MemoryState:
        """A new state with one segment more; this one stays as it is.

        ``poses`` (F, 4, 4), ``intrinsics`` (F, 4) and ``times`` (F,) in seconds, which follow ``end_time`` at the
        record's rate if left out. ``depth`` (F, h, w) is kept in RAM, for a memory without a bank; a bank keeps it on
        the disk. Raises ``ValueError`` if the record does not continue this state.
        """
        what = f"Segment {len(self.segments)}"
        self.check_fit(record)
        checked = clean_poses(poses, what)
        if len(checked) != record.frames:
            raise ValueError(f"{what} has {record.frames} frames but {len(checked)} poses. Give one pose a frame.")
        checked_intrinsics = clean_intrinsics(intrinsics, record.frames, what)
        if times is None:
            times = self.end_time + np.arange(record.frames) / record.fps
        clock = np.asarray(times, dtype=np.float64)
        if clock.shape != (record.frames,) or not np.isfinite(clock).all():
            raise ValueError(f"{what}: times have the shape {clock.shape}, expected ({record.frames},) finite seconds.")
        depths = self._depths
        if depth is not None:
            kept = depth_to_keep(depth, record.frames, self.depth_size)
            record = replace(record, depth_size=(kept.shape[1], kept.shape[2]))
            depths = (*depths, (len(self.segments), kept))
        batch = SegmentBatch([record.id], [record.start], [record.shot], [record.to_text()], record.size,
                             record.fps, record.depth_size, checked[:, :3], checked_intrinsics, clock)
        return replace(self.with_batch(batch), _depths=depths)

    def with_batch(self, batch: SegmentBatch) -> MemoryState:
        """A new state with the segments of ``batch``, of which everything was checked."""
        return replace(
            self,
            frames=self.frames + len(batch.poses),
            size=batch.size,
            fps=batch.fps,
            shots=max(self.shots, max(batch.shots) + 1),
            id=batch.ids[-1],
            segments=self.segments.extended(batch.ids, batch.starts, batch.shots, batch.texts),
            depth_size=self.depth_size or batch.depth_size,
            _frames=self._frames.appended(batch.poses, batch.intrinsics, batch.times),
            _index=list(self._index),
        )

    def entry_ids(self, segments: int = 0, edits: int = 0) -> list[str]:
        """Ids of the segments and edits after the first ``segments`` and ``edits``, in order."""
        result: list[str] = []
        for entry in self.edit_entries[edits:]:
            result += [*self.segments.ids(segments, entry.segments), entry.id]
            segments = entry.segments
        return result + self.segments.ids(segments, len(self.segments))

    def entry_texts(self, segments: int = 0, edits: int = 0) -> Iterator[str]:
        """The texts of those segments and edits."""
        for entry in self.edit_entries[edits:]:
            yield from (self.segments.text_of(i) for i in range(segments, entry.segments))
            yield entry.text
            segments = entry.segments
        yield from (self.segments.text_of(i) for i in range(segments, len(self.segments)))

    def camera_rows(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Poses (n, 3, 4) and intrinsics (n, 4) of the frames ``start`` to ``stop``, as a bank stores them."""
        rows = np.arange(start, stop)
        return self._frames.poses(rows), self._frames.intrinsics(rows)

    def with_edit(self, edit: Edit) -> MemoryState:
        """A new state in which ``edit`` is in force. Raises ``ValueError`` if it names frames that do not exist."""
        if edit.stop > self.frames or edit.by >= self.frames:
            raise ValueError(f"The edit {edit.kind!r} names frame {max(edit.stop - 1, edit.by)}, but the memory has "
                             f"{self.frames} frames. Name frames from 0 to {self.frames - 1}.")
        text = edit_text(edit, self.id)
        entry = EditEntry(edit, text_id(text), len(self.segments), text)
        return replace(self, id=entry.id, _edits=self._edits.with_edit(entry), _index=list(self._index))

    def with_lost(self, runs: tuple[tuple[int, int], ...]) -> MemoryState:
        """This memory, of the same id, with the pictures of the frames in ``runs`` known to be lost: they count as
        dropped."""
        return replace(self, _edits=self._edits.with_lost(runs), _index=list(self._index))

    def read_frames(self, indices: ArrayLike | Sequence[int], nearest: bool = False) -> NDArray[np.uint8]:
        """Pixels (n, H, W, 3) uint8 of the frames asked for, in that order, from the bank.

        With ``nearest`` a frame whose pixels were dropped is shown as the kept one next to it, instead of refused.
        """
        if self.bank is None:
            raise ValueError("This memory has no bank and so no pictures. Start from a Memory Bank.")
        return self.bank.read_frames(self, indices, nearest)

    def read_latents(self, indices: ArrayLike | Sequence[int]) -> list[NDArray[Any] | None]:
        """For each frame its latent (C, h, w), where the segment keeps one latent a frame; else None."""
        return self.bank.read_latents(self, indices) if self.bank else [None] * len(self.checked_indices(indices))

    def checked_indices(self, indices: ArrayLike | Sequence[int]) -> NDArray[np.int64]:
        """``indices`` as int64 (n,). Raises ``BankError`` if they are no frames of this memory."""
        wanted = np.asarray(indices)
        if wanted.size == 0:
            wanted = wanted.reshape(-1).astype(np.int64)
        if wanted.ndim != 1 or not np.issubdtype(wanted.dtype, np.integer):
            raise BankError(f"Frames were asked for with {wanted.dtype} of the shape {wanted.shape}, expected a list "
                             "of whole numbers.")
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.frames:
            wrong = wanted[(wanted < 0) | (wanted >= self.frames)][0]
            raise BankError(f"Frame {wrong} was asked for, but the memory has {self.frames} frames. Ask for 0 to "
                             f"{self.frames - 1}.")
        return wanted.astype(np.int64, copy=False)

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

    def check_fit(self, record: SegmentRecord) -> None:
        """Raises ``ValueError`` that says why, if a segment with this record cannot follow this state."""
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
        if self.depth_size and record.depth_size and record.depth_size != self.depth_size:
            raise ValueError(f"{what} has depth of {_shown(record.depth_size)}, but the memory keeps "
                             f"{_shown(self.depth_size)} (width x height). Give depth of that size.")


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"

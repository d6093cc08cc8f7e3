"""From the files of a bank back to the memory that its head names, everything checked on the way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import ROTATION_TOLERANCE, FloatArray
from ..document import Document, text_id
from ..errors import BankError, DamageError, damaged
from ..files import names_in, no_link, read_small
from ..state.edits import MAX_EDIT_BYTES, parse_edit
from ..state.frame_ranges import joined
from ..state.state import EMPTY_ID, MemoryState, PackRef, SegmentBatch
from .head import Head
from .packs import Pack, PackLabel, is_edit, read_label, read_pack
from .segment_file import read_cameras, read_parent
from .segment_text import check_cameras, intrinsics_rows, parse_segment

_ROWS = 8192

_log = logging.getLogger(__name__)


def load_state(folder: Path, head: Head, state: MemoryState) -> MemoryState:
    """The memory of ``head`` from the bank in ``folder``; ``state`` is the empty one.

    If something is damaged, what lies before it is used and a warning names it. Raises ``DamageError`` if nothing does.
    """
    if head.id == EMPTY_ID:
        return state
    try:
        packs, known = _chain(folder, head.pack)
        state = _with_packs(folder, state, packs, known, head)
        for entry in head.recent:
            state = _with_file(folder, state, entry)
        if (state.id, len(state.segments), len(state.edit_entries)) != (head.id, head.segments, head.edits):
            _log.warning("Memory bank %r: the head names the memory %s of %d segments and %d edits, but its files lead "
                         "to %r, which is used.", folder.name, head.id[:12], head.segments, head.edits, state)
    except _Stopped as stopped:
        state, problem = stopped.state, stopped.problem
        if not state.frames:
            raise DamageError(f"The memory bank {folder.name!r} cannot be used: its first segment is damaged. "
                              f"{problem}") from problem
        _log.warning("Memory bank %r: segment %d of %d is damaged, the %d before it are used. %s", folder.name,
                     len(state.segments) + 1, head.segments, len(state.segments), problem)
    if state.flags(np.arange(state.frames)).dropped.all():
        raise damaged(f"The memory bank {folder.name!r} cannot be used: all of its pictures are gone from "
                      f"{folder / 'segments'}")
    return state


class _Stopped(Exception):
    """Loading cannot go on behind ``state`` because of ``problem``."""

    def __init__(self, state: MemoryState, problem: Exception) -> None:
        self.state = state
        self.problem = problem


def _chain(folder: Path, last: str | None) -> tuple[list[tuple[str, PackLabel]], bool]:
    """The packs that lead to ``last``, first to last, and whether they are known down to the first segment."""
    result: list[tuple[str, PackLabel]] = []
    while last is not None:
        try:
            label = read_label(_pack_file(folder, last), last)
        except DamageError as problem:
            _log.warning("Memory bank %r: a pack is damaged and will be made again. %s", folder.name, problem)
            return result[::-1], False
        result.append((last, label))
        last = label.before
    return result[::-1], True


def _with_packs(
    folder: Path, state: MemoryState, packs: Sequence[tuple[str, PackLabel]], known: bool, head: Head
) -> MemoryState:
    present = set(names_in(folder / "segments", ".safetensors"))
    if not known:
        state = _by_files(folder, state, packs[0][1].parent if packs else _before_recent(folder, state, head))
    for number, (pack_id, label) in enumerate(packs):
        whole = len(state.packs) == number and known
        try:
            pack = read_pack(_pack_file(folder, pack_id), pack_id)
            state = _with_pack(folder, state, pack, f"{pack_id}.safetensors", present)
        except (DamageError, ArithmeticError, LookupError, TypeError, RecursionError) as problem:
            _log.warning("Memory bank %r: a pack is damaged and will be made again. %s", folder.name, problem)
            state = _by_files(folder, state, label.last)
            continue
        if whole:
            ref = PackRef(pack_id, len(state.segments), len(state.edit_entries), state.frames, state.id)
            state = replace(state, packs=(*state.packs, ref))
    return state


def _with_pack(folder: Path, state: MemoryState, pack: Pack, what: str, present: set[str]) -> MemoryState:
    """The state with the contents of a pack, checked before any of it is used."""
    if pack.label.parent != state.id:
        raise damaged(f"{what} continues memory {pack.label.parent[:12]}, not {state.id[:12]}")
    _check_proper(pack.poses, pack.intrinsics, what)
    result = _unpacked(state, pack, pack.texts)
    if result.id != pack.label.last or result.frames - state.frames != len(pack.poses):
        raise damaged(f"{what} leads to memory {result.id[:12]} with {result.frames - state.frames} more frames, but "
                      f"states {pack.label.last[:12]} with {len(pack.poses)}")
    first = len(state.segments)
    gone = [number for number, entry in enumerate(result.segments.ids(first, len(result.segments)), first)
            if entry not in present]
    if not gone:
        return result
    # The pack has their cameras and texts: the film keeps its length, and its end.
    lost = [result.segments[number] for number in gone]
    _log.warning("Memory bank %r: the pictures of %d segments are lost, their cameras are kept. %s.safetensors is "
                 "missing from %s. Restore it from a copy.", folder.name, len(lost), lost[0].id, folder / "segments")
    return result.with_lost(joined([(record.start, record.start + record.frames) for record in lost]))


def _unpacked(state: MemoryState, pack: Pack, texts: Sequence[bytes]) -> MemoryState:
    maker = _Batches(state, pack)
    for text in texts:
        if is_edit(text):
            maker.add_edit(text, text_id(text))
        else:
            maker.add_segment(text, text_id(text))
    return maker.finished()


class _Batches:
    """Segments of a pack, checked one by one and given to the state together."""

    def __init__(self, state: MemoryState, pack: Pack) -> None:
        self.state = state
        self.pack = pack
        self.frame = 0
        self.row = 0
        self._id = state.id
        self._time = state.end_time
        self._begin = 0
        self._counts: list[int] = []
        self._shots: list[int] = []
        self._depth_size = state.depth_size
        self._kind = (state.size, state.fps) if state.frames else None
        self._ids: list[str] = []
        self._texts: list[bytes] = []
        self._times: list[float] = []
        self._first_row = 0
        self._intrinsics_rows: list[int] = []

    def add_segment(self, text: bytes, entry: str) -> None:
        document = parse_segment(text, entry, entry)
        frames, rows = document["frames"], intrinsics_rows(document)
        poses = self.pack.poses[self.frame : self.frame + frames]
        intrinsics = self.pack.intrinsics[self.row : self.row + rows]
        if document["parent"] != self._id or len(poses) != frames or len(intrinsics) != rows:
            raise damaged(f"The pack does not hold the frames and lenses that segment {entry} states")
        check_cameras(document, poses, intrinsics, self._time, entry)
        self._check_kind(document, entry)
        self._counts.append(frames)
        self._shots.append(document["shot"])
        self._ids.append(entry)
        self._texts.append(text)
        self._times.append(self._time)
        self._intrinsics_rows.append(rows)
        fps = float(document["fps"])
        self._time = self._time + (frames - 1) / fps + 1.0 / fps
        self.frame, self.row, self._id = self.frame + frames, self.row + rows, entry

    def add_edit(self, text: bytes, entry: str) -> None:
        self.state = _with_edit(self.finished(), text, entry, entry)
        self._id = entry

    def finished(self) -> MemoryState:
        if self._ids:
            self.state = self.state.with_batch(self._batch())
            self._begin, self._first_row = self.frame, self.row
            self._counts, self._shots, self._intrinsics_rows = [], [], []
            self._ids, self._texts, self._times = [], [], []
        return self.state

    def _check_kind(self, document: Document, entry: str) -> None:
        kind = ((document["height"], document["width"]), float(document["fps"]))
        depth = document["tensors"].get("depth")
        size = (depth["shape"][1], depth["shape"][2]) if depth else self._depth_size
        self._kind, self._depth_size = self._kind or kind, self._depth_size or size
        if kind != self._kind or size != self._depth_size:
            raise damaged(f"Segment {entry} is of another size or rate than the memory")

    def _batch(self) -> SegmentBatch:
        assert self._kind is not None
        size, fps = self._kind
        assert size is not None and fps is not None
        counts = np.array(self._counts)
        starts = self.state.frames + np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(starts - self.state.frames, counts)
        times = np.repeat(self._times, counts) + within / fps
        return SegmentBatch(
            self._ids, starts.tolist(), self._shots, [text.decode("ascii") for text in self._texts], size, fps,
            self._depth_size, self.pack.poses[self._begin : self.frame], self._intrinsics_of_frames(counts), times,
        )

    def _intrinsics_of_frames(self, counts: NDArray[np.int64]) -> FloatArray:
        """One row a frame (n, 4), where a segment may store one for all of its frames."""
        rows = np.array(self._intrinsics_rows)
        repeats = np.repeat(np.where(rows == 1, counts, 1), rows)
        return np.repeat(self.pack.intrinsics[self._first_row : self.row], repeats, axis=0)


def _by_files(folder: Path, state: MemoryState, last: str) -> MemoryState:
    """``state`` continued up to the memory ``last`` from the segment files themselves: slow, but needs no pack."""
    entries, at = [], last
    try:
        while at not in (state.id, EMPTY_ID):
            entries.append(at)
            at = parent_of(folder, at)
    except DamageError as problem:
        raise _Stopped(state, problem) from problem
    if at != state.id:
        raise _Stopped(state, damaged(f"The memory {last[:12]} does not continue {state.id[:12]}"))
    for entry in reversed(entries):
        state = _with_file(folder, state, entry)
    return state


def _before_recent(folder: Path, state: MemoryState, head: Head) -> str:
    try:
        return parent_of(folder, head.recent[0]) if head.recent else head.id
    except DamageError as problem:
        raise _Stopped(state, problem) from problem


def parent_of(folder: Path, entry: str) -> str:
    """Id of the memory that the segment or edit ``entry`` continues. Raises ``DamageError`` that names the file."""
    edit = _edit_file(folder, entry)
    if edit.is_file():
        text = read_small(edit, MAX_EDIT_BYTES, edit.name)
        # What is not its own hash could name itself, and the way back would never end.
        if text_id(text) != entry:
            raise damaged(f"{edit.name} does not hold what its name says")
        return parse_edit(text, edit.name)[1]
    return read_parent(no_link(_segment_file(folder, entry)), entry)


def with_file(folder: Path, state: MemoryState, entry: str) -> MemoryState:
    """``state`` with the segment or edit ``entry`` from its file. Raises ``DamageError`` that names the file."""
    try:
        return _with_entry(folder, state, entry)
    except BankError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        # Nothing that a stranger may write into a file shall cost what lies before it.
        raise damaged(f"{entry} cannot be read ({type(error).__name__}: {error})") from error


def _with_entry(folder: Path, state: MemoryState, entry: str) -> MemoryState:
    edit = _edit_file(folder, entry)
    if edit.is_file():
        return _with_edit(state, read_small(edit, MAX_EDIT_BYTES, edit.name), entry, edit.name)
    path = no_link(_segment_file(folder, entry))
    cameras = read_cameras(path, entry, state.frames, state.end_time)
    record = cameras.record
    try:
        state.check_fit(record)
    except ValueError as error:
        raise damaged(f"{path.name} does not fit into the memory: {error}") from error
    _check_proper(cameras.poses, cameras.intrinsics, path.name)
    times = state.end_time + np.arange(record.frames) / record.fps
    intrinsics = np.broadcast_to(cameras.intrinsics, (record.frames, 4))
    return state.with_batch(SegmentBatch(
        [entry], [state.frames], [record.shot], [record.text], record.size, record.fps, record.depth_size,
        cameras.poses, intrinsics, times,
    ))


def _with_file(folder: Path, state: MemoryState, entry: str) -> MemoryState:
    try:
        return with_file(folder, state, entry)
    except DamageError as problem:
        raise _Stopped(state, problem) from problem


def _with_edit(state: MemoryState, text: bytes, entry: str, what: str) -> MemoryState:
    edit, parent = parse_edit(text, what)
    if parent != state.id:
        raise damaged(f"{what} is an edit of another memory")
    try:
        result = state.with_edit(edit)
    except ValueError as error:
        raise damaged(f"{what} does not fit into the memory: {error}") from error
    if result.id != entry:
        raise damaged(f"{what} does not hold what its name says")
    return result


def _check_proper(poses: FloatArray, intrinsics: FloatArray, what: str) -> None:
    """Refuses poses (n, 3, 4) and intrinsics (m, 4) that are not finite, rotations with scale, shear or mirror, and
    focal lengths that are not above 0."""
    for begin in range(0, len(poses), _ROWS):
        block = poses[begin : begin + _ROWS]
        xx, xy, xz, yx, yy, yz, zx, zy, zz = np.ascontiguousarray(block[:, :, :3].reshape(-1, 9).T)
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = [xx * xx + xy * xy + xz * xz - 1.0, yx * yx + yy * yy + yz * yz - 1.0,
                       zx * zx + zy * zy + zz * zz - 1.0]
            angles = [xx * yx + xy * yy + xz * yz, yx * zx + yy * zy + yz * zz, zx * xx + zy * xy + zz * xz]
            error = max(float(np.abs(one).max()) for one in (*lengths, *angles))
            turns = (xy * yz - xz * yy) * zx + (xz * yx - xx * yz) * zy + (xx * yy - xy * yx) * zz
            proper = error <= ROTATION_TOLERANCE and float(turns.min()) > 0.0
        if not (proper and np.isfinite(block).all()):
            raise damaged(f"{what} has a camera that is scaled, sheared, mirrored, or not a number")
    if not np.isfinite(intrinsics).all() or (intrinsics[:, :2] <= 0.0).any():
        raise damaged(f"{what} has an invalid lens (its focal length is not above 0, or not finite)")


def _segment_file(folder: Path, entry: str) -> Path:
    return folder / "segments" / f"{entry}.safetensors"


def _edit_file(folder: Path, entry: str) -> Path:
    return no_link(folder / "edits" / f"{entry}.json")


def _pack_file(folder: Path, pack: str) -> Path:
    return folder / "packs" / f"{pack}.safetensors"

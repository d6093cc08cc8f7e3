"""Keeps a film within its size on disk: the pictures that are least missed go, cameras and ids stay.

What is removed is decided from all that is alive, and only when nothing in the bank goes on from the film: while a film
is taken up again, what comes after it is still there. The choice depends on the film, its files and the limit alone, so
a film that was killed in between drops what it would have dropped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import BankError
from ..files import forget
from ..state.edits import MAX_RUNS, Edit
from ..state.state import MemoryState
from ..state.summary import bytes_text
from .head import head_of
from .lineage import lineage
from .loading import with_file
from .pixels import drop_pixels
from .redundancy import most_redundant, view_points
from .removal import earlier, forget_earlier, remove_unused
from .segment_file import picture_bytes
from .segment_text import is_version_1

if TYPE_CHECKING:
    from .bank import Bank

ROOM = 0.95
"""Share of the limit that is left in use, so that not every segment that follows passes it again."""
KEY_BYTES = 640
"""About what the keys of a segment take."""

_log = logging.getLogger(__name__)
_said: set[tuple[Path, int, bool]] = set()


def keep_within(bank: Bank, state: MemoryState, max_bytes: int) -> MemoryState:
    """``state``, whose film takes at most ``max_bytes`` on disk; a new memory if pictures had to go.

    Nothing happens while the bank fits, or while it holds something that goes on from ``state``. First go unfinished
    files and segments that nothing leads to; in a ``whole_bank`` then earlier memories, the oldest first; then pictures
    of this film: those that are never used (excluded, superseded), then those that another kept frame best replaces.
    Never the newest segment, a pinned frame, the very first, the last one of a shot, or what an earlier memory shows as
    well, which does not count either. An edit "drop" says which frames are gone. One line in the log says what
    happened; if the bank stays above the limit, one says why.
    """
    before = bank.size_bytes()
    if before <= max_bytes or not state.frames or lineage(bank.path).continued(state.id):
        return state
    forgotten = remove_unused(bank, state, max_bytes)
    if bank.whole_bank:
        forgotten += forget_earlier(bank, state, max_bytes)
    state, dropped = _drop_frames(bank, state, max_bytes)
    size = bank.size_bytes()
    if forgotten or dropped:
        _log.warning(
            "Memory bank %r passed its limit of %s: %d earlier memories and unused segments and the pictures of %d "
            "frames that others nearly repeat were removed, %s in all. The cameras of all frames stay. Raise the limit "
            "to keep more, or pin the frames that matter.",
            bank.name, bytes_text(max_bytes), forgotten, dropped, bytes_text(before - size),
        )
    if (line := above_limit(bank, max_bytes, size)) and (said := (bank.path, max_bytes, bank.whole_bank)) not in _said:
        _said.add(said)
        _log.warning("%s", line)
    return state


def above_limit(bank: Bank, max_bytes: int, size: int) -> str:
    """Why a bank of ``size`` bytes takes more than its limit, and the cure, in one line; empty if it does not."""
    if size <= max_bytes:
        return ""
    line = f"Memory bank {bank.name!r} takes {bytes_text(size)}, more than its limit of {bytes_text(max_bytes)}: "
    if bank.whole_bank or not bank.history():
        return line + ("what is left is protected (the newest segment, pinned frames, the first frame, the last one of "
                       "each shot, cameras, what another running program films). Raise the limit, or unpin frames.")
    return line + ("the limit covers this film, and the earlier ones in the bank stay as they are. Raise max_size_gb, "
                   "or let limit_covers be the whole bank, which deletes earlier films, the oldest first.")


def make_room(bank: Bank, state: MemoryState, coming: int) -> NDArray[np.int64]:
    """Frees what the limit allows to free before ``coming`` bytes are written after ``state``, on a disk that is full.

    Gives the frames of ``state`` whose pictures went; an edit that says so is still to be made.
    """
    assert bank.max_bytes is not None
    most = bank.max_bytes - coming
    remove_unused(bank, state, most)
    if bank.whole_bank:
        forget_earlier(bank, state, most)
    if not state.frames:
        return np.empty(0, dtype=np.int64)
    return _without(bank, state, _chosen(state, _Film.of(bank, state), most, round(bank.max_bytes * ROOM) - coming))


def flag_dropped(bank: Bank, state: MemoryState, frames: NDArray[np.int64]) -> MemoryState:
    """``state`` with edits that say that the pictures of ``frames`` are gone."""
    for runs in _runs(np.sort(frames)):
        state = bank.edit(state, Edit("drop", runs))
    return state


def dropped_then(bank: Bank, state: MemoryState) -> MemoryState:
    """``state`` with the drops that followed it when it was made before: what came after them is found again."""
    while (drop := lineage(bank.path).drop_after(state.id)) is not None:
        try:
            after = with_file(bank.path, state, drop)
        except BankError as problem:
            _log.warning("Memory bank %r: an edit is left out. %s", bank.name, problem)
            return state
        # It is on the way to the memory that takes its place.
        forget(bank.history_path / f"{state.id}.json")
        state = after
    return state


@dataclass(frozen=True, eq=False)
class _Film:
    """What a film takes on disk by itself: bytes of each picture, and of all its files that no earlier memory shares.

    ``pictures`` (N,) is 0 where a picture is gone or cannot be read; ``free`` (N,) is False where it may not be dropped
    because its segment is shared, of version 1 or ``damaged`` (N,).
    """

    pictures: NDArray[np.int64]
    free: NDArray[np.bool_]
    damaged: NDArray[np.bool_]
    total: int

    @classmethod
    def of(cls, bank: Bank, state: MemoryState) -> _Film:
        shared = _shared(bank, state)
        pictures = np.zeros(state.frames, dtype=np.int64)
        free, unread = np.ones(state.frames, dtype=np.bool_), np.zeros(state.frames, dtype=np.bool_)
        starts = [*state.segments.starts(np.arange(len(state.segments))).tolist(), state.frames]
        for number, entry in enumerate(state.segments.ids(0, len(state.segments))):
            mine = slice(starts[number], starts[number + 1])
            if entry in shared or is_version_1(json.loads(state.segments.text_of(number))):
                free[mine] = False
            try:
                pictures[mine] = picture_bytes(bank.segments_path / f"{entry}.safetensors", entry)
            except BankError:
                unread[mine] = True
        return cls(pictures, free & ~unread, unread, _film_bytes(bank, state))


def _shared(bank: Bank, state: MemoryState) -> set[str]:
    """The entries of a film that other memories of the bank have as well."""
    there = lineage(bank.path)
    line = there.up([state.id]).keys()
    heads = [(bank.newest(),), *earlier(bank).values()]
    return there.up(one for entries in heads if entries[0] not in line for one in entries).keys() & line


def _film_bytes(bank: Bank, state: MemoryState) -> int:
    """Bytes of all files of a film that no other memory shares."""
    shared = _shared(bank, state)
    segments = [entry for entry in state.segments.ids(0, len(state.segments)) if entry not in shared]
    edits = [one.id for one in state.edit_entries if one.id not in shared]
    files = [
        *(bank.segments_path / f"{entry}.safetensors" for entry in segments),
        *(bank.path / "edits" / f"{one}.json" for one in edits),
        *(bank.path / "packs" / f"{pack.id}.safetensors" for pack in state.packs),
    ]
    return sum(map(_size, files)) + KEY_BYTES * len(segments) + len(head_of(state).text)


def _drop_frames(bank: Bank, state: MemoryState, max_bytes: int) -> tuple[MemoryState, int]:
    """Drops the least useful frames until the film takes ``ROOM`` of the limit; gives the memory and how many went."""
    if _film_bytes(bank, state) <= max_bytes:
        return state, 0
    film = _Film.of(bank, state)
    flagged = state.flags(np.arange(state.frames)).dropped
    left = np.flatnonzero(flagged & film.free & (film.pictures > 0))
    if len(left):
        # A crash came between the edit and the removal of its pictures.
        _without(bank, state, left)
        film = _Film.of(bank, state)
    chosen = _chosen(state, film, max_bytes, round(max_bytes * ROOM))
    if not len(chosen):
        return state, 0
    gone = np.flatnonzero((film.pictures == 0) & ~film.damaged & ~flagged)
    try:
        state = flag_dropped(bank, state, np.union1d(chosen, gone))
    except BankError as problem:
        _log.warning("Memory bank %r: nothing could be dropped. %s", bank.name, problem)
        return state, 0
    return state, len(_without(bank, state, chosen))


def _without(bank: Bank, state: MemoryState, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Removes the pictures of ``frames``, and gives those that went: on a full disk a smaller file may be too much."""
    owners = state.segment_at(frames)
    parts = [frames[owners == owner] for owner in np.unique(owners)]
    gone = [frames[:0]]
    # Where most of a file goes the new one is small, and has room first.
    for part in sorted(parts, key=len, reverse=True):
        try:
            drop_pixels(bank, state, part)
            gone.append(part)
        except BankError as problem:
            _log.warning("Memory bank %r: pictures could not be removed. %s", bank.name, problem)
    return np.sort(np.concatenate(gone))


def _chosen(state: MemoryState, film: _Film, most: int, room: int) -> NDArray[np.int64]:
    """The fewest of the least useful frames to drop, so that a film of more than ``most`` bytes takes ``room``."""
    if film.total <= most:
        return np.empty(0, dtype=np.int64)
    order = _least_useful(state, film)
    freed = np.cumsum(film.pictures[order])
    return np.sort(order[: int(np.searchsorted(freed, film.total - room)) + 1])


def _least_useful(state: MemoryState, film: _Film) -> NDArray[np.int64]:
    """The frames that may be dropped, those first that are missed least.

    Segments of version 1 keep theirs: they have one hash for all of their pictures. The last frame of a shot is where
    the next one begins, also when it is filmed again.
    """
    frames = np.arange(state.frames)
    flags, newest = state.flags(frames), state.segments[-1].start
    kept = frames[~flags.dropped & (film.pictures > 0)]
    shots = state.shot_ids
    free = film.free & ~flags.pinned & (frames > 0) & (frames < newest)
    free[:-1] &= shots[:-1] == shots[1:]
    unused = kept[(free & ~flags.usable)[kept]]
    used = kept[flags.usable[kept]]
    points = view_points(state.cameras(used)[0])
    order = np.fromiter(most_redundant(points, free[used], flags.strength[used]), dtype=np.int64)
    return np.concatenate([unused, used[order]])


def _runs(frames: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Ascending ``frames`` as runs (start, stop), at most as many together as one edit takes."""
    breaks = np.flatnonzero(np.diff(frames) > 1) + 1
    runs = [(int(part[0]), int(part[-1]) + 1) for part in np.split(frames, breaks) if len(part)]
    for begin in range(0, len(runs), MAX_RUNS):
        yield tuple(runs[begin : begin + MAX_RUNS])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

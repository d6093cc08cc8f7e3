"""Keeps a film within its size on disk: the pictures that are least missed go, cameras and ids stay.

What is removed is decided from all that is alive, and only when nothing in the bank goes on from the film: while a film
is taken up again, what comes after it is still there. The choice depends on the film, its files and the limit alone, so
a film that was killed in between drops what it would have dropped. Least missed are the frames that another frame,
close by and facing the same way, replaces.
"""

from __future__ import annotations

import heapq
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ..cameras.camera import FloatArray
from ..errors import BankError
from ..files import bytes_in, forget
from ..state.state import MemoryState
from ..state.summary import bytes_text
from .commit import current_head, flag_dropped
from .head import earlier_ids, head_of
from .loading import with_file
from .pixels import drop_pixels
from .removal import earlier, forget_earlier, lineage, remove_unused
from .segment_file import picture_bytes
from .segment_text import is_version_1

ROOM = 0.95
"""Share of the limit that is left in use, so that not every segment that follows passes it again."""
KEY_BYTES = 264
"""What the keys of a segment take at least. A film is never reckoned larger than its files are: then what a crash left
beside them does not change what is dropped."""
TURN_DEGREES = 30.0
"""Turning by so much makes a view as new as walking a quarter of the way that the camera usually is from its centre."""

_log = logging.getLogger(__name__)
_said: set[tuple[Path, SizeLimit]] = set()


@dataclass(frozen=True)
class SizeLimit:
    """A film, or with ``whole_bank`` the bank with all of its films, takes at most ``max_bytes`` on disk."""

    max_bytes: int
    whole_bank: bool = False


def keep_within(folder: Path, state: MemoryState, limit: SizeLimit) -> MemoryState:
    """``state``, whose film in the bank ``folder`` is within ``limit``; a new memory if pictures had to go.

    Nothing happens while the bank fits, or while it holds something that goes on from ``state``. First go unfinished
    files and segments that nothing leads to; with ``whole_bank`` then earlier memories, the oldest first; then pictures
    of this film: those that are never used (excluded, superseded), then those that another kept frame best replaces.
    Never the newest segment, a pinned frame, the very first, the last one of a shot, or what an earlier memory shows as
    well, which does not count either. An edit "drop" says which frames are gone. One line in the log says what
    happened; if the bank stays above the limit, one says why.
    """
    if not state.frames or lineage(folder).continued(state.id):
        return state
    if state.edits and state.edits[-1].kind == "drop" and state.edit_entries[-1].id == state.id:
        _finish_drop(folder, state)
    before = bytes_in(folder)
    if before <= limit.max_bytes:
        return state
    forgotten = remove_unused(folder, state, limit.max_bytes)
    if limit.whole_bank:
        forgotten += forget_earlier(folder, state, limit.max_bytes)
    state, dropped = _drop_frames(folder, state, limit.max_bytes)
    size = bytes_in(folder)
    if forgotten or dropped:
        _log.warning(
            "Memory bank %r passed its limit of %s: %d earlier memories and unused segments and the pictures of %d "
            "frames that others nearly repeat were removed, %s in all. The cameras of all frames stay. Raise the limit "
            "to keep more, or pin the frames that matter.",
            folder.name, bytes_text(limit.max_bytes), forgotten, dropped, bytes_text(before - size),
        )
    if (line := above_limit(folder, limit, size)) and (folder, limit) not in _said:
        _said.add((folder, limit))
        _log.warning("%s", line)
    return state


def above_limit(folder: Path, limit: SizeLimit, size: int) -> str:
    """Why a bank of ``size`` bytes takes more than its limit, and the cure, in one line; empty if it does not."""
    if size - bytes_in(folder / "keys") <= limit.max_bytes:
        return ""
    line = (f"Memory bank {folder.name!r} takes {bytes_text(size)}, more than its limit of "
            f"{bytes_text(limit.max_bytes)}: ")
    if limit.whole_bank or not earlier_ids(folder):
        return line + ("what is left is protected (the newest segment, pinned frames, the first frame, the last one of "
                       "each shot, cameras, what another running program films). Raise the limit, or unpin frames.")
    return line + ("the limit covers this film, and the earlier ones in the bank stay as they are. Raise max_size_gb, "
                   "or let limit_covers be the whole bank, which deletes earlier films, the oldest first.")


def make_room(folder: Path, state: MemoryState, limit: SizeLimit, coming: int) -> NDArray[np.int64]:
    """Frees what the limit allows to free before ``coming`` bytes are written after ``state``, on a disk that is full.

    Gives the frames (n,) int64 of ``state`` whose pictures went; an edit that says so is still to be made.
    """
    most = limit.max_bytes - coming
    remove_unused(folder, state, most)
    if limit.whole_bank:
        forget_earlier(folder, state, most)
    if not state.frames:
        return np.empty(0, dtype=np.int64)
    room = round(limit.max_bytes * ROOM) - coming
    return _without(folder, state, _chosen(state, _Film.of(folder, state), most, room))


def dropped_then(folder: Path, state: MemoryState) -> MemoryState:
    """``state`` with the drops that followed it when it was made before: what came after them is found again."""
    while (drop := lineage(folder).drop_after(state.id)) is not None:
        try:
            after = with_file(folder, state, drop)
        except BankError as problem:
            _log.warning("Memory bank %r: an edit is left out. %s", folder.name, problem)
            return state
        # It is on the way to the memory that takes its place.
        forget(folder / "history" / f"{state.id}.json")
        state = after
    return state


def view_points(poses: FloatArray) -> FloatArray:
    """(n, 6) of cameras (n, 4, 4): where each stands and where it looks, so that near points are views alike.

    Distance 1 is a turn of ``TURN_DEGREES``, or a step of a quarter of the path's spread (the root mean square distance
    from its median position), whatever the scene's unit is.
    """
    positions, forward = poses[:, :3, 3], poses[:, :3, 2]
    away = positions - np.median(positions, axis=0)
    spread = float(np.sqrt((away**2).sum(axis=1).mean()))
    turn = 2.0 * np.sin(np.deg2rad(TURN_DEGREES) / 2.0)
    return np.concatenate([away / (spread / 4.0 if spread > 1e-9 else 1.0), forward / turn], axis=1)


def most_redundant(points: FloatArray, removable: ArrayLike, weight: ArrayLike | None = None) -> Iterator[int]:
    """Indices of ``points`` (n, d) in the order in which they can best be spared, as long as any is ``removable`` (n,).

    Greedy and exact: each time the point whose nearest remaining neighbour is closest, and of two alike the older one.
    ``weight`` (n,) above 0, 1 if left out, multiplies a point's distance: points of little weight go sooner. About
    O(log n) for each.
    """
    free = np.asarray(removable, dtype=bool)
    weights = np.ones(len(points)) if weight is None else np.asarray(weight, dtype=np.float64)
    there = np.ones(len(points), dtype=bool)
    for index in _repeated(points, free).tolist():
        there[index] = False
        yield index
    nearest = _Nearest(points, np.flatnonzero(there))
    members, distances, neighbours = nearest.at_first()
    heap = [(float(distance * weights[i]), int(i), int(neighbour))
            for i, distance, neighbour in zip(members, distances, neighbours, strict=True) if free[i]]
    heapq.heapify(heap)
    left = nearest.count
    while heap:
        _, index, neighbour = heapq.heappop(heap)
        if neighbour >= 0 and not there[neighbour]:
            # Distances only grow as points go, so the first one that is still true is the smallest of all.
            distance, other = nearest.of(index, there)
            heapq.heappush(heap, (distance * weights[index], index, other))
            continue
        there[index] = False
        left -= 1
        if left < nearest.count // 2:
            nearest = _Nearest(points, np.flatnonzero(there))
        yield index


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
    def of(cls, folder: Path, state: MemoryState) -> _Film:
        shared = _shared(folder, state)
        pictures = np.zeros(state.frames, dtype=np.int64)
        free, unread = np.ones(state.frames, dtype=np.bool_), np.zeros(state.frames, dtype=np.bool_)
        starts = [*state.segments.starts(np.arange(len(state.segments))).tolist(), state.frames]
        for number, entry in enumerate(state.segments.ids(0, len(state.segments))):
            mine = slice(starts[number], starts[number + 1])
            if entry in shared or is_version_1(json.loads(state.segments.text_of(number))):
                free[mine] = False
            try:
                pictures[mine] = picture_bytes(folder / "segments" / f"{entry}.safetensors", entry)
            except BankError:
                unread[mine] = True
        return cls(pictures, free & ~unread, unread, _film_bytes(folder, state))


def _shared(folder: Path, state: MemoryState) -> set[str]:
    """The entries of a film that other memories of the bank have as well."""
    there = lineage(folder)
    line = there.up([state.id]).keys()
    heads = [(current_head(folder).id,), *earlier(folder).values()]
    return there.up(one for entries in heads if entries[0] not in line for one in entries).keys() & line


def _film_bytes(folder: Path, state: MemoryState) -> int:
    """Bytes of all files of a film that no other memory shares."""
    shared = _shared(folder, state)
    segments = [entry for entry in state.segments.ids(0, len(state.segments)) if entry not in shared]
    edits = [one.id for one in state.edit_entries if one.id not in shared]
    files = [
        *(folder / "segments" / f"{entry}.safetensors" for entry in segments),
        *(folder / "edits" / f"{one}.json" for one in edits),
        *(folder / "packs" / f"{pack.id}.safetensors" for pack in state.packs),
    ]
    return sum(map(_size, files)) + KEY_BYTES * len(segments) + len(head_of(state).text)


def _drop_frames(folder: Path, state: MemoryState, max_bytes: int) -> tuple[MemoryState, int]:
    """Drops the least useful frames until the film takes ``ROOM`` of the limit; gives the memory and how many went."""
    if _film_bytes(folder, state) <= max_bytes:
        return state, 0
    film = _finish_drop(folder, state)
    chosen = _chosen(state, film, max_bytes, round(max_bytes * ROOM))
    if not len(chosen):
        return state, 0
    flagged = state.flags(np.arange(state.frames)).dropped
    gone = np.flatnonzero((film.pictures == 0) & ~film.damaged & ~flagged)
    try:
        state = flag_dropped(folder, state, np.union1d(chosen, gone))
    except BankError as problem:
        _log.warning("Memory bank %r: nothing could be dropped. %s", folder.name, problem)
        return state, 0
    return state, len(_without(folder, state, chosen))


def _finish_drop(folder: Path, state: MemoryState) -> _Film:
    """What a film takes once the pictures are gone that a crash, after the edit that drops them, has left."""
    film = _Film.of(folder, state)
    flagged = state.flags(np.arange(state.frames)).dropped
    left = np.flatnonzero(flagged & film.free & (film.pictures > 0))
    if not len(left):
        return film
    _without(folder, state, left)
    return _Film.of(folder, state)


def _without(folder: Path, state: MemoryState, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Removes the pictures of ``frames``, and gives those that went: on a full disk a smaller file may be too much."""
    owners = state.segment_at(frames)
    parts = [frames[owners == owner] for owner in np.unique(owners)]
    gone = [frames[:0]]
    # Where most of a file goes the new one is small, and has room first.
    for part in sorted(parts, key=len, reverse=True):
        try:
            drop_pixels(folder, state, part)
            gone.append(part)
        except BankError as problem:
            _log.warning("Memory bank %r: pictures could not be removed. %s", folder.name, problem)
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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _repeated(points: FloatArray, free: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The free points, oldest first, of which another is the very same and stays."""
    _, group = np.unique(points, axis=0, return_inverse=True)
    group = group.reshape(-1)
    newest = np.zeros(len(points), dtype=np.int64)
    np.maximum.at(newest, group, np.arange(len(points)))
    stays = np.zeros(len(points), dtype=bool)
    stays[group[~free]] = True
    return np.flatnonzero(free & (stays[group] | (newest[group] != np.arange(len(points)))))


class _Nearest:
    """The nearest others of points; asks a tree of those that are there for more and more until one still is."""

    def __init__(self, points: FloatArray, members: NDArray[np.int64]) -> None:
        self._members = members
        self._points, self.count = points, len(members)
        self._tree = cKDTree(points[members])

    def at_first(self) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
        """The members, and the distance and index of each one's nearest other; infinity and -1 for one alone."""
        if self.count < 2:
            return self._members, np.full(self.count, np.inf), np.full(self.count, -1, dtype=np.int64)
        distances, found = self._tree.query(self._points[self._members], k=2)
        return self._members, distances[:, 1], self._members[found[:, 1]]

    def of(self, index: int, there: NDArray[np.bool_]) -> tuple[float, int]:
        """Distance and index of the nearest other point that is ``there``; infinity and -1 if none is."""
        asked = 4
        while True:
            distances, found = self._tree.query(self._points[index], k=min(asked, self.count))
            others = self._members[np.atleast_1d(found)]
            good = np.flatnonzero(there[others] & (others != index))
            if len(good):
                return float(np.atleast_1d(distances)[good[0]]), int(others[good[0]])
            if asked >= self.count:
                return np.inf, -1
            asked *= 4

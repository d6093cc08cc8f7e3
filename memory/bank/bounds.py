"""Keeps a bank within its size on disk: what nothing reaches goes first, then the pictures that are least missed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import BankError
from ..state.edits import MAX_RUNS, Edit, parse_edit
from ..state.state import MemoryState
from .head import ID, read_head
from .loading import load_state
from .locking import head_lock
from .pixels import drop_pixels, kept_frames
from .redundancy import most_redundant, view_points
from .segment_text import is_version_1
from .storage import names_in, no_link

if TYPE_CHECKING:
    from .bank import Bank

ROOM = 0.9
"""Share of the limit that is left in use, so that not every segment that follows passes it again."""
FRESH_SECONDS = 3600.0
"""Files younger than this may belong to a segment that another program is just appending, and stay."""

_log = logging.getLogger(__name__)


def keep_within(bank: Bank, state: MemoryState, max_bytes: int) -> MemoryState:
    """``state``, whose bank takes at most ``max_bytes`` on disk; a new memory if pictures had to go.

    First go memories of the history and segments that no memory reaches, the oldest first; then whole frames: those
    that are never used (excluded, superseded), then those that another kept frame best replaces. Never the newest
    segment, a pinned frame or the very first. Cameras and ids stay, and an edit "drop" says which frames are gone. One
    line in the log says what happened. If the limit cannot be reached, a line says so and what is protected is kept.
    """
    size = bank.size_bytes()
    if size <= max_bytes:
        return state
    before, room = size, int(max_bytes * ROOM)
    forgotten = _forget_history(bank, state, size - room)
    size = bank.size_bytes()
    dropped = 0
    if size > max_bytes:
        state, dropped = _drop_frames(bank, state, room)
        size = bank.size_bytes()
    if forgotten or dropped:
        _log.warning(
            "Memory bank %r passed its limit of %s: %d earlier memories and unused segments and the pictures of %d "
            "frames that others nearly repeat were removed, %s in all. The cameras of all frames stay. Raise the limit "
            "to keep more, or pin the frames that matter.",
            bank.name, _shown(max_bytes), forgotten, dropped, _shown(before - size),
        )
    if size > max_bytes:
        _log.warning(
            "Memory bank %r takes %s, more than its limit of %s: what is left is protected (the newest segment, pinned "
            "frames, the first frame, cameras). Raise the limit, or unpin frames.",
            bank.name, _shown(size), _shown(max_bytes),
        )
    return state


def dropped_then(bank: Bank, state: MemoryState) -> MemoryState:
    """``state`` with the drops that followed it when it was made before: what came after them is found again."""
    drops: dict[str, Edit] = {}
    for name in sorted(names_in(bank.path / "edits", ".json"), reverse=True):
        path = no_link(bank.path / "edits" / f"{name}.json")
        try:
            edit, parent = parse_edit(path.read_bytes(), path.name)
        except (BankError, OSError) as problem:
            _log.warning("Memory bank %r: an edit is left out. %s", bank.name, problem)
            continue
        if edit.kind == "drop":
            drops[parent] = edit
    while state.id in drops and drops[state.id].stop <= state.frames:
        state = state.with_edit(drops[state.id])
    return state


def _forget_history(bank: Bank, state: MemoryState, excess: int) -> int:
    """Removes segments that no memory reaches, then earlier memories, oldest first, with what only they reach.

    Stops when ``excess`` bytes are free. Gives how many files went.
    """
    gone = 0
    with head_lock(bank.path):
        history = sorted((no_link(bank.history_path / f"{name}.json") for name in bank.history()), key=_age)
        needed = [_reached(bank, bank.head_path) | _segments_of(state), *(_reached(bank, path) for path in history)]
        files = [no_link(bank.segments_path / f"{name}.safetensors")
                 for name in names_in(bank.segments_path, ".safetensors") if ID.fullmatch(name)]
        unused = {file for file in files if not any(file.stem in part for part in needed)}
        # A young one may belong to a segment that another program is just appending.
        old = {file for file in unused if time.time() - file.stat().st_mtime > FRESH_SECONDS}
        for number, path in enumerate([None, *history]):
            if path is not None and excess > 0:
                path.unlink(missing_ok=True)
                gone += 1
            mine = old if path is None else {
                file for file in files if file.stem in needed[number] and not any(
                    file.stem in part for part in (needed[0], *needed[number + 1 :]))}
            for file in sorted((file for file in mine if file.exists()), key=_age):
                if excess > 0:
                    size = file.stat().st_size
                    file.unlink(missing_ok=True)
                    excess, gone = excess - size, gone + 1
    return gone


def _reached(bank: Bank, path: Path) -> set[str]:
    """Ids of the segments of the memory that the head ``path`` names, even of those behind a damaged one."""
    try:
        head = read_head(path, path.name)
        return _segments_of(load_state(bank.path, head, bank.empty())) | set(head.recent)
    except BankError as problem:
        _log.warning("Memory bank %r: %s cannot be loaded, so it keeps no segments. %s", bank.name, path.name, problem)
        return set()


def _segments_of(state: MemoryState) -> set[str]:
    return {state.segments.id_of(i) for i in range(len(state.segments))}


def _drop_frames(bank: Bank, state: MemoryState, room: int) -> tuple[MemoryState, int]:
    """Drops the least useful frames until the bank takes ``room`` bytes; gives the memory and how many went."""
    unbounded, dropped = replace(bank, max_bytes=None), 0
    frames = np.arange(state.frames)
    gone = frames[state.flags(frames).dropped]
    if len(gone):
        left = gone[kept_frames(bank.path, state, gone)]
        if len(left):
            # A crash came between the edit and the removal of its pictures.
            drop_pixels(bank, state, left)
    order = _least_useful(state)
    while len(order) and (size := bank.size_bytes()) > room:
        kept = state.frames - int(state.flags(frames).dropped.sum())
        count = -(-(size - room) * kept // size) + kept // 100
        chosen, order = np.sort(order[:count]), order[count:]
        for runs in _runs(chosen):
            state = unbounded.edit(state, Edit("drop", runs))
        drop_pixels(bank, state, chosen)
        dropped += len(chosen)
    return state, dropped


def _least_useful(state: MemoryState) -> NDArray[np.int64]:
    """The frames that may be dropped, those first that are missed least.

    Segments of version 1 keep theirs: they have one hash for all of their pictures.
    """
    frames = np.arange(state.frames)
    flags, newest = state.flags(frames), state.segments[-1].start
    kept = frames[~flags.dropped]
    free = ~flags.pinned & (frames > 0) & (frames < newest)
    for i in range(len(state.segments)):
        if is_version_1(json.loads(state.segments.text_of(i))):
            record = state.segments[i]
            free[record.start : record.start + record.frames] = False
    unused = kept[(free & ~flags.usable)[kept]]
    used = kept[flags.usable[kept]]
    points = view_points(state.cameras(used)[0])
    order = np.fromiter(most_redundant(points, free[used], flags.strength[used]), dtype=np.int64)
    return np.concatenate([unused, used[order]])


def _runs(frames: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Ascending ``frames`` as runs (start, stop), at most as many together as one edit takes."""
    breaks = np.flatnonzero(np.diff(frames) > 1) + 1
    runs = [(int(part[0]), int(part[-1]) + 1) for part in np.split(frames, breaks)]
    for begin in range(0, len(runs), MAX_RUNS):
        yield tuple(runs[begin : begin + MAX_RUNS])


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _shown(size: int) -> str:
    power = 3 if size >= 10**9 else 2 if size >= 10**6 else 1 if size >= 10**3 else 0
    return f"{size / 1000**power:.{1 if power else 0}f} {('bytes', 'kB', 'MB', 'GB')[power]}"

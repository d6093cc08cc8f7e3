"""What makes a memory the bank's own: its packs, its edits and its head on the disk, one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BankError, DamageError
from ..files import forget, no_link, read_small, write_whole
from ..state.edits import MAX_RUNS, Edit
from ..state.frame_ranges import runs_of
from ..state.state import EMPTY_ID, MemoryState
from . import writers
from .damage import sound_head
from .head import Head, head_of, read_head
from .packs import packed


def current_head(folder: Path) -> Head:
    """The head of the bank in ``folder``. One that is damaged or lost is made again. Raises ``BankError`` if it cannot
    be, or if a newer version of this pack wrote it."""
    try:
        return read_head(folder / "head.json", f"head.json of the memory bank {folder.name!r}")
    except DamageError:
        with writers.head_lock(folder):
            return sound_head(folder)


def commit(folder: Path, state: MemoryState) -> MemoryState:
    """Makes ``state`` the memory of the bank in ``folder``, and gives it with its older segments in packs. Raises
    ``BankError`` if the disk refuses."""
    state = packed(folder / "packs", state)
    writers.note(folder, state.id)
    replace_head(folder, state)
    return state


def commit_edit(folder: Path, state: MemoryState, edit: Edit) -> MemoryState:
    """Writes ``edit`` of ``state`` and gives the memory in which it is in force, now that of the bank in ``folder``.

    Raises ``BankError`` if the disk refuses or the memory's files are gone, ``ValueError`` for frames that it has not.
    """
    check_still_there(folder, state)
    result = state.with_edit(edit)
    entry = result.edit_entries[-1]
    path = no_link(folder / "edits" / f"{entry.id}.json")
    if not (path.is_file() and read_small(path, len(entry.text), path.name) == entry.text.encode("ascii")):
        write_whole(path, entry.text.encode("ascii"), folder=False)
    return commit(folder, result)


def drop_edits(frames: ArrayLike) -> Iterator[Edit]:
    """The edits that say that the pictures of ``frames`` (n,), whole numbers, are gone: each of bounded size."""
    runs = runs_of(np.asarray(frames, dtype=np.int64))
    for first in range(0, len(runs), MAX_RUNS):
        yield Edit("drop", runs[first : first + MAX_RUNS])


def flag_dropped(folder: Path, state: MemoryState, frames: NDArray[np.int64]) -> MemoryState:
    """``state`` with edits that say that the pictures of ``frames`` (n,) are gone."""
    for edit in drop_edits(frames):
        state = commit_edit(folder, state, edit)
    return state


def check_still_there(folder: Path, state: MemoryState) -> None:
    """Raises ``BankError`` where the files of ``state`` are gone: the bank was deleted, and perhaps made anew."""
    if state.frames:
        newest = folder / "segments" / f"{state.segments[-1].id}.safetensors"
        there = newest.is_file() or bool(state.flags([state.frames - 1]).dropped[0])
    else:
        there = folder.is_dir()
    if not there:
        raise BankError(f"The memory bank {folder.name!r} was deleted, or made anew, while this film was in use: the "
                        f"{state.frames} frames before this are gone from {folder}. Queue the graph again to make "
                        "them anew, or put the folder back.")


def replace_head(folder: Path, state: MemoryState) -> None:
    """Makes ``state`` the memory of the bank in ``folder``; a memory that it does not continue goes to the history.

    One writer at a time, among threads and processes. Raises ``BankError`` if the disk refuses.
    """
    path, history, new = no_link(folder / "head.json"), folder / "history", head_of(state)
    with writers.head_lock(folder):
        old = sound_head(folder) if path.exists() else None
        if old is not None and old.id == new.id and old.text == new.text:
            return
        if old is not None and not _continues(state, old):
            write_whole(no_link(history / f"{old.id}.json"), old.text)
        write_whole(path, new.text)
        forget(history / f"{new.id}.json")


def _continues(state: MemoryState, old: Head) -> bool:
    if old.id == EMPTY_ID or old.id == state.id:
        return True
    edits, segments = state.edit_entries, state.segments
    return bool(
        (old.segments <= len(segments) and old.edits <= len(edits))
        and (
            (old.segments and segments.id_of(old.segments - 1) == old.id)
            or (old.edits and edits[old.edits - 1].id == old.id)
        )
    )

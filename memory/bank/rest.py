"""The sound segments behind a damaged one: they continue a memory that is not there, and can be a film of their own.

An id vouches for all that came before it, so segments cannot keep theirs without what they continue. What is sound is
copied: the same pictures and cameras, as the segments of a new memory.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BankError, DamageError
from ..files import no_link, read_small, write_whole
from ..state.edits import MAX_EDIT_BYTES, Edit, parse_edit
from ..state.state import EMPTY_ID, MemoryState
from .head import Head, head_of
from .loading import load_state, parent_of, with_file
from .segment_file import after_another, read_cameras, read_text

if TYPE_CHECKING:
    from .bank import Bank

_log = logging.getLogger(__name__)
_SHOWN = 12


@dataclass(frozen=True)
class Rest:
    """Sound ``entries`` in a row (ids of segments and edits) whose beginning is lost, and how many ``frames`` they
    have. ``id`` is the first entry's, and names what can be made of them."""

    entries: tuple[str, ...]
    frames: int

    @property
    def id(self) -> str:
        """Id of the first segment behind the damage."""
        return self.entries[0]


def rests_of(folder: Path, head: Head, state: MemoryState) -> list[Rest]:
    """What is sound behind ``state``, which is all that could be loaded of the memory that ``head`` names."""
    result: list[Rest] = []
    entries: list[str] = []
    frames = 0
    for entry in [*_behind(folder, head, state), ""]:
        count = _frames_of(folder, entry)
        if count is not None and (entries or count > 0):
            entries.append(entry)
            frames += count
        elif count is None and entries:
            result.append(Rest(tuple(entries), frames))
            entries, frames = [], 0
    return result


def rests_in(bank: Bank, heads: Sequence[str | None]) -> list[Rest]:
    """What is sound behind damage in the memories of ``bank`` that ``heads`` name; None is the newest."""
    found: dict[str, Rest] = {}
    for one in heads:
        state = bank.empty()
        try:
            named = bank.head(one)
        except DamageError:
            continue
        try:
            state = load_state(bank.path, named, state)
        except DamageError:
            pass
        if state.id != named.id:
            found |= {rest.id: rest for rest in rests_of(bank.path, named, state)}
    return list(found.values())


def rests_text(rests: Sequence[Rest]) -> str:
    """How the artist gets at them."""
    if not rests:
        return ""
    named = " and ".join(f"the {rest.frames} frames from {rest.id[:_SHOWN]} on" for rest in rests)
    return (f"Behind the damage {named} are sound. To make a film of its own of them, set Memory Bank to 'continue' "
            "and write that id into 'earlier'.")


def film_of(bank: Bank, rest: Rest) -> MemoryState:
    """The entries of ``rest`` as a memory of their own in ``bank``. It is among the earlier memories under the id of
    ``rest`` as well. Raises ``BankError`` if the disk refuses."""
    state, offset = bank.empty(), 0
    for entry in rest.entries:
        edit_path = bank.path / "edits" / f"{entry}.json"
        if edit_path.is_file():
            state = _edited(bank, state, edit_path, offset)
            continue
        path = no_link(bank.path / "segments" / f"{entry}.safetensors")
        if not state.frames:
            document = read_text(path, entry)
            offset = round(document["time"] * document["fps"])
        try:
            state = _continued(bank, state, path, entry)
        except DamageError as problem:
            if not state.frames:
                raise
            _log.warning("Memory bank %r: a segment does not fit behind the others and is left out, with all behind "
                         "it. %s", bank.name, problem)
            break
    write_whole(no_link(bank.path / "history" / f"{rest.id}.json"), head_of(state).text)
    _log.warning("Memory bank %r: %d frames whose beginning is lost are now the memory %s.", bank.name, state.frames,
                 state.id[:_SHOWN])
    return state


def loaded_with_rest(bank: Bank) -> tuple[MemoryState, list[str]]:
    """The bank's memory, or where nothing of its beginning is left the longest part that is sound, and words for it."""
    try:
        return bank.load(), []
    except DamageError as problem:
        rests = bank.rests()
        if not rests:
            raise
        longest = max(rests, key=lambda rest: rest.frames)
        return film_of(bank, longest), [f"Its beginning is lost. {problem}"]


def _behind(folder: Path, head: Head, state: MemoryState) -> list[str]:
    """Ids of the entries behind ``state``, as far back as they can be followed."""
    known = set(state.entry_ids())
    entries = [entry for entry in head.recent if entry not in known]
    if len(entries) == len(head.recent):
        at, before = (head.recent[0] if head.recent else head.id), dict[str, None]()
        try:
            while (at := parent_of(folder, at)) not in (EMPTY_ID, state.id) and at not in before:
                before[at] = None
        except BankError:
            pass
        entries = [*reversed(before), *(head.recent or (head.id,))]
    return entries


def _frames_of(folder: Path, entry: str) -> int | None:
    """How many frames a sound entry has, 0 for an edit; None for a damaged one, and for a segment of version 1."""
    try:
        if (folder / "edits" / f"{entry}.json").is_file():
            parent_of(folder, entry)
            return 0
        path = no_link(folder / "segments" / f"{entry}.safetensors")
        time = read_text(path, entry)["time"]
        return None if time is None else read_cameras(path, entry, 0, time).record.frames
    except BankError:
        return None


def _continued(bank: Bank, state: MemoryState, path: Path, entry: str) -> MemoryState:
    copy, parts = after_another(path, entry, state.id, state.end_time)
    target = no_link(bank.path / "segments" / f"{copy}.safetensors")
    if not target.is_file():
        write_whole(target, *parts, folder=False)
    return with_file(bank.path, state, copy)


def _edited(bank: Bank, state: MemoryState, path: Path, offset: int) -> MemoryState:
    """``state`` with the edit in ``path``, which counts frames from the lost beginning."""
    edit, _ = parse_edit(read_small(path, MAX_EDIT_BYTES, path.name), path.name)
    runs = [(max(0, start - offset), stop - offset) for start, stop in edit.runs if stop > offset]
    if not runs:
        return state
    result = state.with_edit(Edit(edit.kind, tuple(runs), edit.value, max(-1, edit.by - offset)))
    entry = result.edit_entries[-1]
    write_whole(no_link(bank.path / "edits" / f"{entry.id}.json"), entry.text.encode("ascii"), folder=False)
    return result

"""The head of a bank: a small file, of a size that does not grow with the film, that says which memory it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..document import FORMAT_VERSION, canonical, parse
from ..errors import DamageError, damaged
from ..files import NoFileError, forget, no_link, read_small, write_whole
from ..state.state import EMPTY_ID, MemoryState
from .locking import head_lock

HEAD_KIND = "scene-memory bank"
MAX_HEAD_BYTES = 4 * 1024 * 1024
ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Head:
    """A memory by name: its ``id``, how many ``segments`` and ``edits`` make it, the last ``pack`` that holds some of
    them (None if there is none), and the ids of the ``recent`` ones that no pack holds yet, in order."""

    id: str
    segments: int
    edits: int
    pack: str | None
    recent: tuple[str, ...]
    text: bytes


def head_of(state: MemoryState) -> Head:
    """The head that names ``state``."""
    segments, edits = (state.packs[-1].segments, state.packs[-1].edits) if state.packs else (0, 0)
    recent = tuple(state.entry_ids(segments, edits))
    pack = state.packs[-1].id if state.packs else None
    return head_named(state.id, len(state.segments), len(state.edit_entries), pack, recent, state)


def head_named(
    memory: str, segments: int, edits: int, pack: str | None, recent: tuple[str, ...], shown: MemoryState
) -> Head:
    """The head of the memory with the id ``memory``, of which ``shown`` is what can be loaded."""
    height, width = shown.size or (None, None)
    document = {
        "format": HEAD_KIND,
        "version": FORMAT_VERSION,
        "id": memory,
        "frames": shown.frames,
        "height": height,
        "width": width,
        "fps": shown.fps,
        "segments": segments,
        "edits": edits,
        "pack": pack,
        "recent": list(recent),
    }
    return Head(memory, segments, edits, pack, recent, canonical(document).encode("ascii"))


def read_head(path: Path, what: str) -> Head:
    """The head in the file ``path``. Raises ``DamageError`` that names ``what``, ``BankError`` if it is newer."""
    text = read_small(no_link(path), MAX_HEAD_BYTES, what)
    document = parse(text, HEAD_KIND, what)
    recent, pack = document.get("recent"), document.get("pack")
    if not isinstance(recent, list) or not all(isinstance(one, str) and ID.fullmatch(one) for one in recent):
        raise damaged(f"{what} does not list its segments by their ids")
    if not (pack is None or (isinstance(pack, str) and ID.fullmatch(pack))):
        raise damaged(f"{what} does not name its pack by an id")
    counts: list[Any] = [document.get("segments"), document.get("edits")]
    if not all(type(count) is int and 0 <= count < 2**31 for count in counts):
        raise damaged(f"{what} does not say how many segments and edits there are")
    if not isinstance(document.get("id"), str) or not ID.fullmatch(document["id"]):
        raise damaged(f"{what} does not end with the segment that it names")
    if recent or pack is None:
        if document["id"] != (recent[-1] if recent else EMPTY_ID) or (pack is None and sum(counts) != len(recent)):
            raise damaged(f"{what} does not end with the segment that it names")
    return Head(document["id"], counts[0], counts[1], pack, tuple(recent), text)


def sound_head(folder: Path) -> Head:
    """The head of the bank in ``folder``. One that is damaged or lost is made again; ``head.lock`` must be held."""
    try:
        return read_head(folder / "head.json", f"head.json of the memory bank {folder.name!r}")
    except DamageError as problem:
        if isinstance(problem.__cause__, OSError) and not isinstance(
            problem.__cause__, FileNotFoundError | NoFileError
        ):
            # It may be sound, and only cannot be read just now.
            raise
        from .chain import head_again

        return head_again(folder, problem)


def replace_head(folder: Path, state: MemoryState) -> None:
    """Makes ``state`` the memory of the bank in ``folder``; a memory that it does not continue goes to the history.

    One writer at a time, among threads and processes. Raises ``BankError`` if the disk refuses.
    """
    path, history, new = no_link(folder / "head.json"), folder / "history", head_of(state)
    with head_lock(folder):
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

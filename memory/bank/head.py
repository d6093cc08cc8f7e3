"""The head of a bank: a small file, of a size that does not grow with the film, that says which memory it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..document import FORMAT_VERSION, canonical, is_id, parse
from ..errors import BankError, damaged
from ..files import names_in, no_link, read_small
from ..state.state import EMPTY_ID, MemoryState

HEAD_KIND = "scene-memory bank"
MAX_HEAD_BYTES = 4 * 1024 * 1024


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
    if not isinstance(recent, list) or not all(is_id(one) for one in recent):
        raise damaged(f"{what} does not list its segments by their ids")
    if not (pack is None or is_id(pack)):
        raise damaged(f"{what} does not name its pack by an id")
    counts: list[Any] = [document.get("segments"), document.get("edits")]
    if not all(type(count) is int and 0 <= count < 2**31 for count in counts):
        raise damaged(f"{what} does not say how many segments and edits there are")
    last = recent[-1] if recent else EMPTY_ID if pack is None else document.get("id")
    if not is_id(last) or document.get("id") != last or (pack is None and sum(counts) != len(recent)):
        raise damaged(f"{what} does not end with the segment that it names")
    return Head(document["id"], counts[0], counts[1], pack, tuple(recent), text)


def earlier_ids(folder: Path) -> list[str]:
    """Ids of the earlier memories of the bank in ``folder``: those whose heads its history keeps."""
    return sorted(name for name in names_in(folder / "history", ".json") if is_id(name))


def earlier_head(folder: Path, memory: str) -> Head:
    """The head of the earlier memory with the id ``memory``. Raises ``BankError`` that lists those there are."""
    path = folder / "history" / f"{memory}.json"
    if not is_id(memory) or not path.is_file():
        raise BankError(f"The memory bank {folder.name!r} has no earlier memory {memory!r}. It has: "
                        f"{', '.join(earlier_ids(folder)) or 'none'}.")
    return read_head(path, f"{path.name} of the memory bank {folder.name!r}")

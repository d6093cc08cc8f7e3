"""Banks that nodes open: one from a file, an earlier memory of one, and whether one was deleted by hand meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ...memory.bank.archive import archive_memory, import_bank
from ...memory.bank.bank import Bank
from ...memory.bank.head import read_head
from ...memory.errors import BankError, DamageError
from ...memory.state.state import MemoryState
from ...memory.state.summary import SHORT_ID
from ..messages import byte_progress


def imported(
    root: Path,
    name: str,
    file: Path,
    max_bytes: int | None,
    whole_bank: bool = False,
    tell: Callable[[str], None] | None = None,
) -> MemoryState:
    """What the file remembers, in the bank `name`, which is made if it is not there.

    A bank that was made from the same file before, and may have grown since, gives the memory of the file again.
    `tell` is given words for what is damaged in the file and was left out.
    """
    wanted = archive_memory(file)
    if Bank.exists(root, name):
        bank = Bank.open(root, name, max_bytes, whole_bank)
        newest = bank.load()
        if newest.id == wanted:
            return newest
        if wanted in bank.history():
            return bank.load(wanted)
    import_bank(root, name, file, byte_progress(), tell)
    bank = Bank.open(root, name, max_bytes, whole_bank)
    state = bank.load()
    bank.keep(state)
    return state


def file_stamp(file: Path) -> str:
    """Changes when the file does."""
    there = file.stat()
    return f"{file.name} {there.st_size} {there.st_mtime_ns}"


def earlier_memories(memory: MemoryState) -> list[str]:
    """A line for each memory of the same bank that can be brought back, the newest first: short id, length, when it
    was put away."""
    bank = memory.bank
    if bank is None:
        return []
    found = []
    for one in bank.history():
        path = bank.history_path / f"{one}.json"
        try:
            frames = json.loads(read_head(path, path.name).text)["frames"]
            put_away = path.stat().st_mtime
        except (BankError, OSError):
            continue
        if one != memory.id:
            when = datetime.fromtimestamp(put_away).strftime("%Y-%m-%d %H:%M")
            found.append((-put_away, f"{one[:SHORT_ID]}  {frames} frames, put away {when}"))
    lines = [line for _, line in sorted(found)]
    return lines + [f"{rest.id[:SHORT_ID]}  {rest.frames} frames behind a damaged segment" for rest in bank.rests()]


def load_earlier(bank: Bank, given: str) -> MemoryState:
    """The memory of a bank whose id begins as `given`, also one behind damage; the newest for an empty text.

    Raises ValueError if none or several begin so, DamageError if the newest is damaged and no other is asked for.
    """
    wanted = given.strip().lower()
    try:
        newest = bank.load()
        if newest.id.startswith(wanted):
            return newest
    except DamageError:
        if not wanted:
            raise
    found = [one for one in bank.history() if one.startswith(wanted)]
    found = found or [rest.id for rest in bank.rests(of_all=True) if rest.id.startswith(wanted)]
    if len(found) != 1:
        there = ", ".join(one[:SHORT_ID] for one in bank.history()) or "none"
        raise ValueError(
            f"earlier is {given!r}, which {len(found) or 'none'} of the earlier memories of the bank {bank.name!r} "
            f"{'begin' if len(found) > 1 else 'begins'} with. There are: {there}. Copy one of these from Memory Info, "
            "or leave it empty for the newest."
        )
    return bank.load(found[0])


class SeenBanks:
    """How often a bank's folder was found gone after a node had given out a memory in it.

    ComfyUI keeps a node's memory in its cache for as long as this process lives. A bank that was deleted meanwhile
    makes another fingerprint, and the node runs again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._there: set[Path] = set()
        self._gone: dict[Path, int] = {}

    def add(self, bank: Path) -> None:
        """The bank is on the disk now."""
        with self._lock:
            self._there.add(bank)

    def times_gone(self, bank: Path) -> int:
        """How often it was found gone, this time included."""
        with self._lock:
            if bank in self._there and not (bank / "head.json").is_file():
                self._there.discard(bank)
                self._gone[bank] = self._gone.get(bank, 0) + 1
            return self._gone.get(bank, 0)


SEEN = SeenBanks()

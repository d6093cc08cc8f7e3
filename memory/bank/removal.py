"""What a bank can do without as a whole: unfinished files, segments that nothing leads to, and earlier memories.

Nothing that a key, a head, or a running program leads to goes without being asked for.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BankError
from ..files import forget, names_in, no_link, read_small
from ..part_files import remove_dead_parts
from ..state.state import EMPTY_ID, MemoryState
from . import writers
from .lineage import Lineage, lineage
from .locking import head_lock

if TYPE_CHECKING:
    from .bank import Bank

FRESH_SECONDS = 3600.0
"""While another program writes to the bank, files younger than this may belong to what it is just appending."""
PART_SECONDS, PART_SECONDS_SHARED = 60.0, 24 * 3600.0
"""How old an unfinished file is before it is one that a crash left; the second while another program writes there."""

_MAX_KEY_BYTES = 65536
_ID = re.compile(rb"[0-9a-f]{64}")

_log = logging.getLogger(__name__)


def remove_unused(bank: Bank, state: MemoryState, max_bytes: int) -> int:
    """Removes unfinished files and segments that neither a memory nor a key leads to, until the bank fits.

    ``state`` is alive too. Gives how many files went.
    """
    with head_lock(bank.path):
        others = writers.others(bank.path)
        for part in (bank.path, *(folder for folder in bank.path.iterdir() if folder.is_dir())):
            remove_dead_parts(part, PART_SECONDS_SHARED if others else PART_SECONDS)
        excess = bank.size_bytes() - max_bytes
        there = lineage(bank.path)
        alive = _alive(bank, state, there, others)
        # What lies behind a damaged entry is not known, so nobody can say what is not needed.
        if excess <= 0 or there.broken(alive):
            return 0
        lost = there.entries() - alive.keys()
        lost -= _keyed(bank, lost).keys() if lost else set()
        gone = 0
        for file in sorted((_file(bank, there, entry) for entry in lost), key=_age):
            if excess > 0 and not (others and _fresh(file)):
                excess, gone = excess - _removed(file), gone + 1
        return gone


def forget_earlier(bank: Bank, state: MemoryState, max_bytes: int) -> int:
    """Removes earlier memories with what only they show, the oldest first, until the bank fits.

    What a running program has come to, and what goes on from there, stays. Gives how many files went.
    """
    with head_lock(bank.path):
        excess = bank.size_bytes() - max_bytes
        if excess <= 0:
            return 0
        others = writers.others(bank.path)
        there = lineage(bank.path)
        kept = {state.id, bank.newest(), *others, *there.down(others - {""})} - {"", EMPTY_ID}
        line = there.up(kept)
        named = {name: entries for name, entries in earlier(bank).items() if entries[0] not in line}
        # A segment that a crash kept from becoming a memory counts as one: its key leads to it.
        tips = there.tips() - line.keys() - there.up(one for entries in named.values() for one in entries).keys()
        named |= {one: (one,) for one in tips if not (others and _fresh(_file(bank, there, one)))}
        old = sorted(named, key=lambda one: _age(_named(bank, there, one)))
        if there.broken(line) or "" in others:
            return 0
        gone, lost = 0, set[str]()
        for number, memory in enumerate(old):
            if excess <= 0:
                break
            head = bank.history_path / f"{memory}.json"
            if head.exists():
                excess, gone = excess - _removed(head), gone + 1
            still = there.up([*kept, *(one for name in old[number + 1 :] for one in named[name])])
            # The newest first: what a crash leaves is then still a memory from its beginning.
            for entry in there.up(named[memory]):
                if entry not in still and entry not in lost:
                    excess, gone = excess - _removed(_file(bank, there, entry)), gone + 1
                    lost.add(entry)
        for keys in _keyed(bank, lost).values():
            for key in keys:
                forget(key)
        return gone


def earlier(bank: Bank) -> dict[str, tuple[str, ...]]:
    """For each file of the history the id of the memory that it names, and the ids of its newest entries."""
    found: dict[str, tuple[str, ...]] = {}
    for name in bank.history():
        try:
            head = bank.head(name)
            found[name] = (head.id, *head.recent)
        except BankError:
            found[name] = (name,)
    return found


def _alive(bank: Bank, state: MemoryState, there: Lineage, others: set[str]) -> dict[str, None]:
    """All entries that a memory of the bank, this one or that of a running program leads to."""
    named = {one for entries in earlier(bank).values() for one in entries}
    return there.up((named | {state.id, bank.newest(), *others, *there.down(others - {""})}) - {"", EMPTY_ID})


def _keyed(bank: Bank, entries: Iterable[str]) -> dict[str, list[Path]]:
    """Those of the ``entries`` that a key names, with the files of these keys."""
    found: dict[str, list[Path]] = {}
    wanted = set(entries)
    for name in names_in(bank.path / "keys", ".json") if wanted else ():
        path = bank.path / "keys" / f"{name}.json"
        try:
            text = read_small(no_link(path), _MAX_KEY_BYTES, path.name)
        except BankError as problem:
            _log.warning("Memory bank %r: a key is left out. %s", bank.name, problem)
            continue
        for entry in wanted & {one.decode("ascii") for one in _ID.findall(text)}:
            found.setdefault(entry, []).append(path)
    return found


def _file(bank: Bank, there: Lineage, entry: str) -> Path:
    if there.is_edit(entry):
        return bank.path / "edits" / f"{entry}.json"
    return bank.segments_path / f"{entry}.safetensors"


def _named(bank: Bank, there: Lineage, memory: str) -> Path:
    head = bank.history_path / f"{memory}.json"
    return head if head.exists() else _file(bank, there, memory)


def _removed(file: Path) -> int:
    """Bytes that are free without ``file``."""
    try:
        size = no_link(file).stat().st_size
    except OSError:
        return 0
    forget(file)
    return 0 if file.exists() else size


def _fresh(path: Path) -> bool:
    return time.time() - _age(path)[0] / 1e9 < FRESH_SECONDS


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name

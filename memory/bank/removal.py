"""What a bank can do without as a whole: unfinished files, segments that nothing leads to, and earlier memories.

Nothing that a key, a head, or a running program leads to goes without being asked for. So it must be known which entry
continues which (``Lineage``). An entry's file never changes what it continues, so each is read once in a process; what
comes and goes is seen by name.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ..document import ID_PATTERN, text_id
from ..errors import BankError, damaged
from ..files import bytes_in, forget, names_in, no_link, read_small
from ..part_files import remove_dead_parts
from ..state.edits import MAX_EDIT_BYTES, parse_edit
from ..state.state import EMPTY_ID, MemoryState
from . import writers
from .damage import sound_head
from .head import earlier_head, earlier_ids
from .segment_file import read_parent

FRESH_SECONDS = 3600.0
"""While another program writes to the bank, files younger than this may belong to what it is just appending."""
PART_SECONDS, PART_SECONDS_SHARED = 60.0, 24 * 3600.0
"""How old an unfinished file is before it is one that a crash left; the second while another program writes there."""

_COARSE_SECONDS = 3.0
"""File systems tell the time of a folder's last change no finer than this."""
_MAX_KEY_BYTES = 65536
_ID = re.compile(ID_PATTERN.encode())

_log = logging.getLogger(__name__)


class Lineage:
    """The entries in the folder of a bank, by id. What cannot be read has no known parent and counts as ``broken``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._parents: dict[str, str | None] = {}
        self._children: dict[str, set[str]] = {}
        self._edits: set[str] = set()
        self._drops: set[str] = set()
        self._stamp: tuple[int, ...] = ()

    def refreshed(self) -> Lineage:
        """Itself, after a look at which files there are."""
        with self._lock:
            stamp = tuple(_changed(self._folder / part) for part in ("segments", "edits"))
            if stamp == self._stamp and time.time() - max(stamp) / 1e9 > _COARSE_SECONDS:
                return self
            edits = set(names_in(self._folder / "edits", ".json"))
            there = edits | set(names_in(self._folder / "segments", ".safetensors"))
            # What could not be read is looked at again: it may have been restored.
            unread = {entry for entry, parent in self._parents.items() if parent is None}
            for entry in (self._parents.keys() - there) | unread:
                self._leave(entry)
            for entry in there - self._parents.keys():
                self._enter(entry, entry in edits)
            self._stamp = stamp
        return self

    def entries(self) -> set[str]:
        """All entries that have a file."""
        return set(self._parents)

    def is_edit(self, entry: str) -> bool:
        """Whether an entry is an edit, not a segment."""
        return entry in self._edits

    def continued(self, entry: str) -> bool:
        """Whether something in the bank continues the memory ``entry``."""
        return bool(self._children.get(entry))

    def up(self, entries: Iterable[str]) -> dict[str, None]:
        """The ``entries`` and all that they continue, each before what it continues."""
        found: dict[str, None] = {}
        for entry in entries:
            at: str | None = entry
            while at is not None and at != EMPTY_ID and at not in found:
                found[at] = None
                at = self._parents.get(at)
        return found

    def down(self, entries: Iterable[str]) -> set[str]:
        """The ``entries`` and all that continues them."""
        found: set[str] = set()
        left = list(entries)
        while left:
            at = left.pop()
            if at not in found:
                found.add(at)
                left += self._children.get(at, ())
        return found

    def tips(self) -> set[str]:
        """The entries that nothing continues."""
        return {entry for entry in self._parents if not self._children.get(entry)}

    def broken(self, entries: Iterable[str]) -> bool:
        """Whether one of the ``entries`` is missing or cannot be read, so that what it continues is not known."""
        return any(entry != EMPTY_ID and self._parents.get(entry) is None for entry in entries)

    def drop_after(self, entry: str) -> str | None:
        """The drop of pictures that followed the memory ``entry``, if the film went on from there; else None."""
        children = self._children.get(entry, set())
        drops = sorted(((len(self.down([one])), one) for one in children & self._drops), reverse=True)
        others = max((len(self.down([one])) for one in children - self._drops), default=0)
        return drops[0][1] if drops and drops[0][0] > others else None

    def _enter(self, entry: str, edit: bool) -> None:
        self._parents[entry] = parent = self._parent(entry, edit)
        if edit:
            self._edits.add(entry)
        if parent is not None:
            self._children.setdefault(parent, set()).add(entry)

    def _leave(self, entry: str) -> None:
        parent = self._parents.pop(entry)
        self._edits.discard(entry)
        self._drops.discard(entry)
        if parent is not None:
            self._children[parent].discard(entry)

    def _parent(self, entry: str, edit: bool) -> str | None:
        try:
            if not edit:
                return read_parent(no_link(self._folder / "segments" / f"{entry}.safetensors"), entry)
            path = no_link(self._folder / "edits" / f"{entry}.json")
            text = read_small(path, MAX_EDIT_BYTES, path.name)
            if text_id(text) != entry:
                raise damaged(f"{path.name} does not hold what its name says")
            what, parent = parse_edit(text, path.name)
            if what.kind == "drop":
                self._drops.add(entry)
            return parent
        except BankError:
            return None


@lru_cache(maxsize=32)
def _of(folder: Path) -> Lineage:
    return Lineage(folder)


def lineage(folder: Path) -> Lineage:
    """What the bank in ``folder`` holds now."""
    return _of(folder).refreshed()


def remove_unused(folder: Path, state: MemoryState, max_bytes: int) -> int:
    """Removes unfinished files and segments that neither a memory nor a key leads to, until the bank fits.

    ``state`` is alive too. Gives how many files went.
    """
    with writers.head_lock(folder):
        others = writers.others(folder)
        for part in (folder, *(inner for inner in folder.iterdir() if inner.is_dir())):
            remove_dead_parts(part, PART_SECONDS_SHARED if others else PART_SECONDS)
        excess = bytes_in(folder) - max_bytes
        there = lineage(folder)
        named = {one for entries in earlier(folder).values() for one in entries}
        named |= {state.id, sound_head(folder).id, *others, *there.down(others - {""})}
        alive = there.up(named - {"", EMPTY_ID})
        # What lies behind a damaged entry is not known, so nobody can say what is not needed.
        if excess <= 0 or there.broken(alive):
            return 0
        lost = there.entries() - alive.keys()
        lost -= _keyed(folder, lost).keys() if lost else set()
        gone = 0
        for file in sorted((_file(folder, there, entry) for entry in lost), key=_age):
            if excess > 0 and not (others and _fresh(file)):
                excess, gone = excess - _removed(file), gone + 1
        return gone


def forget_earlier(folder: Path, state: MemoryState, max_bytes: int) -> int:
    """Removes earlier memories with what only they show, the oldest first, until the bank fits.

    What a running program has come to, and what goes on from there, stays. Gives how many files went.
    """
    with writers.head_lock(folder):
        excess = bytes_in(folder) - max_bytes
        if excess <= 0:
            return 0
        others = writers.others(folder)
        there = lineage(folder)
        kept = {state.id, sound_head(folder).id, *others, *there.down(others - {""})} - {"", EMPTY_ID}
        line = there.up(kept)
        named = {name: entries for name, entries in earlier(folder).items() if entries[0] not in line}
        # A segment that a crash kept from becoming a memory counts as one: its key leads to it.
        tips = there.tips() - line.keys() - there.up(one for entries in named.values() for one in entries).keys()
        named |= {one: (one,) for one in tips if not (others and _fresh(_file(folder, there, one)))}
        old = sorted(named, key=lambda one: _age(_named(folder, there, one)))
        if there.broken(line) or "" in others:
            return 0
        gone, lost = 0, set[str]()
        for number, memory in enumerate(old):
            if excess <= 0:
                break
            head = folder / "history" / f"{memory}.json"
            if head.exists():
                excess, gone = excess - _removed(head), gone + 1
            still = there.up([*kept, *(one for name in old[number + 1 :] for one in named[name])])
            # The newest first: what a crash leaves is then still a memory from its beginning.
            for entry in there.up(named[memory]):
                if entry not in still and entry not in lost:
                    excess, gone = excess - _removed(_file(folder, there, entry)), gone + 1
                    lost.add(entry)
        for keys in _keyed(folder, lost).values():
            for key in keys:
                forget(key)
        return gone


def earlier(folder: Path) -> dict[str, tuple[str, ...]]:
    """For each file of the history the id of the memory that it names, and the ids of its newest entries."""
    found: dict[str, tuple[str, ...]] = {}
    for name in earlier_ids(folder):
        try:
            head = earlier_head(folder, name)
            found[name] = (head.id, *head.recent)
        except BankError:
            found[name] = (name,)
    return found


def _keyed(folder: Path, entries: Iterable[str]) -> dict[str, list[Path]]:
    """Those of the ``entries`` that a key names, with the files of these keys."""
    found: dict[str, list[Path]] = {}
    wanted = set(entries)
    for name in names_in(folder / "keys", ".json") if wanted else ():
        path = folder / "keys" / f"{name}.json"
        try:
            text = read_small(no_link(path), _MAX_KEY_BYTES, path.name)
        except BankError as problem:
            _log.warning("Memory bank %r: a key is left out. %s", folder.name, problem)
            continue
        for entry in wanted & {one.decode("ascii") for one in _ID.findall(text)}:
            found.setdefault(entry, []).append(path)
    return found


def _file(folder: Path, there: Lineage, entry: str) -> Path:
    if there.is_edit(entry):
        return folder / "edits" / f"{entry}.json"
    return folder / "segments" / f"{entry}.safetensors"


def _named(folder: Path, there: Lineage, memory: str) -> Path:
    head = folder / "history" / f"{memory}.json"
    return head if head.exists() else _file(folder, there, memory)


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


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0

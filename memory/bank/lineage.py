"""Which entry of a bank continues which, so that it is known what is alive before anything is removed.

An entry's file never changes what it continues, so each is read once in a process; what comes and goes is seen by name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ..errors import BankError, damaged
from ..files import names_in, no_link, read_small
from ..state.edits import MAX_EDIT_BYTES, parse_edit
from ..state.state import EMPTY_ID
from .segment_file import read_parent
from .segment_text import digest

_COARSE_SECONDS = 3.0
"""File systems tell the time of a folder's last change no finer than this."""


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
            if digest(text) != entry:
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


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0

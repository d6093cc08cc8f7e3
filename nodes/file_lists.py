"""Lists of files for the nodes' combos. A list is not a lookup: what is chosen is checked alone, see ``folders``.

A list is made on a thread beside the server's loop, which waits for it a moment only, and not at all while a prompt is
taken in: then nobody reads it. A folder that has not changed is not read again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

MOST_FILES = 1000
"""Files in a list."""

MOST_ENTRIES = 300_000
"""Entries of folders that are looked at for one list; those of deeper folders come last."""

DEEPEST = 3
"""Folders inside folders: a project of COLMAP has its model in sparse/0."""

WAIT_S = 0.5
"""How long a request waits for a list; what is found later is in the next one."""

QUIET_S, FRESH_S, OLD_S = 1.0, 0.05, 60.0
"""No look so soon after a prompt came in; nor so soon after another look, from the server's thread and from others."""

_RACY_S = 2.0
"""A folder that changed so shortly before it was read may change again without another time stamp."""


@dataclass(frozen=True)
class FoundFile:
    """A file below a folder: its name with / between folders, when it was changed, and its size in bytes."""

    name: str
    modified: float
    size: int

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders it is in, from the outermost."""
        return tuple(self.name.split("/")[:-1])


@dataclass(frozen=True)
class _Folder:
    stamp: int
    read_at: float
    files: tuple[tuple[str, float, int], ...]
    folders: tuple[str, ...]
    entries: int


@dataclass
class _Walk:
    """One look: what is left of its bound, and what it found."""

    tops: tuple[str, ...]
    left: int = MOST_ENTRIES
    kept: dict[str, _Folder] = field(default_factory=dict)


class FileLists:
    """Files with some endings below some folders, up to `DEEPEST` folders deep.

    Args:
        roots: gives the folders by a name of ours.
        endings: lower case, such as ".json".
        closed: folders whose own folders are not entered.
    """

    def __init__(
        self, roots: Callable[[], Mapping[str, Path]], endings: tuple[str, ...], closed: Callable[[], set[Path]]
    ) -> None:
        self._roots, self._endings, self._closed = roots, endings, closed
        self._lock = threading.Lock()
        self._known: dict[str, _Folder] = {}
        self._found: dict[str, tuple[FoundFile, ...]] = {}
        self._said: set[str] = set()
        self._done = threading.Event()
        self._looking = False
        self._begun = self._ended = self._quiet_until = -float("inf")

    def prompt_came(self) -> None:
        """For the next second nobody reads a list."""
        self._quiet_until = time.monotonic() + QUIET_S

    def files(self, root: str) -> tuple[FoundFile, ...]:
        """What is known of a folder: after a new look, where one is due."""
        self._look()
        return self._found.get(root, ())

    def _look(self) -> None:
        now = time.monotonic()
        with self._lock:
            first = self._begun == -float("inf")
            here = threading.current_thread() is threading.main_thread()
            due = now - self._ended > (FRESH_S if here else OLD_S) and now > self._quiet_until
            if not self._looking and (first or due):
                self._looking, self._begun, self._done = True, now, threading.Event()
                threading.Thread(target=self._run, args=(self._done,), name="file lists", daemon=True).start()
            wait = self._looking and (here or first) and (first or now > self._quiet_until)
            done, rest = self._done, self._begun + WAIT_S - now
        if wait and rest > 0:
            done.wait(rest)

    def _run(self, done: threading.Event) -> None:
        try:
            roots = self._roots()
            walk = _Walk(tuple(os.path.realpath(root) for root in roots.values()))
            found = {name: self._walked(root, walk) for name, root in roots.items()}
            self._found, self._known = found, walk.kept
            if walk.left <= 0:
                self._say(f"Lists of files are cut: there are more than {MOST_ENTRIES} entries in ComfyUI's folders.")
        except Exception:
            log.exception("The lists of files could not be made.")
        finally:
            with self._lock:
                self._looking, self._ended = False, time.monotonic()
            done.set()

    def _walked(self, root: Path, walk: _Walk) -> tuple[FoundFile, ...]:
        """Files of a folder, level by level."""
        closed = {str(path) for path in self._closed()}
        found: list[FoundFile] = []
        level = [""]
        for depth in range(DEEPEST + 1):
            below: list[str] = []
            for inside in level:
                path = os.path.join(root, *inside.split("/")) if inside else str(root)
                if walk.left <= 0 or not self._is_inside(path, walk):
                    continue
                read = self._read(path, walk)
                front = f"{inside}/" if inside else ""
                found += [FoundFile(f"{front}{name}", modified, size) for name, modified, size in read.files]
                if depth < DEEPEST and path not in closed:
                    below += [f"{front}{name}" for name in read.folders]
            level = below
        return tuple(found)

    def _read(self, path: str, walk: _Walk) -> _Folder:
        """What is in a folder, read again only if it has changed."""
        known = self._known.get(path)
        try:
            stamp = os.stat(path).st_mtime_ns
            if known is None or known.stamp != stamp or known.read_at - stamp / 1e9 < _RACY_S:
                known = self._scanned(path, walk, stamp)
        except OSError:
            known = _Folder(0, 0.0, (), (), 0)
        walk.kept[path] = known
        walk.left -= known.entries
        return known

    def _scanned(self, path: str, walk: _Walk, stamp: int) -> _Folder:
        begun, count = time.time(), 0
        files: list[tuple[str, float, int]] = []
        folders: list[str] = []
        with os.scandir(path) as entries:
            for entry in entries:
                if (count := count + 1) > walk.left:
                    break
                if entry.name.startswith("."):
                    continue
                if not entry.name.lower().endswith(self._endings):
                    if entry.is_dir():
                        folders.append(entry.name)
                elif entry.is_file() and (not entry.is_symlink() or self._is_inside(entry.path, walk)):
                    status = entry.stat()
                    files.append((entry.name, status.st_mtime, status.st_size))
                elif entry.is_dir():
                    folders.append(entry.name)
        return _Folder(stamp, begun, tuple(files), tuple(sorted(folders)), count)

    def _is_inside(self, path: str, walk: _Walk) -> bool:
        real = os.path.realpath(path)
        if any(real == top or real.startswith(os.path.join(top, "")) for top in walk.tops):
            return True
        self._say(f"{path} is a link that leads out of ComfyUI's folders: what is there is not listed.")
        return False

    def _say(self, line: str) -> None:
        if line not in self._said and len(self._said) < 100:
            self._said.add(line)
            log.warning("%s", line)


def newest(files: list[FoundFile], most: int = MOST_FILES) -> list[str]:
    """Names, the newest first. Where there are too many, a folder with masses of files does not crowd out the others:
    each may have as many as the smallest of them that are too large."""
    if len(files) > most:
        by_folder: dict[tuple[str, ...], list[FoundFile]] = {}
        for file in sorted(files, key=lambda file: (-file.modified, file.name)):
            by_folder.setdefault(file.folders, []).append(file)
        files, left = [], most
        for rest, group in zip(range(len(by_folder), 0, -1), sorted(by_folder.values(), key=len), strict=True):
            files += group[: left // rest]
            left = most - len(files)
    return [file.name for file in sorted(files, key=lambda file: (-file.modified, file.name))]

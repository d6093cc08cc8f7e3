"""Which running programs write to a bank, and which memory each has come to: theirs is not to be removed.

Each process holds ``writers/<token>.lock`` while it lives; ``writers/<token>.txt`` has the id of its memory. What a
process leaves that has ended is cleared by the next one. Where nothing can be noted, nothing is: no film stops for it.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from ..errors import BankError
from .storage import forget, names_in, no_link, read_small

try:
    import filelock
except ImportError:
    filelock = None  # type: ignore[assignment]

FOLDER = "writers"
UNLOCKED_SECONDS = 24 * 3600.0
"""How long a program counts as running where nobody can tell, because files cannot be locked there."""

_TOKEN, _ID = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")


@dataclass
class _Mine:
    token: str
    lock: object
    noted: str = ""


_mine: dict[tuple[int, Path], _Mine] = {}
_guard = threading.Lock()


def note(folder: Path, memory: str) -> None:
    """Notes that this process has come to the ``memory`` (an id) in the bank ``folder``."""
    with _guard:
        try:
            mine = _mine.get((os.getpid(), folder))
            if mine is None or not (folder / FOLDER / f"{mine.token}.lock").exists():
                mine = _mine[os.getpid(), folder] = _begun(folder)
            if mine.noted != memory:
                path = no_link(folder / FOLDER / f"{mine.token}.txt")
                path.write_text(memory, encoding="ascii")
                mine.noted = memory
        except (OSError, BankError):
            return


def others(folder: Path) -> set[str]:
    """Ids of the memories that other running programs have come to in the bank ``folder``; clears what ended."""
    found: set[str] = set()
    with _guard:
        mine = _mine.get((os.getpid(), folder))
        for token in names_in(folder / FOLDER, ".lock"):
            if not _TOKEN.fullmatch(token) or (mine is not None and token == mine.token):
                continue
            lock, text = folder / FOLDER / f"{token}.lock", folder / FOLDER / f"{token}.txt"
            if not _lives(lock, text):
                forget(text)
                forget(lock)
                continue
            try:
                memory = read_small(no_link(text), 64, text.name).decode("ascii", "replace")
            except BankError:
                memory = ""
            found.add(memory if _ID.fullmatch(memory) else "")
    return found


def _begun(folder: Path) -> _Mine:
    no_link(folder / FOLDER).mkdir(exist_ok=True)
    token = uuid.uuid4().hex
    path = folder / FOLDER / f"{token}.lock"
    if filelock is None:
        path.touch()
        return _Mine(token, None)
    # Held, and kept alive in ``_mine``, until this process ends.
    lock = filelock.FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except (NotImplementedError, OSError):
        path.touch()
    return _Mine(token, lock)


def _lives(lock: Path, text: Path) -> bool:
    try:
        no_link(lock)
        if filelock is not None:
            with filelock.FileLock(lock, timeout=0, thread_local=False):
                return False
    except filelock.Timeout:
        return True
    except (NotImplementedError, OSError, BankError):
        pass
    try:
        return time.time() - text.stat().st_mtime < UNLOCKED_SECONDS
    except OSError:
        return False

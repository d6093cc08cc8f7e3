"""The programs that write to a bank: one at a time replaces its head, and each notes which memory it has come to.

Each process keeps one small file ``writers/<maker>.txt`` with the id of its memory, which nobody else may remove. No
file is held open, so a bank can be deleted or moved by hand. Where nothing can be noted, nothing is: no film stops for
it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..document import is_id
from ..errors import BankError
from ..files import NOT_OFFERED, forget, names_in, no_link, read_small, say_once
from ..part_files import STALE_SECONDS, has_ended, maker

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
try:
    import filelock
except ImportError:
    filelock = None  # type: ignore[assignment]

FOLDER = "writers"
WAIT_SECONDS = 60.0

_threads: dict[Path, threading.Lock] = {}


@contextmanager
def head_lock(folder: Path) -> Iterator[None]:
    """Holds the bank in ``folder`` while its head is replaced.

    The file ``head.lock`` keeps other processes away. Where it cannot be had (no ``filelock``, or a file system without
    locks) only the threads of this process are, and the log says so once. ``BankError`` after a minute of waiting.
    """
    with _threads.setdefault(folder, threading.Lock()):
        lock = _acquired(folder)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()


def note(folder: Path, memory: str) -> None:
    """Notes that this process has come to the ``memory`` (an id) in the bank ``folder``."""
    try:
        path = no_link(no_link(folder / FOLDER) / f"{maker()}.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_text(memory, encoding="ascii")
    except (OSError, BankError):
        return


def others(folder: Path) -> set[str]:
    """Ids of the memories that other running programs have come to in the bank ``folder``; clears what has ended.

    The empty text stands for a program that cannot be understood. One that cannot be asked counts for a day.
    """
    found: set[str] = set()
    for name in names_in(folder / FOLDER, ".txt"):
        path = folder / FOLDER / f"{name}.txt"
        if name == maker():
            continue
        try:
            memory = read_small(no_link(path), 64, path.name).decode("ascii", "replace")
            silent = time.time() - path.stat().st_mtime
        except (OSError, BankError):
            memory, silent = "", 0.0
        ended = has_ended(name)
        if ended or (ended is None and silent > STALE_SECONDS):
            forget(path)
        else:
            found.add(memory if is_id(memory) else "")
    return found


def _acquired(folder: Path) -> filelock.BaseFileLock | None:
    if filelock is None:
        say_once("filelock", "filelock is not installed: two programs must not write to one memory bank at the same "
                 "time.")
        return None
    try:
        path = no_link(folder / "head.lock")
        _try_lock(path)
        lock = filelock.FileLock(path, timeout=WAIT_SECONDS)
        lock.acquire(poll_interval=0.01)
    except filelock.Timeout as error:
        raise BankError(f"The memory bank {folder.name!r} has been held by another program for {WAIT_SECONDS:g} s. "
                        "Close that program, or use another bank.") from error
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NOT_OFFERED:
            raise BankError(f"The memory bank in {folder} cannot be written: {error.strerror or error}. Allow writing "
                            "there; what was finished before is kept.") from error
        say_once(("lock", folder), f"{folder} lies where files cannot be locked: two programs must not write to it at "
                 "the same time.")
        return None
    return lock


def _try_lock(path: Path) -> None:
    """Raises ``OSError`` where files cannot be locked, of which not every version of filelock tells."""
    if fcntl is None:
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(handle)

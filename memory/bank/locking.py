"""One writer at a time for the head of a bank, among threads and among processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BankError
from ..files import NOT_OFFERED, no_link, say_once

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
try:
    import filelock
except ImportError:
    filelock = None  # type: ignore[assignment]

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

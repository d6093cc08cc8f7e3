"""One writer at a time for the head of a bank, among threads and among processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BankError
from .storage import no_link

try:
    import filelock
except ImportError:
    filelock = None  # type: ignore[assignment]

WAIT_SECONDS = 60.0

_log = logging.getLogger(__name__)
_threads: dict[Path, threading.Lock] = {}
_said: set[str] = set()


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
        _say_once("filelock is not installed: two programs must not write to one memory bank at the same time.")
        return None
    lock = filelock.FileLock(no_link(folder / "head.lock"), timeout=WAIT_SECONDS)
    try:
        lock.acquire(poll_interval=0.01)
    except filelock.Timeout as error:
        raise BankError(f"The memory bank {folder.name!r} has been held by another program for {WAIT_SECONDS:g} s. "
                        "Close that program, or use another bank.") from error
    except NotImplementedError:
        _say_once(f"{folder} lies where files cannot be locked: two programs must not write to it at the same time.")
        return None
    except OSError as error:
        raise BankError(f"The memory bank in {folder} cannot be written: {error.strerror or error}. Allow writing "
                        "there; what was finished before is kept.") from error
    return lock


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        _log.warning(line)

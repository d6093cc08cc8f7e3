"""Unfinished files: names that nobody else takes, and what a kill has left behind.

A name says which machine, process and run is making the file. So what a dead one left can be told from what another
server on the same folder is writing just now.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
import sys
import time
import uuid
from pathlib import Path

PART = ".part"
STALE_SECONDS = 24 * 3600

_MAKER = re.compile(r"([0-9a-f]{8})-([0-9]{1,10})-([0-9a-f]{8})")
_NAME = re.compile(rf"\.({_MAKER.pattern})-[0-9]+\.part")
_OLD_VIDEO = re.compile(r".*_[0-9]{5,}_\.part\.mp4")
"""Version 0.3.0 left these in sight."""
_numbers = itertools.count()
_run: dict[int, str] = {}


def part_in(folder: Path) -> Path:
    """A hidden name in ``folder`` for a file or folder that is being made; no other has it."""
    return folder / f".{maker()}-{next(_numbers)}{PART}"


def maker() -> str:
    """Who makes files here: the machine, the process and its run, in letters, digits and dashes."""
    return f"{_machine()}-{os.getpid()}-{_this_run()}"


def has_ended(name: str) -> bool | None:
    """Whether the ``maker`` of that name runs no more; None if it cannot be told from here."""
    said = _MAKER.fullmatch(name)
    if said is None or said[1] != _machine():
        return None
    pid, own = int(said[2]), said[3] == _this_run()
    # After a restart, as in a container, another run may have our number.
    return not (own if pid == os.getpid() else _lives(pid))


def remove_dead_parts(folder: Path, seconds: float = STALE_SECONDS) -> None:
    """Removes what is unfinished in ``folder`` and whose maker is dead, or cannot be asked and was not at it for a day,
    or for ``seconds``.

    What another process is making just now stays, whichever machine it runs on.
    """
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if _is_part(entry.name)]
    except OSError:
        return
    for part in found:
        try:
            if _is_dead(part, seconds):
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part, ignore_errors=True)
                else:
                    part.unlink(missing_ok=True)
        except OSError:
            continue


def _is_part(name: str) -> bool:
    return (name.startswith(".") and name.endswith(PART)) or _OLD_VIDEO.fullmatch(name) is not None


def _is_dead(part: Path, seconds: float) -> bool:
    name = _NAME.fullmatch(part.name)
    ended = has_ended(name[1]) if name is not None else None
    if ended:
        return True
    if ended is False:
        seconds = STALE_SECONDS
    return time.time() - part.lstat().st_mtime > seconds


def _this_run() -> str:
    # A forked child is another run.
    return _run.setdefault(os.getpid(), uuid.uuid4().hex[:8])


def _machine() -> str:
    """Where process numbers mean the same: the machine, and on Linux the container."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _lives(pid: int) -> bool:
    """Whether a process of this machine runs; true where nobody can say."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED: it is there, and another user's
        code = ctypes.c_ulong()
        known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return not known or code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True

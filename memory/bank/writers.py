"""Which running programs write to a bank, and which memory each has come to: theirs is not to be removed.

Each process keeps one small file ``writers/<token>.txt``: the id of its memory, its number and its machine. No file is
held open, so a bank can be deleted or moved by hand. Where nothing can be noted, nothing is: no film stops for it.
"""

from __future__ import annotations

import os
import platform
import re
import threading
import time
import uuid
from pathlib import Path

from ..errors import BankError
from .storage import forget, names_in, no_link, read_small

FOLDER = "writers"
SILENT_SECONDS = 24 * 3600.0
"""How long a program counts as running since its last word, where nobody can tell that it has ended."""

_TEXT = re.compile(r"([0-9a-f]{64}) ([0-9]{1,10}) (.*)")
_MAX_BYTES = 1024

_tokens: dict[tuple[int, Path], str] = {}
_guard = threading.Lock()


def note(folder: Path, memory: str) -> None:
    """Notes that this process has come to the ``memory`` (an id) in the bank ``folder``."""
    with _guard:
        token = _tokens.setdefault((os.getpid(), folder), uuid.uuid4().hex)
        try:
            path = no_link(no_link(folder / FOLDER) / f"{token}.txt")
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{memory} {os.getpid()} {_machine()}", encoding="utf-8")
        except (OSError, BankError):
            return


def others(folder: Path) -> set[str]:
    """Ids of the memories that other running programs have come to in the bank ``folder``; clears what has ended.

    The empty text stands for a program that cannot be understood.
    """
    found: set[str] = set()
    with _guard:
        mine = _tokens.get((os.getpid(), folder))
        for token in names_in(folder / FOLDER, ".txt"):
            path = folder / FOLDER / f"{token}.txt"
            if token == mine:
                continue
            try:
                text = read_small(no_link(path), _MAX_BYTES, path.name).decode("utf-8", "replace")
                silent = time.time() - path.stat().st_mtime
            except (OSError, BankError):
                continue
            said = _TEXT.fullmatch(text)
            if silent > SILENT_SECONDS or (said is not None and said[3] == _machine() and not _runs(int(said[2]))):
                forget(path)
            else:
                found.add(said[1] if said is not None else "")
    return found


def _machine() -> str:
    return "".join(sign for sign in platform.node() if sign.isprintable())[:200]


def _runs(process: int) -> bool:
    """Whether a process of this machine runs, as far as can be told."""
    if os.name == "nt":
        # There a signal of 0 is Ctrl-C.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True

"""Which running programs write to a bank, and which memory each has come to: theirs is not to be removed.

Each process keeps one small file ``writers/<maker>.txt`` with the id of its memory. No file is held open, so a bank can
be deleted or moved by hand. Where nothing can be noted, nothing is: no film stops for it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from ..errors import BankError
from ..files import forget, names_in, no_link, read_small
from ..part_files import STALE_SECONDS, has_ended, maker

FOLDER = "writers"

_ID = re.compile(r"[0-9a-f]{64}")


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
            found.add(memory if _ID.fullmatch(memory) else "")
    return found

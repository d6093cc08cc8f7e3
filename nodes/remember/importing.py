"""Memories from files: the part that Memory Bank and Load Memory share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import comfy.model_management
import comfy.utils

from ...memory.bank.archive import archive_memory, import_bank
from ...memory.bank.bank import Bank
from ...memory.state.state import MemoryState

NO_FILE = "none"


def imported(
    root: Path,
    name: str,
    file: Path,
    max_bytes: int | None,
    whole_bank: bool = False,
    tell: Callable[[str], None] | None = None,
) -> MemoryState:
    """What the file remembers, in the bank `name`, which is made if it is not there.

    A bank that was made from the same file before, and may have grown since, gives the memory of the file again.
    `tell` is given words for what is damaged in the file and was left out.
    """
    wanted = archive_memory(file)
    if Bank.exists(root, name):
        bank = Bank.open(root, name, max_bytes, whole_bank)
        newest = bank.load()
        if newest.id == wanted:
            return newest
        if wanted in bank.history():
            return bank.load(wanted)
    bar = comfy.utils.ProgressBar(1000)

    def on_bytes(done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(round(1000 * done / max(1, total)), 1000)

    import_bank(root, name, file, on_bytes, tell)
    bank = Bank.open(root, name, max_bytes, whole_bank)
    state = bank.load()
    bank.keep(state)
    return state


def file_stamp(file: Path) -> str:
    """Changes when the file does."""
    there = file.stat()
    return f"{file.name} {there.st_size} {there.st_mtime_ns}"

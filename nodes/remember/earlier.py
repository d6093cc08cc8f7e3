"""Earlier memories of a bank: takes that were made again, and how one is named."""

from __future__ import annotations

import json
from datetime import datetime

from ...memory.bank.bank import Bank
from ...memory.bank.head import read_head
from ...memory.errors import BankError
from ...memory.state.state import MemoryState
from ...memory.state.summary import SHORT_ID


def earlier_memories(memory: MemoryState) -> list[str]:
    """A line for each memory of the same bank that can be brought back, the newest first: short id, length, when it
    was put away."""
    bank = memory.bank
    if bank is None:
        return []
    found = []
    for one in bank.history():
        path = bank.history_path / f"{one}.json"
        try:
            frames = json.loads(read_head(path, path.name).text)["frames"]
            put_away = path.stat().st_mtime
        except (BankError, OSError):
            continue
        if one != memory.id:
            when = datetime.fromtimestamp(put_away).strftime("%Y-%m-%d %H:%M")
            found.append((-put_away, f"{one[:SHORT_ID]}  {frames} frames, put away {when}"))
    return [line for _, line in sorted(found)]


def load_earlier(bank: Bank, given: str) -> MemoryState:
    """The memory of a bank whose id begins as `given`; the newest one for an empty text."""
    wanted = given.strip().lower()
    newest = bank.load()
    if not wanted or newest.id.startswith(wanted):
        return newest
    found = [one for one in bank.history() if one.startswith(wanted)]
    if len(found) != 1:
        there = ", ".join(one[:SHORT_ID] for one in bank.history()) or "none"
        raise ValueError(
            f"earlier is {given!r}, which {len(found) or 'none'} of the earlier memories of the bank {bank.name!r} "
            f"{'begin' if len(found) > 1 else 'begins'} with. There are: {there}. Copy one of these from Memory Info, "
            "or leave it empty for the newest."
        )
    return bank.load(found[0])

"""Earlier memories of a bank: takes that were made again, and how one is named."""

from __future__ import annotations

import json
from datetime import datetime

from ...memory.bank.bank import Bank
from ...memory.bank.head import read_head
from ...memory.errors import BankError, DamageError
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
    lines = [line for _, line in sorted(found)]
    return lines + [f"{rest.id[:SHORT_ID]}  {rest.frames} frames behind a damaged segment" for rest in bank.rests()]


def load_earlier(bank: Bank, given: str) -> MemoryState:
    """The memory of a bank whose id begins as `given`, also one behind damage; the newest for an empty text."""
    wanted = given.strip().lower()
    try:
        newest = bank.load()
        if newest.id.startswith(wanted):
            return newest
    except DamageError:
        if not wanted:
            raise
    found = [one for one in bank.history() if one.startswith(wanted)]
    found = found or [rest.id for rest in bank.rests(of_all=True) if rest.id.startswith(wanted)]
    if len(found) != 1:
        there = ", ".join(one[:SHORT_ID] for one in bank.history()) or "none"
        raise ValueError(
            f"earlier is {given!r}, which {len(found) or 'none'} of the earlier memories of the bank {bank.name!r} "
            f"{'begin' if len(found) > 1 else 'begins'} with. There are: {there}. Copy one of these from Memory Info, "
            "or leave it empty for the newest."
        )
    return bank.load(found[0])

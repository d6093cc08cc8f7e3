"""Earlier memories of a bank: takes that were made again, and how one is named."""

from __future__ import annotations

from ..memory.bank import Bank
from ..memory.state import MemoryState
from ..memory.summary import SHORT_ID


def earlier_memories(memory: MemoryState) -> list[str]:
    """Short ids of the memories of the same bank that can be brought back."""
    return [one[:SHORT_ID] for one in memory.bank.history() if one != memory.id] if memory.bank else []


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

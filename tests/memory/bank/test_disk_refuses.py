"""A full disk or a forbidden folder at every single write: named, nothing lost, and it goes on when there is room."""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scene_memory.memory import files as storage
from scene_memory.memory.bank import packs
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.pixels import drop_pixels
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


class Refusals:
    """Lets ``allowed`` writes, flushes and renames through, then refuses with ``code``."""

    def __init__(self, allowed: int, code: int) -> None:
        self.left, self.code, self.refused = allowed, code, False

    def step(self, real: Callable) -> Callable:
        def run(*arguments, **named):
            if self.left <= 0:
                self.refused = True
                raise OSError(self.code, os.strerror(self.code))
            self.left -= 1
            return real(*arguments, **named)

        return run

    def open(self, path, mode="r", *more, **named):
        return (self.step(builtins.open) if "x" in mode else builtins.open)(path, mode, *more, **named)


def refusing(monkeypatch: pytest.MonkeyPatch, allowed: int, code: int) -> Refusals:
    refusals = Refusals(allowed, code)

    class Os:
        fsync, replace = staticmethod(refusals.step(os.fsync)), staticmethod(refusals.step(os.replace))

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(storage, "os", Os())
    monkeypatch.setattr(storage, "open", refusals.open, raising=False)
    return refusals


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_every_write_of_every_kind_may_be_refused(bank, filmed, pictures, move, monkeypatch, code: int):
    """A branch with a key that makes a pack and a history, an edit, and a drop: each refused at each of its writes."""
    monkeypatch.setattr(packs, "SMALL", 3)
    trunk = filmed(bank, 2)
    other = bank.append(trunk, frames=pictures(2, 90), trajectory=move("pan", 2), shot=1)
    steps: dict[str, Callable[[], object]] = {
        "append": lambda: bank.append(trunk, frames=pictures(2, 7), trajectory=move("tilt", 2), shot=1, key="d" * 64),
        "edit": lambda: bank.edit(other, Edit("pin", ((0, 1),))),
        "drop": lambda: drop_pixels(bank.path, trunk, [1, 5]),
    }
    for name, step in steps.items():
        head, allowed = bank.load(), 0
        while True:
            with monkeypatch.context() as patch:
                refusals = refusing(patch, allowed, code)
                try:
                    result = step()
                except BankError as error:
                    assert refusals.refused and "what was finished before is kept" in str(error), name
                    result = None
            found = Bank.open(bank.root, "film").load()
            assert not list(bank.path.rglob("*.part"))
            assert {head.id, other.id} <= {found.id, *bank.history()} or found.id == head.id, (name, allowed)
            found.read_frames([0, 2])
            if result is not None:
                break
            allowed += 1
        assert allowed >= 4, name
    assert isinstance(steps["append"](), MemoryState)


def test_a_bank_that_cannot_be_made_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refusing(monkeypatch, 0, errno.ENOSPC)
    with pytest.raises(BankError, match="No space left on device. Free some space"):
        Bank.create(tmp_path, "film")
    monkeypatch.undo()
    assert Bank.create(tmp_path, "film").load().frames == 0

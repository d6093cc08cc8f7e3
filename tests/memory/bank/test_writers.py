"""Several programs on one bank: whatever the order, every memory that was the head is the head or in the history."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scene_memory.memory import files as storage
from scene_memory.memory.bank import writers as programs
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]

WRITER = """
import sys, numpy as np
sys.path.insert(0, {root!r})
from pathlib import Path
from dev.support.pack import load_pack
load_pack()
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
bank = Bank.open(Path({banks!r}), "film")
path = make_preset("pan", frames=2, fps=8.0, amount=30.0, fov=60.0, aspect=1.6)
trunk = bank.load()
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    state = bank.append(trunk, frames=np.full((2, 6, 10, 3), 10 * turn + {number}, np.uint8), trajectory=path, shot=0)
    print(state.id, flush=True)
"""


def test_two_programs_on_one_bank_never_lose_a_head(bank: Bank, filmed: Filmed):
    """Each makes twelve branches of one trunk: every head but the last is replaced by one that goes another way."""
    trunk = filmed(bank, 1)
    root = str(Path(__file__).resolve().parents[3])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER.format(root=root, banks=str(bank.root), number=number)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in (1, 2)
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    made = [line for writer in writers for line in writer.communicate("go\n")[0].split()]
    assert [writer.returncode for writer in writers] == [0, 0] and len(set(made)) == 24
    last = bank.load()
    assert {last.id, *bank.history()} == set(made)
    for head in bank.history():
        assert bank.load(head).segments[0].id == trunk.id


def test_many_threads_on_one_bank_never_lose_a_head(bank: Bank, filmed: Filmed, pictures: Callable, move: Callable):
    trunk, made = filmed(bank, 1), []

    def branch(seed: int) -> None:
        made.append(bank.append(trunk, frames=pictures(2, seed), trajectory=move("pan", 2), shot=1).id)

    threads = [threading.Thread(target=branch, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {bank.load().id, *bank.history()} == set(made) and len(made) == 16


def test_a_bank_held_by_another_program_is_waited_for_and_then_named(bank, filmed, monkeypatch, pictures, move):
    state = filmed(bank, 1)
    monkeypatch.setattr(programs, "WAIT_SECONDS", 0.05)
    other = programs.filelock.FileLock(bank.path / "head.lock")
    with other, pytest.raises(BankError, match="held by another program for 0.05 s. Close that program"):
        bank.append(state, frames=pictures(2, 7), trajectory=move("pan", 2), shot=1)
    assert bank.load() == state
    assert bank.append(state, frames=pictures(2, 7), trajectory=move("pan", 2), shot=1) == bank.load()


def test_without_filelock_threads_are_still_in_turn_and_the_log_says_so_once(bank, filmed, monkeypatch, caplog):
    monkeypatch.setattr(programs, "filelock", None)
    monkeypatch.setattr(storage, "_said", set())
    with caplog.at_level(logging.WARNING):
        assert filmed(bank, 3) == bank.load()
    assert caplog.text.count("filelock is not installed") == 1


def test_a_head_that_becomes_the_head_again_leaves_the_history(bank, filmed, pictures, move):
    trunk = filmed(bank, 1)
    left, right = ({"frames": pictures(2, seed), "trajectory": move("pan", 2), "shot": 1} for seed in (5, 6))
    one, two = bank.append(trunk, **left), bank.append(trunk, **right)
    assert bank.history() == [one.id]
    assert bank.append(trunk, **left) == one and bank.history() == [two.id]
    assert bank.append(trunk, **right) == two and bank.history() == [one.id]
    three = bank.append(bank.load(one.id), **left)
    assert sorted(bank.history()) == sorted([one.id, two.id]) and bank.load() == three

"""Earlier memories of a bank, named by the beginning of their ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def takes(tmp_path: Path) -> tuple[Bank, list[MemoryState]]:
    """A bank in which the film was begun anew three times."""
    bank = Bank.create(tmp_path, "takes")
    path = make_preset("pan", frames=2, fps=8.0, amount=30.0, fov=70.0, aspect=1.5)
    made = [
        bank.append(bank.empty(), frames=np.full((2, 8, 12, 3), 40 * take, np.uint8), trajectory=path, shot=0)
        for take in range(3)
    ]
    return bank, made


def test_the_newest_is_given_for_an_empty_text_and_for_its_own_id(
    comfy: Path, takes: tuple[Bank, list[MemoryState]]
) -> None:
    from scene_memory.nodes.remember.banks import earlier_memories, load_earlier

    bank, (first, second, third) = takes
    assert load_earlier(bank, " ") == load_earlier(bank, third.id[:12]) == third
    assert load_earlier(bank, first.id[:12].upper()) == first
    lines = earlier_memories(bank.load())
    assert {line.split()[0] for line in lines} == {first.id[:12], second.id[:12]}
    assert all("  2 frames, put away 20" in line for line in lines)


@pytest.mark.parametrize("given", ["ffff0000ffff", "nonsense"])
def test_an_id_that_is_not_there_is_refused_with_those_that_are(
    comfy: Path, takes: tuple[Bank, list[MemoryState]], given: str
) -> None:
    from scene_memory.nodes.remember.banks import load_earlier

    bank, (first, second, _) = takes
    with pytest.raises(ValueError) as refused:
        load_earlier(bank, given)
    assert f"earlier is {given!r}" in str(refused.value)
    assert first.id[:12] in str(refused.value) and second.id[:12] in str(refused.value)


def test_a_beginning_that_fits_several_is_refused(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.nodes.remember.banks import load_earlier

    monkeypatch.setattr(Bank, "history", lambda self: ["ab" + "0" * 62, "ab" + "1" * 62])
    with pytest.raises(ValueError, match="2 of the earlier memories"):
        load_earlier(Bank.create(tmp_path, "several"), "ab")

"""Links in the place of every file and folder of a bank: nothing outside is read, and nothing outside is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.archive import export_bank, import_bank
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.pixels import drop_pixels
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

KEY = "ab" * 32
PLACES = ["", "head.json", "head.lock", "segments", "segments/*", "edits", "edits/*", "packs", "packs/*", "keys",
          "keys/*", "history", "history/*"]


def more(seed: int) -> dict[str, Any]:
    frames = np.random.default_rng(seed).integers(0, 256, (2, 6, 10, 3), dtype=np.uint8)
    return {"frames": frames, "trajectory": make_preset("pan", frames=2, fps=8.0, amount=9.0, fov=60.0, aspect=1.6),
            "shot": 0}


@pytest.fixture
def state(tmp_path: Path) -> MemoryState:
    """A memory with all kinds of files: 70 segments, so that there is a pack, edits, keys and a history."""
    bank = Bank.create(tmp_path / "banks", "film")
    state = bank.append(bank.load(), **more(0), key=KEY)
    bank.append(state, **more(99))
    for i in range(70):
        state = bank.append(state, **more(i + 1))
    return bank.edit(state, Edit("pin", ((0, 1),)))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def lead_out(bank: Bank, place: str, outside: Path) -> Path:
    """Moves what is at ``place`` out of the folder of banks and leaves a link to it: all that a link could give away
    is really there, so whatever follows it shows."""
    path = next(iter(sorted(bank.path.glob(place)))) if "*" in place else bank.path / place
    path = path if place else bank.path
    target = outside / path.name
    if path.exists():
        shutil.move(path, target)
    else:
        target.write_bytes(b"")
    path.symlink_to(target)
    return path


def everything(bank_root: Path) -> list[Callable[[], object]]:
    """All ways to use a bank, each by itself from the start."""
    def opened() -> MemoryState:
        return Bank.open(bank_root, "film").load()

    def with_bank(work: Callable[[Bank, MemoryState], object]) -> Callable[[], object]:
        return lambda: work((found := opened()).bank, found)  # type: ignore[arg-type]

    return [
        opened,
        with_bank(lambda bank, state: state.read_frames(range(state.frames))),
        with_bank(lambda bank, state: [bank.load(head) for head in bank.history()]),
        with_bank(lambda bank, state: bank.append(state, **more(7), key="cd" * 32)),
        with_bank(lambda bank, state: bank.edit(state, Edit("exclude", ((1, 2),)))),
        with_bank(lambda bank, state: bank.append(bank.empty(), **more(0), key=KEY)),
        with_bank(lambda bank, state: bank.recall(bank.empty(), KEY)),
        with_bank(lambda bank, state: drop_pixels(bank.path, state, [0, 1])),
        with_bank(lambda bank, state: export_bank(state, bank_root / "copy")),
    ]


@pytest.mark.parametrize("place", PLACES)
def test_a_link_that_leads_out_is_neither_read_nor_written_through(state: MemoryState, tmp_path: Path, place: str):
    assert state.bank is not None
    outside = tmp_path / "outside"
    outside.mkdir()
    link = lead_out(state.bank, place, outside)
    before, refused = content(outside), 0
    for way in everything(state.bank.root):
        try:
            way()
        except BankError as problem:
            refused += "link" in str(problem)
        assert content(outside) == before, "something outside was written"
    assert refused, "nobody noticed the link"
    assert link.is_symlink() or place.endswith("*") or place == "head.json"


@pytest.mark.parametrize("place", ["", "segments", "edits", "packs", "keys", "history"])
def test_a_new_bank_is_not_made_through_a_link(tmp_path: Path, place: str):
    outside, path = tmp_path / "outside", tmp_path / "banks" / "film" / place
    outside.mkdir()
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    with pytest.raises(BankError, match="link"):
        bank = Bank.create(tmp_path / "banks", "film")
        bank.edit(bank.append(bank.load(), **more(0), key=KEY), Edit("pin", ((0, 1),)))
    assert not list(outside.iterdir())


def test_an_import_does_not_go_through_a_link(state: MemoryState, tmp_path: Path):
    outside, root = tmp_path / "outside", tmp_path / "others"
    saved = export_bank(state, tmp_path / "film")
    outside.mkdir()
    root.mkdir()
    (root / "film").symlink_to(outside)
    with pytest.raises(BankError, match="taken"):
        import_bank(root, "film", saved)
    assert not list(outside.iterdir())


def test_an_export_replaces_a_link_and_not_what_it_leads_to(state: MemoryState, tmp_path: Path):
    precious, link = tmp_path / "precious", tmp_path / "film.scenememory.zip"
    precious.write_bytes(b"precious")
    link.symlink_to(precious)
    export_bank(state, link)
    assert precious.read_bytes() == b"precious" and not link.is_symlink()


def test_names_of_255_bytes_devices_and_other_places_make_nothing(tmp_path: Path, state: MemoryState):
    saved, root = export_bank(state, tmp_path / "film"), tmp_path / "root"
    root.mkdir()
    names = ["x" * 255, "映" * 85, "..", "a/../../b", "/etc/x", "C:\\x", "\\\\host\\share", "nul", "CON.txt", "a\0b",
             "~x", "a\u202eb", "-" * 65, ".", "a" * 300, "🎬"]
    for name in names:
        for way in (Bank.create, Bank.open, Bank.exists, lambda root, name: import_bank(root, name, saved)):
            with pytest.raises(BankError, match="bank name"):
                way(root, name)
    assert os.listdir(root) == [] and sorted(os.listdir(tmp_path)) == ["banks", "film.scenememory.zip", "root"]

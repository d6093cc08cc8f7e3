"""FORMAT.md: its example reads a bank without the pack, and it names what is on the disk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank import packs
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.document import FORMAT_VERSION
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

TEXT = (Path(__file__).resolve().parents[3] / "memory" / "FORMAT.md").read_text(encoding="utf-8")


@pytest.fixture
def my_film(tmp_path: Path, pictures: Callable, move: Callable, monkeypatch: pytest.MonkeyPatch) -> MemoryState:
    monkeypatch.setattr(packs, "SMALL", 3)
    bank = Bank.create(tmp_path, "My film")
    state = bank.load()
    for i in range(7):
        state = bank.append(
            state, frames=pictures(2, i), trajectory=move("pan", 2), shot=i, key=f"{i:064x}", depth=np.ones((2, 3, 5)),
            latents=np.ones((1, 1, 2, 3), np.float16),
        )
    return bank.edit(state, Edit("pin", ((0, 1),)))


def test_the_example_reads_a_bank_with_safetensors_json_and_png_alone(my_film, tmp_path: Path, pictures: Callable):
    code = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(code) == 1
    tell = "\nimport sys\nprint(json.dumps([entries, segment['frames'], frame.tolist(), sorted(sys.modules)]))"
    told = subprocess.run([sys.executable, "-c", code[0] + tell], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": ""})
    assert told.returncode == 0, told.stderr
    entries, frames, frame, modules = json.loads(told.stdout)
    assert entries == my_film.entry_ids() and frames == 2
    np.testing.assert_array_equal(frame, pictures(2, 0)[0])
    assert not [name for name in modules if "scene_memory" in name]


def test_every_file_key_and_tensor_on_the_disk_is_described(my_film: MemoryState):
    from safetensors import safe_open

    assert f"format version {FORMAT_VERSION}" in TEXT
    bank = my_film.bank
    assert bank is not None
    names = set()
    for path in bank.path.rglob("*"):
        if path.suffix == ".json":
            names |= set(json.loads(path.read_text()))
        elif path.suffix == ".safetensors":
            with safe_open(str(path), framework="numpy") as file:
                names |= set(file.keys()) | set(file.metadata()) | set(json.loads(file.metadata()["scene_memory"]))
        names.add(path.name if path.parent == bank.path else path.parent.name)
    assert len(names) > 30
    assert not [name for name in names if name not in TEXT]

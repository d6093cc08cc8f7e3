"""A bank of release 0.3.0, whose keys were hashes of code: it is read and gone on from, and nothing of it is lost.

The fixture is a film of three segments of two frames by the bundled world model, made by release 0.3.0.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState

FIXTURE = Path(__file__).with_name("fixtures") / "bank_0_3_0"
HEAD = "a8c721228222857c0b8f68a1e31426d3ef809d7ca6cfd7e66d58ede86303b46b"
PICTURES = "511569d78d3d56b7c1a06a99588d0ec96b3798f00fdb51d8201dc42d97f9b45b"


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    shutil.copytree(FIXTURE, tmp_path / "root")
    return Bank.open(tmp_path / "root", "film")


@torch.inference_mode()
def film(state: MemoryState, plan: Any) -> tuple[MemoryState, int]:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    made = 0
    for done in generate_shot(state, plan, adapter_for(plan.model)):
        state, made = done.state, made + done.made
    return state, made


@pytest.fixture
def plan(world_plan: Any) -> Any:
    path = make_preset("look around", frames=6, fps=8.0, amount=90.0, fov=70.0, aspect=1.0)
    retriever = RetrievalSettings(k=3)
    return world_plan(path, 2, "a small room with a red box", seed=7, retriever=retriever, width=0, height=0)


def test_it_is_read_whole(bank: Bank) -> None:
    state = bank.load()
    assert (state.id, state.frames, len(state.segments)) == (HEAD, 6, 3)
    assert hashlib.sha256(state.read_frames(range(6)).tobytes()).hexdigest() == PICTURES


def test_it_is_gone_on_from_and_what_is_new_is_found_again(bank: Bank, plan: Any) -> None:
    old = bank.load()
    second, made = film(old, plan)
    assert made == 3 and second.frames == 12 and second.shots == 2
    assert film(old, plan) == (second, 0)
    assert second.segments.ids(0, 3) == old.segments.ids(0, 3)


def test_the_same_film_anew_leaves_the_old_one_in_the_bank(bank: Bank, plan: Any) -> None:
    old = bank.load()
    again, made = film(bank.empty(), replace(plan, width=24, height=24))
    assert made == 3, "keys of 0.3.0 hold its code, which nobody has any more"
    assert bank.load() == again != old and HEAD in bank.history()
    assert bank.load(HEAD).read_frames(range(6)).tobytes() == old.read_frames(range(6)).tobytes()

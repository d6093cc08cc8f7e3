"""Frames that were looked at as latents stand for others that show the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.joins import joined
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.encoded import NOTE, encoded_frames
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

SETTINGS = RetrievalSettings(k=20)
SEGMENT = 40


def twice_there_and_back(move: str, amount: float) -> Trajectory:
    away = make_preset(move, frames=121, fps=16.0, amount=amount, fov=70.0, aspect=1.6)
    return joined([away, away.reversed(), away, away.reversed()])


def film(folder: Path, path: Trajectory, **notes: Any) -> tuple[MemoryState, list[set[int]]]:
    """A film of segments that note what they looked at, and what each looked at for the first time."""
    bank = Bank.create(folder, "film")
    state, seen, fresh = bank.empty(), set[int](), []
    for start in range(0, len(path), SEGMENT):
        part = path[start : start + SEGMENT]
        chosen = set(retrieve(state, part, SETTINGS).indices.tolist())
        fresh.append(chosen - seen)
        seen |= chosen
        info = {"context": sorted(chosen), **notes}
        pictures = np.zeros((len(part), 8, 8, 3), dtype=np.uint8)
        state = bank.append(state, frames=pictures, trajectory=part, shot=0, info=info)
    return state, fresh


@pytest.mark.parametrize(("move", "amount"), [("pan", 150.0), ("orbit", 90.0), ("dolly", 4.0)])
def test_after_the_first_revisit_hardly_a_frame_is_looked_at_for_the_first_time(
    tmp_path: Path, move: str, amount: float
) -> None:
    path = twice_there_and_back(move, amount)
    (tmp_path / "plain").mkdir()
    _, plain = film(tmp_path / "plain", path)
    state, fresh = film(tmp_path, path, **{NOTE: True})
    later = [len(one) for one in fresh[len(fresh) // 2 :]]
    assert np.mean(later) <= 3.0 < 2 * np.mean([len(one) for one in plain[len(plain) // 2 :]])
    assert len(retrieve(state, path[:SEGMENT], SETTINGS)) == SETTINGS.k


def test_the_notes_alone_decide_and_what_may_not_be_used_stands_for_nothing(tmp_path: Path) -> None:
    path = twice_there_and_back("orbit", 90.0)
    state, _ = film(tmp_path, path, **{NOTE: True})
    again = Bank.open(tmp_path, "film").load()
    target = path[:SEGMENT]
    chosen = retrieve(state, target, SETTINGS).indices
    assert np.array_equal(retrieve(again, target, SETTINGS).indices, chosen)
    known = encoded_frames(state)
    assert set(chosen[1:].tolist()) <= known
    bank = Bank.open(tmp_path, "film")
    shut = bank.edit(again, Edit("exclude", tuple((frame, frame + 1) for frame in sorted(known)[:100])))
    left = set(retrieve(shut, target, SETTINGS).indices.tolist())
    assert len(left) == SETTINGS.k and not left & set(sorted(known)[:100])


def test_another_lens_shows_something_else(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    state = bank.empty()
    for fov in (70.0, 40.0):
        part = make_preset("static", frames=4, fps=16.0, amount=0.0, fov=fov, aspect=1.6)
        info = {"context": [0], NOTE: True} if fov == 70.0 else {}
        pictures = np.zeros((4, 8, 8, 3), dtype=np.uint8)
        state = bank.append(state, frames=pictures, trajectory=part, shot=0, info=info)
    chosen = set(retrieve(state, part, RetrievalSettings(k=8)).indices.tolist())
    assert chosen >= {0, 4, 7} and not chosen & {1, 2, 3}

"""The picture of a retrieval: every chosen frame is on it, and it says so when there is nothing to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.pictures.drawing import note_picture
from scene_memory.memory.retrieval import picture as pictures
from scene_memory.memory.retrieval.picture import retrieval_picture
from scene_memory.memory.retrieval.retrieve import Retrieval, retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def film(tmp_path: Path) -> MemoryState:
    """A camera that turns half round; every frame has a colour of its own."""
    path = make_preset("pan", frames=24, fps=8.0, amount=180.0, fov=70.0, aspect=1.6)
    frames = np.zeros((24, 30, 48, 3), dtype=np.uint8)
    frames[..., 0] = np.arange(24)[:, None, None] * 10
    frames[..., 2] = 255 - frames[..., 0]
    bank = Bank.create(tmp_path, "film")
    return bank.append(bank.empty(), frames=frames, trajectory=path, shot=0)


def test_every_chosen_frame_is_shown(film: MemoryState) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=-30.0, fov=70.0, aspect=1.6).after(film.last_pose)
    found = retrieve(film, coming, RetrievalSettings(k=5, strategy="recent"))
    picture = retrieval_picture(film, coming, found)
    shown = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert len(found) == 5
    for index in found.indices:
        assert tuple(film.read_frames([index])[0, 0, 0]) in shown
    assert picture.dtype == np.uint8 and picture.ndim == 3


def test_a_camera_that_never_moved_and_a_single_frame_can_be_drawn(film: MemoryState) -> None:
    coming = make_preset("static", frames=1, fps=8.0, amount=0.0, fov=70.0, aspect=1.6)
    assert retrieval_picture(film, coming, retrieve(film, coming, RetrievalSettings(k=1))).std() > 0


def test_an_empty_memory_says_that_nothing_is_remembered() -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)
    nothing = Retrieval(np.zeros(0, dtype=np.int64), (), 0)
    assert np.array_equal(
        retrieval_picture(MemoryState(), coming, nothing),
        note_picture("Nothing is remembered yet.", "The first segment starts without context."),
    )


def test_below_each_frame_stands_why_it_was_chosen_and_what_it_adds(
    film: MemoryState, monkeypatch: pytest.MonkeyPatch
) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=-60.0, fov=70.0, aspect=1.6).after(film.last_pose)
    found = retrieve(film.with_edit(Edit("pin", ((3, 4),))), coming, RetrievalSettings(k=6, strategy="coverage"))
    written: list[str] = []
    monkeypatch.setattr(pictures, "write", lambda picture, line, *rest, **named: written.append(line))
    retrieval_picture(film, coming, found)
    for place, reason in enumerate(found.reasons, start=1):
        assert f"{place}. frame {reason.index}, {reason.age_s:.1f} s ago" in written
        assert reason.rule in written
    assert "pinned" in written and "most recent" in written
    best = max(found.reasons, key=lambda reason: reason.gain)
    assert best.gain > 0 and f"saw {best.overlap:.0%}, adds {best.gain:.1%}" in written


def test_a_memory_of_which_nothing_may_be_used_says_so(film: MemoryState) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)
    nothing_left = film.with_edit(Edit("exclude", ((0, 24),)))
    found = retrieve(nothing_left, coming, RetrievalSettings())
    assert len(found) == 0
    said = note_picture("None of the remembered frames may be used:", "all are excluded or outdated.")
    assert np.array_equal(retrieval_picture(nothing_left, coming, found), said)

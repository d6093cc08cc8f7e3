"""The picture and the words of a memory: what an artist can read off them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.pictures import drawing, picture_of_bank
from scene_memory.memory.pictures.picture_of_bank import MARKS, bank_picture
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState
from scene_memory.memory.state.summary import bytes_text, summarise, summary_text


@pytest.fixture
def film(tmp_path: Path) -> MemoryState:
    """Two shots of 12 frames in a bank, the second back from where the first went."""
    bank = Bank.create(tmp_path, "my film")
    state = bank.empty()
    rng = np.random.default_rng(5)
    for shot, amount in enumerate((90.0, -90.0)):
        path = make_preset("pan", frames=12, fps=6.0, amount=amount, fov=70.0, aspect=1.5).after(state.last_pose)
        frames = rng.integers(0, 255, (12, 20, 30, 3), dtype=np.uint8)
        state = bank.append(state, frames=frames, trajectory=path, shot=shot, prompt=f"a room, take {shot}")
    return state


def shows(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour, dtype=np.uint8)).all(axis=2).any())


def test_what_is_marked_is_seen_on_the_time_line_and_nothing_else(film: MemoryState) -> None:
    plain = bank_picture(film)
    assert plain.dtype == np.uint8 and plain.ndim == 3 and plain.shape[1] > 1000
    edits = {"pinned": Edit("pin", ((0, 2),)), "excluded": Edit("exclude", ((4, 6),))}
    edits["superseded"] = Edit("supersede", ((6, 9),), by=14)
    for name, edit in edits.items():
        picture = bank_picture(film.with_edit(edit))
        assert shows(picture, MARKS[name]) and not shows(plain, MARKS[name])


def test_the_frames_of_the_memory_are_in_the_picture(film: MemoryState) -> None:
    assert len(bank_picture(film, thumbnails=12)) > len(bank_picture(film, thumbnails=0)) + 200


def test_a_memory_of_nothing_says_so() -> None:
    assert shows(bank_picture(MemoryState()), (232, 234, 238))


def test_the_words_name_length_shots_marks_and_earlier_memories(film: MemoryState) -> None:
    edited = film.with_edit(Edit("pin", ((0, 2), (5, 6)))).with_edit(Edit("strength", ((8, 12),), value=0.5))
    text = summary_text(summarise(edited), 12_345_678, ["0123456789ab"])
    for words in (
        "24 frames, 4.0 s, 2 shots",
        "30 x 20 at 6 frames a second",
        "12.3 MB on disk",
        "pinned: 3 (0-1, 5)",
        "another strength: 4 (8-11)",
        "Shot 1, frames 12-23, 2.0 s: a room, take 1",
        "'my film'",
        edited.id[:12],
        "0123456789ab",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (10**13, "10 TB")]
)
def test_sizes_as_people_say_them(count: int, said: str) -> None:
    assert bytes_text(count) == said


def test_a_camera_that_only_turned_gives_the_map_no_scale(film: MemoryState, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    for module in (picture_of_bank, drawing):
        monkeypatch.setattr(module, "write", lambda picture, line, *rest, **named: written.append(line))
    bank_picture(film)
    assert "my film" in written and not [line for line in written if "unit" in line]
    moved = make_preset("orbit", frames=8, fps=6.0, amount=40.0, radius=3.0, fov=70.0, aspect=1.5).after(film.last_pose)
    assert film.bank is not None
    frames = np.zeros((8, 20, 30, 3), dtype=np.uint8)
    bank_picture(film.bank.append(film, frames=frames, trajectory=moved, shot=2))
    assert [line for line in written if line.endswith((" unit", " units"))]

"""The picture of a retrieval: every chosen frame is on it, and it says so when there is nothing to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.pictures import picture_of_retrieval as pictures
from scene_memory.memory.pictures.drawing import BACKGROUND, PIXELS, note_picture
from scene_memory.memory.pictures.letters import readable
from scene_memory.memory.pictures.picture_of_retrieval import retrieval_picture
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


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stands on the picture."""
    lines: list[str] = []
    plain = pictures.write

    def noted(picture: np.ndarray, line: str, *rest: Any, **named: Any) -> None:
        lines.append(line)
        plain(picture, line, *rest, **named)

    monkeypatch.setattr(pictures, "write", noted)
    return lines


def test_below_each_frame_stands_why_it_was_chosen_and_what_it_adds(film: MemoryState, written: list[str]) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=-60.0, fov=70.0, aspect=1.6).after(film.last_pose)
    found = retrieve(film.with_edit(Edit("pin", ((3, 4),))), coming, RetrievalSettings(k=6, strategy="coverage"))
    retrieval_picture(film, coming, found)
    for reason in found.reasons:
        assert f"frame {reason.index}" in written and f"{reason.age_s:.1f} s ago" in written
        assert reason.rule in written
        assert all(part.replace("less than", "<") in written for part in reason.brings.split(", "))
    assert "pinned" in written and "most recent" in written
    assert max(reason.gain for reason in found.reasons) > 0


@pytest.mark.parametrize(("k", "looked_at", "numbered"), [(20, 0, 20), (20, 3, 3), (5, 8, 5), (1, 1, 1)])
def test_map_and_thumbnails_share_numbers_as_far_as_the_model_looks(
    film: MemoryState, written: list[str], k: int, looked_at: int, numbered: int
) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=-60.0, fov=70.0, aspect=1.6).after(film.last_pose)
    found = retrieve(film, coming, RetrievalSettings(k=k, strategy="recent"))
    assert len(found) == k
    retrieval_picture(film, coming, found, looked_at)
    thumbs = min(numbered, pictures.MOST_SHOWN)
    numbers = sorted(int(line) for line in written if line.isdigit())
    assert numbers == sorted([*range(1, numbered + 1), *range(1, thumbs + 1)])
    assert {"first view", "last view"} <= set(written)
    rest = [line for line in written if line.startswith("found, but this model does not look at ")]
    assert len(rest) == (numbered < k)
    if rest:
        assert rest[0].split(" at ")[1] == ", ".join(str(index) for index in found.indices[numbered:])
        assert "film: looks at 3 frames of the 20 found" in written


def test_letters_are_large_enough_in_a_node() -> None:
    """In the Preview Image of our workflows, 820 x 500, and in a node that is opened to 760."""
    assert int(PIXELS * pictures.SIZE) * 760 / pictures.WIDTH >= 14.0


@pytest.mark.parametrize("seed", range(12))
def test_nothing_on_the_map_is_cut_off(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    far = float(random.choice([0.0, 0.01, 3.0, 500.0]))
    poses = np.stack(
        [pose(random.uniform(-far, far, 3), rotation(random.uniform(-180, 180))) for _ in range(10)]
    )
    path = Trajectory(poses, intrinsics_from_fov(float(random.uniform(20, 150)), 1.6), 8.0)
    bank = Bank.create(tmp_path, "far")
    film = bank.append(bank.empty(), frames=np.zeros((6, 6, 10, 3), dtype=np.uint8), trajectory=path[:6], shot=0)
    found = retrieve(film, path[6:], RetrievalSettings(k=6, strategy="recent"))
    picture = retrieval_picture(film, path[6:], found)
    top = pictures.STEP + pictures.MARGIN
    plan = picture[top : top + pictures.MAP_HEIGHT - pictures.STEP - pictures.MARGIN, : pictures.MAP_WIDTH]
    frame = np.ones(plan.shape[:2], dtype=bool)
    frame[4:, 4:-4] = False
    assert (plan[frame] == BACKGROUND).all(), "a fan or a word reaches the edge"
    assert (plan != BACKGROUND).any(axis=2).sum() > 1000


def test_a_name_of_any_script_stands_on_the_picture(tmp_path: Path, written: list[str]) -> None:
    path = make_preset("pan", frames=2, fps=8.0, amount=20.0, fov=70.0, aspect=1.6)
    bank = Bank.create(tmp_path, "我的房间 café")
    film = bank.append(bank.empty(), frames=np.zeros((2, 6, 10, 3), dtype=np.uint8), trajectory=path, shot=0)
    retrieval_picture(film, path, retrieve(film, path, RetrievalSettings()))
    (head,) = [line for line in written if line.startswith("我的房间 café: ")]
    assert "?" not in readable(head)


def test_a_memory_of_which_nothing_may_be_used_says_so(film: MemoryState) -> None:
    coming = make_preset("pan", frames=8, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)
    nothing_left = film.with_edit(Edit("exclude", ((0, 24),)))
    found = retrieve(nothing_left, coming, RetrievalSettings())
    assert len(found) == 0
    said = note_picture("None of the remembered frames may be used:", "all are excluded or outdated.")
    assert np.array_equal(retrieval_picture(nothing_left, coming, found), said)

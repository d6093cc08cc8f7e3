"""Camera Trajectory: where a move begins, and how moves are joined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.state import MemoryState

Move = Callable[..., Trajectory]


@pytest.fixture
def move(comfy: Path) -> Move:
    """The node, called as the host calls it."""
    from scene_memory.nodes.camera.camera_trajectory import CameraTrajectory

    settings: dict[str, Any] = {"amount": 60.0, "radius": 2.0, "easing": "even", "fov": 70.0, "fps": 8.0, "aspect": 1.6}

    def make(name: str = "pan", frames: int = 12, **changed: Any) -> Trajectory:
        made = CameraTrajectory.execute(move=name, frames=frames, **{**settings, **changed})
        return made.result[0]

    return make


@pytest.fixture
def remembered(tmp_path: Path) -> MemoryState:
    """One frame at 30 frames a second, taken from a place of its own, twice as wide as high."""
    place = pose((1.0, 0.2, 3.0), rotation(yaw=40.0))
    bank = Bank.create(tmp_path, "film")
    camera = Trajectory(place[None], np.array([[0.7, 1.4, 0.5, 0.5]]), 30.0)
    return bank.append(bank.empty(), frames=np.zeros((1, 12, 24, 3), np.uint8), trajectory=camera, shot=0)


def test_a_move_begins_at_the_origin_when_nothing_is_remembered(move: Move, tmp_path: Path) -> None:
    path = move()
    assert len(path) == 12 and path.fps == 8.0
    assert np.array_equal(path.poses[0], np.eye(4))
    empty = Bank.create(tmp_path, "empty").empty()
    assert move(memory=empty) == path


def test_a_move_goes_on_from_the_last_remembered_camera_without_repeating_it(
    move: Move, remembered: MemoryState
) -> None:
    path = move(memory=remembered)
    assert len(path) == 12 and path.fps == 30.0
    assert np.allclose(path.poses[:, :3, 3], remembered.last_pose[:3, 3])
    assert np.allclose(path.poses[0, :3, :3], rotation(yaw=45.0)), "60 degrees in 12 frames are 5 a frame"
    assert np.allclose(path.poses[-1, :3, :3], rotation(yaw=100.0))
    assert path.intrinsics[0, 1] / path.intrinsics[0, 0] == pytest.approx(2.0), "the lens fits the memory's pictures"


def test_a_move_that_comes_back_ends_exactly_at_the_remembered_camera(move: Move, remembered: MemoryState) -> None:
    path = move("turn away and come back", frames=21, memory=remembered)
    assert np.array_equal(path.poses[-1], remembered.last_pose)
    assert not np.array_equal(path.poses[0], remembered.last_pose)


def test_moves_are_joined_end_to_end(move: Move) -> None:
    first = move("dolly", amount=2.0)
    both = move("pan", before=first)
    assert len(both) == 24
    assert np.array_equal(both.poses[:12], first.poses)
    steps = np.linalg.norm(np.diff(both.poses[:, :3, 3], axis=0), axis=1)
    assert np.all(steps[:11] > 0.1) and np.allclose(steps[11:], 0)
    assert np.allclose(both.poses[12, :3, :3], rotation(yaw=5.0))


def test_too_few_frames_are_counted_as_the_artist_counts_them(move: Move, remembered: MemoryState) -> None:
    with pytest.raises(ValueError, match="frames is 1: 'turn away and come back' .* takes 2 frames at least"):
        move("turn away and come back", 1, memory=remembered)
    with pytest.raises(ValueError, match="frames is 2: .* takes 3 frames at least"):
        move("turn away and come back", 2)
    assert len(move("turn away and come back", 2, memory=remembered)) == 2
    assert len(move("turn away and come back", 3)) == 3


def test_what_is_written_of_the_moves_is_true_of_all_that_there_are(comfy: Path) -> None:
    from scene_memory.memory.cameras.presets import PRESETS, UNITS
    from scene_memory.nodes.camera.camera_trajectory import CameraTrajectory

    amount = next(one for one in CameraTrajectory.define_schema().inputs if one.id == "amount")
    degrees, _, units = str(amount.tooltip).partition("scene units")
    moving = {name: preset for name, preset in PRESETS.items() if preset.unit}
    assert all(name in (units if preset.unit == UNITS else degrees) for name, preset in moving.items())
    root = Path(__file__).resolve().parents[2]
    assert f"{len(PRESETS)} ready-made moves" in (root / "README.md").read_text(encoding="utf-8")
    page = (root / "web" / "docs" / "SceneMemoryCameraTrajectory.md").read_text(encoding="utf-8")
    (told,) = [line for line in page.splitlines() if line.startswith("| **amount**")]
    assert all(name in told for name, preset in moving.items() if preset.unit == UNITS)

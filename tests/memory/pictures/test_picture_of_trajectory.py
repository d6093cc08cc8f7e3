"""The picture of a camera path: three views that show where the camera goes, and its figures in words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scene_memory.memory.cameras.presets import PRESETS, make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.pictures.drawing import WHITE
from scene_memory.memory.pictures.picture_of_trajectory import SIDE, figures, trajectory_picture

Move = Callable[..., Trajectory]


def start_dot(picture: np.ndarray, panel: int) -> tuple[float, float]:
    """Where the white dot of the first frame is on a panel, x and y from its corner; below the panel's title."""
    left = panel * (SIDE + 2)
    white = (picture[30:SIDE, left : left + SIDE] == WHITE).all(axis=2)
    y, x = np.nonzero(white)
    return float(x.mean()), float(y.mean()) + 30


@pytest.mark.parametrize("name", PRESETS)
def test_every_move_can_be_drawn(name: str) -> None:
    path = make_preset(name, frames=30, fps=8.0, amount=PRESETS[name].amount, fov=70.0, aspect=1.6)
    picture = trajectory_picture(path)
    assert picture.dtype == np.uint8 and picture.shape[1] == 3 * SIDE + 4 and picture.shape[0] > SIDE
    for panel in range(3):
        assert 0 < start_dot(picture, panel)[0] < SIDE


def test_a_single_camera_and_a_path_far_from_the_origin_can_be_drawn(move: Move) -> None:
    assert trajectory_picture(move("pan", 1)).shape[0] > SIDE
    far = move("dolly", 9, 2.0)
    moved = far.after(np.array([[1.0, 0, 0, -5679.0], [0, 1, 0, 12.0], [0, 0, 1, 4000.0], [0, 0, 0, 1]]))
    np.testing.assert_allclose(start_dot(trajectory_picture(moved), 0), start_dot(trajectory_picture(far), 0), atol=1.5)


def test_from_above_right_is_right_and_from_the_side_up_is_up(move: Move) -> None:
    x, y = start_dot(trajectory_picture(move("truck", 9, 4.0)), 0)
    assert x < SIDE / 3, "a camera that moves to the right begins at the left"
    x, y = start_dot(trajectory_picture(move("dolly", 9, 4.0)), 0)
    assert y > SIDE * 2 / 3, "a camera that moves forward begins at the bottom of the map"
    x, y = start_dot(trajectory_picture(move("pedestal", 9, 4.0)), 1)
    assert y > SIDE * 2 / 3, "a camera that rises begins at the bottom of the side view"


def test_the_cameras_of_a_memory_are_drawn_too(move: Move) -> None:
    path, seen = move("pan", 20), move("look around", 20, 360.0)
    plain = trajectory_picture(path)
    both = trajectory_picture(path, (seen.poses, seen.intrinsics))
    assert both.shape == plain.shape and (both[:SIDE] != plain[:SIDE]).any()
    none = trajectory_picture(path, (seen.poses[:0], seen.intrinsics[:0]))
    assert np.array_equal(none, plain)


def test_the_figures_are_those_of_the_path(move: Move) -> None:
    path = make_preset("orbit", frames=161, fps=16.0, amount=90.0, fov=70.0, aspect=1.6, radius=2.0)
    assert figures(path) == (
        "161 frames, 10.06 s at 16 frames a second, 3.14 units of way, 90 degrees of turning, "
        "field of view 70.0 degrees"
    )
    zoomed = make_preset("zoom", frames=9, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)
    assert figures(zoomed).endswith("0.00 units of way, 0 degrees of turning, field of view 70.0 to 40.0 degrees")

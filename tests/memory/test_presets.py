"""Camera moves: where they go, and that those which return do so to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.camera import pose, rotation
from scene_memory.memory.presets import EASINGS, PRESETS, RETURNING, make_preset
from scene_memory.memory.trajectory import Trajectory

Move = Callable[..., Trajectory]


def preset(name: str, frames: int, amount: float, easing: str = "smooth", radius: float = 3.0) -> Trajectory:
    return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=60.0, aspect=1.6, easing=easing, radius=radius)


def forward(path: Trajectory, frame: int) -> np.ndarray:
    return path.poses[frame, :3, 2]


def place(path: Trajectory, frame: int) -> np.ndarray:
    return path.poses[frame, :3, 3]


@given(st.sampled_from(sorted(PRESETS)), st.integers(3, 60), st.floats(-400, 400), st.sampled_from(sorted(EASINGS)))
def test_every_move_starts_exactly_at_the_identity_with_the_length_asked_for(name, frames, amount, easing):
    path = preset(name, frames, amount, easing)
    assert len(path) == frames and path.name == name
    assert np.array_equal(path.poses[0], np.eye(4))


@given(st.sampled_from(sorted(RETURNING)), st.integers(3, 99), st.floats(-400, 400), st.floats(-180, 180))
def test_a_move_that_comes_back_repeats_its_poses_bit_for_bit_wherever_it_starts(name, frames, amount, yaw):
    start = pose([3.7, -1.1, 9.2], rotation(yaw, 12.0, 3.0))
    for path in (preset(name, frames, amount), preset(name, frames, amount).after(start)):
        for i in range(frames):
            assert path.poses[i].tobytes() == path.poses[frames - 1 - i].tobytes()


def test_turning_away_reaches_the_whole_amount():
    path = preset("turn away and come back", 21, 90.0)
    np.testing.assert_allclose(forward(path, 10), [1, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(place(path, 10), 0.0)


@pytest.mark.parametrize("amount", [90.0, -90.0])
def test_walking_away_goes_forward_round_a_bend_and_looks_along_it(amount: float):
    path = preset("walk away and come back", 201, amount, easing="even", radius=2.0)
    side = np.sign(amount)
    np.testing.assert_allclose(place(path, 100), [2.0 * side, 0, 2.0], atol=1e-12)
    step = place(path, 51) - place(path, 50)
    np.testing.assert_allclose(step / np.linalg.norm(step), forward(path, 50), atol=0.01)


@pytest.mark.parametrize(
    ("name", "expected"), [("dolly", [0, 0, 2]), ("truck", [2, 0, 0]), ("pedestal", [0, -2, 0]), ("static", [0, 0, 0])]
)
def test_moves_in_units_end_where_they_say(name: str, expected: list[float]):
    path = preset(name, 9, 2.0)
    np.testing.assert_array_equal(place(path, -1), expected)
    np.testing.assert_array_equal(path.poses[-1, :3, :3], np.eye(3))


@pytest.mark.parametrize(("name", "turn"), [("pan", {"yaw": 30}), ("tilt", {"pitch": 30}), ("roll", {"roll": 30})])
def test_moves_in_degrees_turn_on_the_spot(name: str, turn: dict):
    np.testing.assert_allclose(preset(name, 9, 30.0).poses[-1], pose([0, 0, 0], rotation(**turn)), atol=1e-12)


@given(st.floats(-360, 360), st.floats(0.5, 20.0))
def test_an_orbit_keeps_its_distance_and_looks_at_the_point(amount: float, radius: float):
    path = preset("orbit", 12, amount, radius=radius)
    to_point = np.array([0, 0, radius]) - path.poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(to_point, axis=1), radius, rtol=1e-9)
    np.testing.assert_allclose(to_point / radius, path.poses[:, :3, 2], atol=1e-9)


def test_an_orbit_above_zero_moves_right():
    assert preset("orbit", 12, 30.0).poses[-1, 0, 3] > 0.0


def test_looking_all_the_way_round_ends_exactly_where_it_began():
    assert np.array_equal(preset("look around", 25, 360.0).poses[-1], np.eye(4))


def test_smooth_starts_gently_and_even_does_not():
    smooth, even = preset("dolly", 11, 1.0), preset("dolly", 11, 1.0, easing="even")
    assert place(smooth, 1)[2] < 0.5 * place(even, 1)[2]


def test_one_frame_is_enough_for_a_move_that_does_not_return():
    assert len(preset("pan", 1, 90.0)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "zoom"}, "no camera move 'zoom'. Use one of: static"),
        ({"easing": "bouncy"}, "no easing 'bouncy'"),
        ({"frames": 0}, "0 frames: it needs at least 1"),
        ({"name": "turn away and come back", "frames": 2}, "2 frames: it needs at least 3"),
        ({"amount": float("nan")}, "must be a finite number"),
        ({"radius": 0.0}, "radius of 'pan' is 0.0"),
    ],
)
def test_wrong_settings_are_refused_with_the_cure(wrong: dict, message: str):
    right = {"name": "pan", "frames": 9, "fps": 8.0, "amount": 30.0, "fov": 60.0, "aspect": 1.6}
    with pytest.raises(ValueError, match=message):
        make_preset(**{**right, **wrong})

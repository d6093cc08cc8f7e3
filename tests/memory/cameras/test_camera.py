"""Cameras: the pack's one convention, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import (
    clean_poses,
    horizontal_fov,
    intrinsics_from_fov,
    look_at,
    pose,
    rigid_inverse,
)

angles = st.floats(-720.0, 720.0)
places = st.tuples(*[st.floats(-100.0, 100.0)] * 3)


def test_yaw_above_zero_turns_right():
    np.testing.assert_allclose(rotation(yaw=90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_pitch_above_zero_looks_up_which_is_minus_y():
    np.testing.assert_allclose(rotation(pitch=90) @ [0, 0, 1], [0, -1, 0], atol=1e-12)


def test_roll_above_zero_turns_the_camera_clockwise():
    np.testing.assert_allclose(rotation(roll=90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_pitch_is_applied_in_the_turned_camera():
    np.testing.assert_allclose(rotation(yaw=90, pitch=30)[:, 2], [np.cos(np.pi / 6), -0.5, 0], atol=1e-12)


@given(angles, angles, angles)
def test_every_rotation_is_proper(yaw: float, pitch: float, roll: float):
    turn = rotation(yaw, pitch, roll)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)


@given(st.integers(-5, 5))
def test_whole_turns_are_exactly_the_identity(turns: int):
    assert np.array_equal(rotation(yaw=360.0 * turns, pitch=-360.0 * turns, roll=360.0 * turns), np.eye(3))


@given(st.floats(1.0, 170.0), st.floats(0.2, 5.0))
def test_intrinsics_give_the_field_of_view_back(fov: float, aspect: float):
    intrinsics = intrinsics_from_fov(fov, aspect)
    assert horizontal_fov(intrinsics) == pytest.approx(fov)
    assert intrinsics[1] / intrinsics[0] == pytest.approx(aspect)


@given(places, places)
@example((0.0, 0.0, 0.0), (6e-8, 1.0, 0.0))
@example((0.0, 0.0, 0.0), (0.0, 1.0, -6e-8))
def test_a_camera_that_looks_at_a_point_has_it_ahead_and_stays_upright(origin: tuple, target: tuple):
    if np.linalg.norm(np.subtract(origin, target)) < 1e-3:
        return
    camera = look_at(origin, target)
    clean_poses(camera[None], "the camera")
    seen = rigid_inverse(camera) @ [*target, 1.0]
    np.testing.assert_allclose(seen[:2], 0.0, atol=1e-9)
    assert seen[2] > 0.0 and camera[1, 1] >= -1e-9


def test_a_camera_can_look_straight_up_and_down():
    for height in (-5.0, 5.0):
        clean_poses(look_at([0, 0, 0], [0, height, 0])[None], "the camera")


def test_a_camera_cannot_look_at_its_own_place():
    with pytest.raises(ValueError, match="no direction to look in"):
        look_at([1, 2, 3], [1, 2, 3])


@given(places, angles, angles, angles)
def test_the_rigid_inverse_undoes_a_pose(origin: tuple, yaw: float, pitch: float, roll: float):
    camera = pose(origin, rotation(yaw, pitch, roll))
    np.testing.assert_allclose(rigid_inverse(camera) @ camera, np.eye(4), atol=1e-10)


@pytest.mark.parametrize("fov", [0.0, 180.0, -3.0, float("nan")])
def test_a_field_of_view_out_of_range_is_refused(fov: float):
    with pytest.raises(ValueError, match="between 0 and 180"):
        intrinsics_from_fov(fov, 1.0)


def test_an_aspect_of_zero_is_refused():
    with pytest.raises(ValueError, match="width divided by height"):
        intrinsics_from_fov(60.0, 0.0)


def test_an_angle_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite number of degrees"):
        rotation(yaw=float("inf"))

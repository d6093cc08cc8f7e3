"""Paths through a few cameras: they pass them, stay level, go round what is looked at, and close without a jerk."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import angles_of, rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, look_at, pose
from scene_memory.memory.cameras.joins import steps
from scene_memory.memory.cameras.through import BY_WAY, EVENLY, TIMINGS, path_through

LENS = intrinsics_from_fov(60.0, 1.6)
NUMBER = st.floats(-20.0, 20.0, width=32)
ANGLE = st.floats(-179.0, 179.0)


@st.composite
def cameras(draw: st.DrawFn, least: int = 1, rolled: bool = True) -> np.ndarray:
    return np.stack([
        pose(
            [draw(NUMBER) for _ in range(3)],
            rotation(draw(ANGLE), draw(st.floats(-85.0, 85.0)), draw(ANGLE) if rolled else 0.0),
        )
        for _ in range(draw(st.integers(least, 6)))
    ])  # fmt: skip


def path(poses: np.ndarray, frames: int = 60, **changed):
    lenses = np.tile(LENS, (len(poses), 1))
    return path_through(poses, lenses, **{"frames": frames, "fps": 8.0, "easing": "even", **changed})


@given(cameras(), st.integers(2, 50), st.booleans(), st.sampled_from(TIMINGS), st.booleans())
def test_it_begins_and_ends_exactly_at_its_cameras_with_proper_rotations(poses, frames, closed, timing, around) -> None:
    reach = np.linspace(1.0, 4.0, len(poses)) if around else None
    made = path(poses, frames, closed=closed, timing=timing, distances=reach)
    assert len(made) == frames
    assert np.array_equal(made.poses[0], poses[0])
    assert np.array_equal(made.poses[-1], poses[0] if closed else poses[-1])
    np.testing.assert_allclose(np.linalg.det(made.poses[:, :3, :3]), 1.0, atol=1e-9)


@given(cameras(least=2), st.booleans())
def test_it_passes_each_camera(poses: np.ndarray, around: bool) -> None:
    made = path(poses, 20 * (len(poses) - 1) + 1, timing=EVENLY, distances=np.full(len(poses), 3.0) if around else None)
    np.testing.assert_allclose(made.poses[::20], poses, atol=1e-7)


@given(cameras(least=2, rolled=False), st.booleans())
def test_level_cameras_make_a_level_path(poses: np.ndarray, closed: bool) -> None:
    np.testing.assert_allclose(path(poses, closed=closed).poses[:, 1, 0], 0.0, atol=1e-9)


@given(st.lists(st.floats(-170.0, 170.0), min_size=2, max_size=5, unique=True), st.floats(1.0, 9.0))
def test_it_goes_round_what_the_cameras_look_at(angles: list[float], distance: float) -> None:
    centre = np.array([3.0, -1.0, 7.0])
    around = [centre + distance * np.array([np.sin(a), -0.3, -np.cos(a)]) for a in np.radians(angles)]
    poses = np.stack([look_at(place, centre) for place in around])
    far = np.linalg.norm(poses[:, :3, 3] - centre, axis=1)
    made = path(poses, distances=far)
    way = centre - made.poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), far[0], rtol=1e-9)
    np.testing.assert_allclose(way / far[0], made.poses[:, :3, 2], atol=1e-9)


def test_a_closed_path_goes_on_without_a_jerk_where_it_began() -> None:
    poses = np.stack([pose([np.sin(a), 0.2 * a, -np.cos(a)], rotation(-np.degrees(a))) for a in (0.0, 1.9, 3.1, 4.4)])
    made = path(poses, 2001, closed=True).poses
    moved = steps(np.concatenate([made, made[1:]]))
    changes = np.abs(np.diff(moved, axis=0)).max(axis=1)
    assert changes[1999] <= changes[:1999].max() * 1.01, "where it began it bends as it does elsewhere"
    yaw = angles_of(made[:, :3, :3], unwrapped=True)[:, 0]
    assert abs(yaw[-1] - yaw[0]) == pytest.approx(360.0), "it went all the way round"


def test_by_the_way_to_go_the_camera_keeps_about_one_speed() -> None:
    poses = np.stack([pose([0, 0, z], np.eye(3)) for z in (0.0, 1.0, 9.0, 10.0)])
    moved = np.diff(path(poses, 401, timing=BY_WAY).poses[:, 2, 3])
    np.testing.assert_allclose(moved, moved.mean(), rtol=1e-6)
    evenly = np.diff(path(poses, 401, timing=EVENLY).poses[:, 2, 3])
    assert evenly.max() > 2 * moved.mean()


def test_a_lens_between_cameras_never_turns_over() -> None:
    lenses = np.stack([intrinsics_from_fov(fov, 1.6) for fov in (150.0, 5.0, 150.0, 20.0)])
    poses = np.stack([pose([0, 0, z], np.eye(3)) for z in range(4)])
    made = path_through(poses, lenses, frames=200, fps=8.0)
    assert (made.intrinsics[:, :2] > 0.0).all()
    np.testing.assert_allclose(made.intrinsics[:, 1] / made.intrinsics[:, 0], 1.6)


def test_one_camera_stands_still() -> None:
    only = pose([1, 2, 3], rotation(40, 10))[None]
    assert np.array_equal(path(only, 9).poses, only.repeat(9, axis=0)) or np.allclose(path(only, 9).poses, only)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_a_camera_that_looks_straight_down_keeps_its_heading(pitch: float) -> None:
    np.testing.assert_allclose(angles_of(rotation(33.0, pitch)[None]), [[33.0, pitch, 0.0]], atol=1e-6)


@given(cameras(least=2))
def test_angles_are_those_that_made_the_cameras_and_turn_the_short_way(poses: np.ndarray) -> None:
    angles = angles_of(poses[:, :3, :3], unwrapped=True)
    np.testing.assert_allclose([rotation(*row) for row in angles], poses[:, :3, :3], atol=1e-9)
    assert (np.abs(np.diff(angles, axis=0)) <= 180.0 + 1e-9).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "has 0 frames: it needs at least 1. Use 81"),
        ({"timing": "random"}, "no timing 'random'. Use one of: by the way to go, evenly"),
        ({"distances": [1.0]}, "distances of 2 cameras are"),
        ({"distances": [1.0, 0.0]}, "give each one number above 0"),
        ({"easing": "bouncy"}, "no easing"),
    ],
)
def test_what_makes_no_path_is_refused_with_the_cure(change: dict, message: str) -> None:
    make: Callable = path
    with pytest.raises(ValueError, match=message):
        make(np.stack([pose([0, 0, z], np.eye(3)) for z in range(2)]), **change)

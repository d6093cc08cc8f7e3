"""Values between samples: exact where the samples say enough, and nothing invented where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.interpolate import interpolate_intrinsics, interpolate_poses, straight_poses


def at_places(places: np.ndarray) -> np.ndarray:
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, :3, 3] = places
    return poses


def walk(times: np.ndarray) -> np.ndarray:
    """A smooth way whose every place and turn is known."""
    poses = at_places(np.stack([np.sin(1.3 * times), np.cos(0.7 * times), np.sin(2.1 * times + 1.0)], axis=1))
    angles = np.stack([80 * np.sin(0.9 * times), 30 * np.sin(1.7 * times), 10 * np.sin(2 * times)], axis=1)
    poses[:, :3, :3] = Rotation.from_euler("YXZ", angles, degrees=True).as_matrix()
    return poses


def jittered(rate: float, seconds: float, share: float = 0.3) -> np.ndarray:
    random = np.random.default_rng(5)
    return np.cumsum(random.uniform(1.0 - share, 1.0 + share, int(rate * seconds))) / rate


@pytest.mark.parametrize("turned", [False, True])
def test_a_camera_that_stands_stays_where_it_stands(turned: bool):
    times = np.array([0, 0.5, 1, 5, 5.5, 6])
    poses = at_places(np.outer([0, 0.5, 1, 1, 1.5, 2], [1.0, 0, 0]))
    yaws = [0, 5, 10, 10, 15, 20] if turned else [0] * 6
    poses[:, :3, :3] = [rotation(yaw) for yaw in yaws]
    at = np.linspace(0.0, 6.0, 601)
    path = interpolate_poses(times, poses, at)
    still = (at >= 1.0) & (at <= 5.0)
    assert (
        np.abs(path[still, 0, 3] - 1.0).max() < 1e-12 and np.abs(path[still, :3, :3] - rotation(yaws[3])).max() < 1e-9
    )
    assert (np.diff(path[:, 0, 3]) > -1e-12).all()


def test_it_stands_between_even_frames_too():
    """A move, a rest and a move, slowed down as `retimed` does it: the rest does not sway."""
    x = np.concatenate([np.linspace(0, 1, 11), np.full(20, 1.0), np.linspace(1, 2, 11)])
    times, at = np.arange(42.0), np.linspace(0.0, 41.0, 4101)
    path = interpolate_poses(times, at_places(np.outer(x, [1.0, 2.0, 0.0])), at)
    still = (at >= 10) & (at <= 30)
    assert np.abs(path[still, :2, 3] - (1.0, 2.0)).max() < 1e-12
    assert np.abs(CubicSpline(times, x)(at[still]) - 1.0).max() > 0.005  # what a plain spline does
    assert path[:, 0, 3].min() > -1e-12 and path[:, 0, 3].max() < 2.0 + 1e-12


def test_a_zoom_that_rests_rests():
    times, at = np.array([0, 1, 2, 3, 4, 5.0]), np.linspace(0, 5, 501)
    focal = np.array([0.5, 0.6, 0.7, 0.7, 0.8, 0.9])
    lenses = interpolate_intrinsics(times, np.stack([focal, focal, focal * 0 + 0.5, focal * 0 + 0.5], axis=1), at)
    assert np.abs(lenses[(at >= 2) & (at <= 3), :2] - 0.7).max() < 1e-12


@given(st.integers(0, 10**6), st.integers(3, 30))
def test_it_never_leaves_the_box_of_a_gap(seed: int, count: int):
    """Where the camera was in a gap nobody knows: it stays between the two places at its ends."""
    random = np.random.default_rng(seed)
    steps = random.uniform(0.5, 1.0, count)
    steps[random.integers(count)] = random.uniform(4.0, 40.0)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.cumsum(random.normal(0, 1, (count + 1, 3)), axis=0)
    gap = int(np.argmax(steps))
    path = interpolate_poses(times, at_places(places), np.linspace(times[gap], times[gap + 1], 101))[:, :3, 3]
    ends = places[gap : gap + 2]
    assert (path >= ends.min(axis=0) - 1e-9).all() and (path <= ends.max(axis=0) + 1e-9).all()


@given(st.integers(0, 10**6), st.integers(2, 20))
def test_no_step_swings_far_from_the_straight_way(seed: int, count: int):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(0.05, 3.0, count))
    places = np.cumsum(random.normal(0, 1, (count, 3)) * random.uniform(0, 2, (count, 1)), axis=0)
    for i in range(count - 1):
        path = interpolate_poses(times, at_places(places), np.linspace(times[i], times[i + 1], 21))[:, :3, 3]
        straight = np.linspace(places[i], places[i + 1], 21)
        assert np.linalg.norm(path - straight, axis=1).max() <= 0.65 * np.linalg.norm(places[i + 1] - places[i]) + 1e-9


def test_a_smooth_way_sampled_unevenly_is_found_again():
    """At 30 cameras a second: places to two millionths, turns to a hundredth of a degree, their speed steady."""
    times = jittered(30.0, 15.0)
    at = np.linspace(times[0], times[-1], 4000)
    path, truth = interpolate_poses(times, walk(times), at), walk(at)
    assert np.abs(path[:, :3, 3] - truth[:, :3, 3]).max() < 2e-6
    turns, true = (Rotation.from_matrix(poses[:, :3, :3]) for poses in (path, truth))
    slerp = Slerp(times, Rotation.from_matrix(walk(times)[:, :3, :3]))(at)
    assert (true.inv() * turns).magnitude().max() < np.radians(0.01)
    assert jerk(turns) < 1.5 * jerk(true) < 0.3 * jerk(slerp)


def jerk(turns: Rotation) -> float:
    speeds = (turns[:-1].inv() * turns[1:]).as_rotvec()
    return float(np.linalg.norm(np.diff(speeds, axis=0), axis=1).max())


@given(st.integers(0, 10**6))
def test_uneven_turns_pass_through_every_sample_and_turn_with_the_world(seed: int):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.uniform(0.1, 1.0, 8))
    poses = at_places(random.normal(0, 1, (8, 3)))
    poses[:, :3, :3] = Rotation.random(8, rng=random).as_matrix()
    near = np.concatenate([times + 1e-9, times - 1e-9])
    path = interpolate_poses(times, poses, near)
    assert np.abs(path - np.concatenate([poses, poses])).max() < 1e-6
    world = np.eye(4)
    world[:3, :3] = Rotation.random(rng=random).as_matrix()
    at = np.linspace(times[0], times[-1], 50)
    moved = world @ interpolate_poses(times, poses, at)
    assert np.abs(interpolate_poses(times, world @ poses, at)[:, :3, :3] - moved[:, :3, :3]).max() < 1e-9


def test_where_nothing_swings_out_even_frames_are_the_spline_bit_for_bit():
    times, at = np.arange(60.0), np.linspace(0.0, 59.0, 173)
    poses = walk(times / 12.0)
    path = interpolate_poses(times, poses, at)
    expected = CubicSpline(times, poses[:, :3, 3])(at)
    inner = ~np.isin(at, times)
    assert np.array_equal(path[inner, :3, 3], expected[inner])


def test_straight_ways_are_straight_and_turn_evenly():
    poses = at_places(np.array([[0, 0, 0], [2, 0, 0], [2, 4, 0.0]]))
    poses[:, :3, :3] = [rotation(0), rotation(40), rotation(-40)]
    path = straight_poses(poses, np.array([0.0, 0.25, 1.0, 1.5, 2.0]))
    assert np.array_equal(path[[0, 2, 4]], poses)
    assert np.allclose(path[[1, 3], :3, 3], [[0.5, 0, 0], [2, 2, 0]])
    assert np.allclose(path[[1, 3], :3, :3], [rotation(10), rotation(0)], atol=1e-12)

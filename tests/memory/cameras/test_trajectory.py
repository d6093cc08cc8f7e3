"""Camera paths: what they accept, and what every operation keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.interpolate import rotations_from_quaternions
from scene_memory.memory.cameras.pacing import EASINGS
from scene_memory.memory.cameras.trajectory import Trajectory

LENS = intrinsics_from_fov(60.0, 1.6)
Move = Callable[..., Trajectory]


@st.composite
def paths(draw: st.DrawFn, least: int = 1) -> Trajectory:
    frames = draw(st.integers(least, 12))
    numbers = st.floats(-50.0, 50.0, width=32)
    angle = st.floats(-180, 180)
    cameras = [
        pose([draw(numbers) for _ in range(3)], rotation(draw(angle), draw(angle), draw(angle))) for _ in range(frames)
    ]
    lenses = [intrinsics_from_fov(draw(st.floats(20, 120)), 1.6) for _ in range(frames)]
    return Trajectory(np.stack(cameras), np.stack(lenses), 8.0, "drawn")


def proper(path: Trajectory) -> bool:
    turns = path.poses[:, :3, :3]
    orthonormal = np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    return orthonormal and np.allclose(np.linalg.det(turns), 1.0)


@given(paths(), st.integers(1, 30), st.floats(1.0, 60.0), st.floats(0.0, 10.0))
def test_every_operation_keeps_rotations_proper(path: Trajectory, frames: int, fps: float, factor: float):
    assert proper(path.after(pose([3, 1, 2], rotation(40, 20, 10)))) and proper(path.relative())
    assert proper(path.retimed(frames)) and proper(path.resampled(fps))
    assert proper(path.reversed()) and proper(path.scaled(factor))


def test_the_arrays_are_read_only_copies():
    poses = np.eye(4)[None].repeat(3, axis=0)
    path = Trajectory(poses, LENS, 8.0)
    poses[1, 0, 3] = 5.0
    assert path.poses[1, 0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        path.poses[0, 0, 3] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        path[1:].intrinsics[0, 0] = 1.0


def test_one_row_of_intrinsics_serves_every_frame():
    assert Trajectory(np.eye(4)[None].repeat(3, axis=0), LENS, 8.0).intrinsics.shape == (3, 4)


def test_an_improper_rotation_is_refused_and_named():
    poses = np.stack([np.eye(4), np.diag([1.0, -1.0, 1.0, 1.0])])
    with pytest.raises(ValueError, match=r"frame 1 is improper \(its determinant is -1"):
        Trajectory(poses, LENS, 8.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda poses: poses[:0], "no frames: it needs at least 1"),
        (lambda poses: poses[:, :3], r"expected \(frames, 4, 4\)"),
        (lambda poses: poses * np.nan, "pose of frame 0 holds a value that is not a finite number"),
        (lambda poses: np.swapaxes(poses + np.eye(4)[3] * [[0], [0], [1], [0]], 1, 2), "may be transposed"),
        (lambda poses: poses * [[1.01], [1.01], [1.01], [1.0]], "Remove scale or shear"),
    ],
)
def test_poses_that_are_no_cameras_are_refused_with_the_cure(change: Callable, message: str):
    with pytest.raises(ValueError, match=message):
        Trajectory(change(np.eye(4)[None].repeat(2, axis=0)), LENS, 8.0)


@pytest.mark.parametrize("lens", [[0.0, 1, 0.5, 0.5], [1, -1.0, 0.5, 0.5], [1, 1, np.nan, 0.5]])
def test_intrinsics_that_are_no_lens_are_refused(lens: list[float]):
    with pytest.raises(ValueError, match="intrinsics of frame 0"):
        Trajectory(np.eye(4)[None], np.array(lens), 8.0)


def test_intrinsics_of_another_length_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected \(3, 4\) for 3 poses"):
        Trajectory(np.eye(4)[None].repeat(3, axis=0), np.stack([LENS, LENS]), 8.0)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(fps: float):
    with pytest.raises(ValueError, match="frames a second: it must be above 0"):
        Trajectory(np.eye(4)[None], LENS, fps)


def test_rounding_from_a_file_is_cleaned_and_exact_rotations_keep_their_bits():
    exact = pose([1, 2, 3], rotation(37, 11, 5))
    path = Trajectory(np.stack([exact, exact.astype(np.float32)]), LENS, 8.0)
    assert path.poses[0].tobytes() == exact.tobytes()
    assert proper(path)
    np.testing.assert_allclose(path.poses[1], exact, atol=1e-6)


@given(paths(least=2))
def test_a_path_moved_after_a_pose_starts_exactly_there_and_keeps_its_shape(path: Trajectory):
    start = pose([5, -2, 7], rotation(123, 10, -4))
    moved = path.after(start)
    assert np.array_equal(moved.poses[0], start)
    np.testing.assert_allclose(
        np.linalg.inv(moved.poses[0]) @ moved.poses[-1], np.linalg.inv(path.poses[0]) @ path.poses[-1], atol=1e-7
    )
    np.testing.assert_allclose(moved.relative().poses, path.relative().poses, atol=1e-7)


@given(paths())
def test_a_relative_path_starts_exactly_at_the_identity(path: Trajectory):
    assert np.array_equal(path.relative().poses[0], np.eye(4))


@given(paths())
def test_a_path_made_relative_and_put_back_is_the_path(path: Trajectory):
    back = path.relative().after(path.poses[0])
    assert np.array_equal(back.poses[0], path.poses[0])
    np.testing.assert_allclose(back.poses, path.poses, atol=1e-11)


@given(paths())
def test_reversing_twice_changes_nothing(path: Trajectory):
    assert path.reversed().reversed() == path


@given(paths(), st.data())
def test_a_path_cut_and_joined_is_the_path(path: Trajectory, data: st.DataObject):
    if len(path) < 2:
        return
    cut = data.draw(st.integers(1, len(path) - 1))
    assert path[:cut].concatenate(path[cut:]) == path


@given(paths(), st.integers(2, 40))
def test_retiming_keeps_both_ends_exactly_and_the_lens_within_its_range(path: Trajectory, frames: int):
    slow = path.retimed(frames)
    assert len(slow) == frames
    assert np.array_equal(slow.poses[0], path.poses[0]) and np.array_equal(slow.poses[-1], path.poses[-1])
    assert (slow.intrinsics >= path.intrinsics.min(axis=0)).all()
    assert (slow.intrinsics <= path.intrinsics.max(axis=0)).all()


@given(paths())
def test_retiming_to_twice_the_steps_passes_through_every_frame(path: Trajectory):
    double = path.retimed(2 * len(path) - 1)
    assert np.array_equal(double.poses[::2], path.poses)


@given(
    paths(least=2), st.integers(2, 60), st.sampled_from(sorted(EASINGS)), st.lists(st.floats(0.1, 9.0), max_size=5)
)
def test_retiming_with_a_speed_curve_keeps_both_ends_exactly(path, frames, easing, speed):
    slow = path.retimed(frames, easing=easing, speed=speed)
    assert len(slow) == frames and proper(slow)
    assert np.array_equal(slow.poses[0], path.poses[0]) and np.array_equal(slow.poses[-1], path.poses[-1])


def test_retiming_follows_the_speed_curve():
    line = Trajectory(np.stack([pose([0, 0, z], np.eye(3)) for z in np.linspace(0, 1, 101)]), LENS, 8.0)
    speeds = np.diff(line.retimed(1001, speed=[1.0, 4.0]).poses[:, 2, 3])
    assert speeds[-1] / speeds[0] == pytest.approx(4.0, rel=0.01) and (np.diff(speeds) > -1e-12).all()
    assert line.retimed(101, speed=[2.0, 2.0]) == line


def test_retiming_turns_as_scipy_does():
    turns = Rotation.random(40, random_state=2).as_matrix()
    path = Trajectory(np.stack([pose([0, 0, 0], turn) for turn in turns]), LENS, 8.0)
    at = np.linspace(0.0, 39.0, 1234)
    expected = Slerp(np.arange(40), Rotation.from_matrix(turns))(at).as_matrix()
    np.testing.assert_allclose(path.retimed(1234).poses[:, :3, :3], expected, atol=1e-12)


def test_retiming_turns_the_short_way_at_an_even_pace(move: Move):
    ends = Trajectory(np.stack([pose([0, 0, 0], rotation(170)), pose([0, 0, 0], rotation(-170))]), LENS, 8.0)
    middle = ends.retimed(3).poses[1]
    np.testing.assert_allclose(middle[:3, :3], rotation(180), atol=1e-12)


def test_resampling_keeps_the_duration(move: Move):
    path = move("pan", 25)
    double = path.resampled(16.0)
    assert len(double) == 49 and double.fps == 16.0
    np.testing.assert_allclose(double.poses[::2], path.poses, atol=1e-12)


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_slerp_survives_quaternion_sign_flips(flips: list[bool]):
    half = np.radians(np.linspace(0.0, 300.0, 6)) / 2.0
    quaternions = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=1)
    signs = np.where(flips, -1.0, 1.0)[:, None]
    poses = np.tile(np.eye(4), (2, 6, 1, 1))
    poses[0, :, :3, :3] = rotations_from_quaternions(quaternions)
    poses[1, :, :3, :3] = rotations_from_quaternions(quaternions * signs)
    plain, flipped = (Trajectory(one, LENS, 8.0) for one in poses)
    assert flipped == plain
    assert flipped.retimed(51) == plain.retimed(51)
    np.testing.assert_allclose(plain.retimed(11).poses[1, :3, :3], rotation(30), atol=1e-9)


def test_a_zero_quaternion_is_refused():
    with pytest.raises(ValueError, match="names no rotation"):
        rotations_from_quaternions(np.zeros((1, 4)))


def test_scaling_moves_positions_only():
    path = Trajectory(pose([1, 2, 3], rotation(30))[None], LENS, 8.0).scaled(2.0)
    np.testing.assert_array_equal(path.poses[0], pose([2, 4, 6], rotation(30)))


def test_paths_of_two_rates_are_not_joined(move: Move):
    with pytest.raises(ValueError, match="8 and 16 frames a second"):
        move("pan").concatenate(move("pan").resampled(16.0))


@pytest.mark.parametrize("call", [lambda p: p.retimed(0), lambda p: p.scaled(-1.0), lambda p: p.resampled(0.0)])
def test_numbers_without_meaning_are_refused(call: Callable, move: Move):
    with pytest.raises(ValueError, match="must be|needs at least"):
        call(move("pan"))


def test_a_single_frame_is_not_cut_out_by_a_number(move: Move):
    with pytest.raises(TypeError, match="cut with a slice"):
        move("pan")[3]  # type: ignore[index]


def test_an_empty_cut_is_refused(move: Move):
    with pytest.raises(ValueError, match="no frames"):
        move("pan")[5:5]


def test_equal_paths_have_equal_hashes(move: Move):
    assert move("orbit") == move("orbit") and hash(move("orbit")) == hash(move("orbit"))
    assert move("orbit") != move("orbit", amount=91.0)


def test_the_duration_is_frames_over_rate(move: Move):
    assert move("pan", 20).duration == 2.5

"""Paths that are joined: the camera goes on at the speed it had, and the paths keep their shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import horizontal_fov, pose
from scene_memory.memory.cameras.joins import following, joined, steps
from scene_memory.memory.cameras.presets import EASINGS, PRESETS, make_preset
from scene_memory.memory.cameras.trajectory import Trajectory

Move = Callable[..., Trajectory]
AMOUNTS = {name: 0.5 * preset.amount for name, preset in PRESETS.items()}


def made(name: str, frames: int, easing: str = "even", fov: float = 60.0, amount: float | None = None) -> Trajectory:
    return make_preset(
        name,
        frames=frames,
        fps=8.0,
        amount=AMOUNTS[name] if amount is None else amount,
        fov=fov,
        aspect=1.6,
        easing=easing,
    )


MOVES = st.builds(made, st.sampled_from(sorted(PRESETS)), st.integers(10, 80), st.sampled_from(sorted(EASINGS)))


def jerk(poses: np.ndarray) -> np.ndarray:
    """How much the speed changes at each inner frame, in its greatest component."""
    return np.abs(np.diff(steps(poses), axis=0)).max(axis=1)


@given(MOVES, MOVES, st.integers(4, 9))
def test_a_blended_join_has_no_jump_in_speed(first: Trajectory, second: Trajectory, blend: int) -> None:
    both = joined([first, second], blend)
    assert len(both) == len(first) + len(second) - 1
    difference = np.abs(steps(first.poses[-2:])[-1] - steps(second.poses[:2])[0]).max()
    at = len(first) - 1
    changes = jerk(both.poses[at - 1 : at + blend + 2])
    assert changes[0] < 1e-7, "the first step has the speed of the last one before it"
    own = jerk(second.poses[: blend + 3]).max()
    # A smooth step over n frames never changes by more than 1.5 / n in one of them.
    assert changes.max() <= own + 1.5 / blend * difference + 1e-7


@given(MOVES, MOVES, st.integers(0, 9))
def test_joined_paths_keep_their_shape_outside_the_blend(first: Trajectory, second: Trajectory, blend: int) -> None:
    both = joined([first, second], blend)
    assert np.array_equal(both.poses[: len(first)], first.poses)
    np.testing.assert_allclose(steps(both.poses[len(first) - 1 + blend :]), steps(second.poses[blend:]), atol=1e-7)
    turns = both.poses[:, :3, :3]
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-9)


@given(MOVES, MOVES)
def test_without_a_blend_the_second_path_follows_bit_for_bit_where_the_first_ends(first, second) -> None:
    both = joined([first, second])
    assert np.array_equal(both.poses[len(first) :], second.after(first.last_pose).poses[1:])


def test_a_path_cut_in_two_is_joined_to_itself_unchanged_however_long_the_blend() -> None:
    whole = made("dolly", 40)
    both = joined([whole[:20], whole[19:]], blend=10)
    np.testing.assert_allclose(both.poses, whole.poses, atol=1e-12)
    assert np.array_equal(both.intrinsics, whole.intrinsics)


def test_a_camera_that_stands_still_after_a_dolly_rolls_out_and_stays_there() -> None:
    both = joined([made("dolly", 11, amount=10.0), made("static", 30)], blend=10)
    forward = np.diff(both.poses[:, 2, 3])
    np.testing.assert_allclose(forward[:11], 1.0)
    assert (np.diff(forward[10:21]) < 0).all() and forward[21:] == pytest.approx(0.0, abs=1e-12)


def test_three_paths_and_a_blend_longer_than_a_path() -> None:
    both = joined([made("pan", 20), made("truck", 5), made("tilt", 20)], blend=50)
    assert len(both) == 43 and jerk(both.poses)[[18, 22]] == pytest.approx(0.0, abs=1e-9)


def test_the_lens_goes_over_in_the_same_frames() -> None:
    both = joined([made("static", 10, fov=70.0), made("static", 20, fov=40.0)], blend=8)
    widths = np.array([horizontal_fov(lens) for lens in both.intrinsics])
    assert widths[:10] == pytest.approx(70.0) and widths[17:] == pytest.approx(40.0)
    assert (np.diff(widths[9:18]) < 0).all() and np.abs(np.diff(widths)).max() < 1.5 / 8 * 35
    np.testing.assert_allclose(both.intrinsics[:, 1] / both.intrinsics[:, 0], 1.6)
    cut = joined([made("static", 10, fov=70.0), made("static", 20, fov=40.0)])
    assert horizontal_fov(cut.intrinsics[10]) == pytest.approx(40.0)


def test_what_follows_one_camera_of_unknown_speed_keeps_to_its_path() -> None:
    start = Trajectory(pose([1, 2, 3], rotation(40))[None], made("pan", 2).intrinsics[:1], 8.0)
    path = made("pan", 9)
    assert following(start, path, 5) == path.after(start.last_pose)[1:]


def test_a_single_camera_adds_nothing_to_a_join() -> None:
    path = made("pan", 9)
    assert joined([path, made("static", 1)], 3) == path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: joined([]), "no camera path to join"),
        (lambda path: joined([path, path], -1), "blended over -1 frames: it must be 0 or above. Use 12"),
        (lambda path: joined([path, path.resampled(16.0)]), "run at 8 and 16 frames a second"),
        (lambda path: following(path, path[:1]), "has 1 frame, and that is the one where it is joined"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_the_cure(change: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(made("pan", 9))

"""Camera moves: where they go, and that those which return do so to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import horizontal_fov, intrinsics_from_fov, pose
from scene_memory.memory.cameras.presets import EASINGS, PRESETS, RETURNING, make_preset
from scene_memory.memory.cameras.trajectory import Trajectory

Move = Callable[..., Trajectory]


def preset(name: str, frames: int, amount: float, easing: str = "smooth", radius: float = 3.0) -> Trajectory:
    return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=60.0, aspect=1.6, easing=easing, radius=radius)


def forward(path: Trajectory, frame: int) -> np.ndarray:
    return path.poses[frame, :3, 2]


def place(path: Trajectory, frame: int) -> np.ndarray:
    return path.poses[frame, :3, 3]


def proper(path: Trajectory) -> bool:
    turns = path.poses[:, :3, :3]
    return np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-9) and bool(
        (np.linalg.det(turns) > 0).all()
    )


@given(
    st.sampled_from(sorted(PRESETS)),
    st.integers(3, 60),
    st.floats(-1.5, 1.5),
    st.sampled_from(sorted(EASINGS)),
    st.lists(st.floats(0.0, 10.0), max_size=4).filter(lambda speed: not speed or max(speed) > 0.0),
    st.integers(0, 9),
)
def test_every_move_starts_exactly_at_the_identity_with_the_length_asked_for(name, frames, share, easing, speed, seed):
    amount = share * PRESETS[name].amount
    path = make_preset(
        name,
        frames=frames,
        fps=8.0,
        amount=amount,
        fov=60.0,
        aspect=1.6,
        easing=easing,
        seed=seed,
        speed=speed,
        handheld=0.5,
    )
    assert len(path) == frames and path.name == name and proper(path)
    assert np.array_equal(path.poses[0], np.eye(4))
    assert np.array_equal(path.intrinsics[0], intrinsics_from_fov(60.0, 1.6))


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


@given(st.floats(-200, 200), st.floats(0.5, 20.0))
def test_an_arc_keeps_its_distance_looks_at_the_point_and_rises_by_half_as_much(amount: float, radius: float):
    path = preset("arc", 12, amount, radius=radius)
    to_point = np.array([0, 0, radius]) - path.poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(to_point, axis=1), radius, rtol=1e-9)
    np.testing.assert_allclose(to_point / radius, path.poses[:, :3, 2], atol=1e-9)
    up = np.degrees(np.arcsin(-place(path, -1)[1] / radius))
    assert up == pytest.approx(min(abs(amount) / 2, 60.0), abs=1e-6)


@pytest.mark.parametrize(("name", "amount"), [("crane", 2.0), ("crane", -1.0), ("spiral", 400.0), ("spiral", -90.0)])
def test_crane_and_spiral_look_at_the_point_and_keep_the_horizon_level(name: str, amount: float):
    path = preset(name, 25, amount)
    to_point = np.array([0, 0, 3.0]) - path.poses[:, :3, 3]
    to_point /= np.linalg.norm(to_point, axis=1, keepdims=True)
    np.testing.assert_allclose(to_point, path.poses[:, :3, 2], atol=1e-9)
    np.testing.assert_allclose(path.poses[:, 1, 0], 0.0, atol=1e-12)


def test_a_crane_goes_straight_up_and_a_spiral_ends_near_and_high():
    np.testing.assert_allclose(place(preset("crane", 9, 2.0), -1), [0, -2, 0])
    end = place(preset("spiral", 90, 360.0), -1)
    np.testing.assert_allclose(end, [0, -1.5, 1.5], atol=1e-12)


def test_a_zoom_changes_the_lens_only_at_an_even_pace():
    path = preset("zoom", 5, 30.0, easing="even")
    assert [horizontal_fov(lens) for lens in path.intrinsics[[0, -1]]] == pytest.approx([60.0, 30.0])
    steps = path.intrinsics[1:, 0] / path.intrinsics[:-1, 0]
    np.testing.assert_allclose(steps, steps[0])
    np.testing.assert_allclose(path.intrinsics[:, 1] / path.intrinsics[:, 0], 1.6)
    assert np.array_equal(path.poses, np.eye(4)[None].repeat(5, axis=0))


@pytest.mark.parametrize("amount", [1.5, -4.0])
def test_a_dolly_zoom_keeps_the_size_of_what_is_at_the_radius(amount: float):
    path = preset("dolly zoom", 21, amount, radius=3.0)
    assert place(path, -1)[2] == amount
    np.testing.assert_allclose(path.intrinsics[:, 0] / (3.0 - path.poses[:, 2, 3]), path.intrinsics[0, 0] / 3.0)


@pytest.mark.parametrize("amount", [360.0, -360.0, 720.0])
def test_a_loop_looks_along_its_way_and_ends_exactly_where_it_began(amount: float):
    path = preset("loop", 181, amount, easing="even", radius=2.0)
    assert np.array_equal(path.poses[-1], np.eye(4))
    steps = np.diff(path.poses[:, :3, 3], axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert (np.einsum("ni,ni->n", steps, path.poses[:-1, :3, 2]) > 0.99).all()


def test_handheld_strays_about_the_amount_and_its_sway_is_band_limited():
    path = make_preset("handheld", frames=4096, fps=30.0, amount=2.0, fov=60.0, aspect=1.6, easing="even", seed=3)
    angles = np.degrees(Rotation.from_matrix(path.poses[:, :3, :3]).as_euler("YXZ"))
    assert np.array_equal(path.poses[0], np.eye(4))
    np.testing.assert_allclose(angles.std(axis=0), [1.0, 1.0, 0.5], rtol=0.2)
    assert 0.005 < path.poses[:, :3, 3].std() < 0.015
    power = np.abs(np.fft.rfft(angles * np.hanning(4096)[:, None], axis=0)) ** 2
    hertz = np.fft.rfftfreq(4096, 1 / 30.0)
    assert power[(hertz < 0.1) | (hertz > 2.6)].sum() < 1e-4 * power.sum()


def test_handheld_goes_on_top_of_any_move_and_equal_seeds_give_equal_hands():
    def held(seed: int, name: str = "dolly") -> Trajectory:
        return make_preset(name, frames=60, fps=8.0, amount=2.0, fov=60.0, aspect=1.6, seed=seed, handheld=1.0)

    assert held(1) == held(1) and held(1) != held(2)
    strayed = np.abs(held(1).poses - preset("dolly", 60, 2.0).poses).max()
    assert 0.005 < strayed < 0.1
    back = held(1, "turn away and come back")
    assert np.array_equal(back.poses, back.poses[::-1])


@given(st.integers(0, 2000), st.integers(78, 400), st.floats(1.0, 90.0), st.floats(0.1, 10.0))
def test_a_walk_goes_one_to_two_radii_and_turns_less_than_the_amount_within_77_frames(seed, frames, amount, radius):
    path = make_preset(
        "walk", frames=frames, fps=30.0, amount=amount, fov=60.0, aspect=1.6, easing="even", radius=radius, seed=seed
    )
    fine = path.poses[:, :3, 3]
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    covered = way[77:] - way[:-77]
    # Chords between frames are a little shorter than the way itself.
    assert covered.min() > 0.999 * radius and covered.max() <= 2.0 * radius * (1 + 1e-9)
    facing = path.poses[:, [0, 2], 2]
    cosine = np.einsum("ni,ni->n", facing[77:], facing[:-77])
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < amount
    assert (fine[:, 1] == 0.0).all()


def test_a_walk_looks_along_its_way_and_a_longer_one_begins_alike():
    def walked(frames: int, seed: int = 5, amount: float = 60.0) -> Trajectory:
        return make_preset(
            "walk", frames=frames, fps=30.0, amount=amount, fov=60.0, aspect=1.6, easing="even", seed=seed
        )

    path = walked(200)
    steps = np.diff(path.poses[:, :3, 3], axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    assert (np.einsum("ni,ni->n", steps, path.poses[:-1, :3, 2]) > 0.999).all()
    np.testing.assert_allclose(walked(500).poses[:200], path.poses, atol=1e-9)
    assert not np.allclose(walked(200, seed=6).poses, path.poses)
    np.testing.assert_allclose(walked(200, amount=-60.0).poses[:, 0, 3], -path.poses[:, 0, 3], atol=1e-12)


def test_every_preset_says_what_its_amount_means():
    for name, preset in PRESETS.items():
        assert preset.about.startswith("The ") and "amount" in preset.about, name
        assert preset.unit in preset.about if preset.unit else "not used" in preset.about, name


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
        ({"name": "swoop"}, "no camera move 'swoop'. Use one of: static"),
        ({"easing": "bouncy"}, "no easing 'bouncy'"),
        ({"frames": 0}, "0 frames: it needs at least 1"),
        ({"name": "turn away and come back", "frames": 2}, "2 frames: it needs at least 3"),
        ({"amount": float("nan")}, "must be a finite number"),
        ({"radius": 0.0}, "radius of 'pan' is 0.0"),
        ({"handheld": 90.0}, "sway of 'pan' is 90.0 degrees: it must be from 0 to 45"),
        ({"speed": [1.0, -1.0]}, "Number 2 of the speed curve is -1"),
        ({"name": "zoom", "amount": 120.0}, "it would end at -60, and must stay between 1 and 170. Use 30"),
        ({"name": "dolly zoom", "amount": 3.0}, "Use half of the radius, 1.5"),
        ({"name": "walk", "amount": 400.0}, "may be at most 360. Use 60"),
    ],
)
def test_wrong_settings_are_refused_with_the_cure(wrong: dict, message: str):
    right = {"name": "pan", "frames": 9, "fps": 8.0, "amount": 30.0, "fov": 60.0, "aspect": 1.6}
    with pytest.raises(ValueError, match=message):
        make_preset(**{**right, **wrong})

"""Retrieval: which frames count, which are chosen, and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import headings, rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, look_at, pose
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.overlap import fans, overlap, rays_cross
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.strategies import STRATEGIES
from scene_memory.memory.state.state import MemoryState

LENS = intrinsics_from_fov(60.0, 1.6)
FOV = [name for name in STRATEGIES if name.startswith("fov")]
places = st.tuples(st.floats(-20, 20), st.floats(-2, 2), st.floats(-20, 20))


def seen(target: np.ndarray, past: np.ndarray, depth: float = 3.0, near: float = 0.1, far: float = 30.0) -> float:
    """The share of ``target``'s view that ``past`` saw."""
    lens = LENS[None]
    return float(overlap(fans(target[None], lens), target[None], lens, fans(past[None], lens), depth, near, far)[0, 0])


def crosses(target: np.ndarray, past: np.ndarray, near: float = 0.1, far: float = 30.0) -> bool:
    return bool(rays_cross(fans(target[None], LENS[None]), fans(past[None], LENS[None]), near, far)[0, 0])


def path(*cameras: np.ndarray) -> Trajectory:
    return Trajectory(np.stack(cameras), LENS, 8.0)


def at(x: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    return pose([x, 0.0, z], rotation(yaw, pitch))


def turned(frames: int = 96, amount: float = 180.0, name: str = "turn away and come back") -> Trajectory:
    return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=60.0, aspect=1.6)


@given(places, st.floats(-180, 180))
def test_the_same_camera_saw_everything(place: tuple, yaw: float):
    camera = pose(place, rotation(yaw))
    assert seen(camera, camera) == 1.0


@given(st.floats(-180, 180), st.floats(0, 180), st.sampled_from([-1, 1]))
def test_turning_on_the_spot_loses_the_view_in_step_with_the_angle(yaw: float, angle: float, side: int):
    share = seen(at(yaw=yaw), at(yaw=yaw + side * angle))
    assert share == pytest.approx(max(0.0, 1.0 - angle / 60.0), abs=1 / 16 + 1e-9)


@given(places, st.floats(-180, 180), st.floats(100, 260), places, st.floats(-40, 40))
def test_a_camera_facing_away_never_counts(place: tuple, yaw: float, away: float, other: tuple, pitch: float):
    target, past = pose(place, rotation(yaw)), pose(other, rotation(yaw + away, pitch))
    assert seen(target, past) == 0.0 and not crosses(target, past)


@given(places, places, st.floats(-180, 180))
def test_two_cameras_that_face_each_other_see_opposite_sides(place: tuple, other: tuple, yaw: float):
    if np.linalg.norm(np.subtract(place, other)[[0, 2]]) < 0.5:
        return
    here, there = look_at(place, other), look_at(other, place)
    assert seen(here, there) == 0.0 and not crosses(here, there)


def test_a_camera_far_behind_does_not_count_and_one_near_behind_does():
    assert seen(at(), at(z=-5)) == 1.0
    assert seen(at(), at(z=-40)) == 0.0


def test_walking_on_keeps_what_lies_ahead_in_view():
    assert seen(at(z=1), at(z=0)) == 1.0
    assert 0.3 < seen(at(z=0), at(z=1)) < 1.0


def test_a_sidestep_keeps_part_of_the_view():
    assert 0.4 < seen(at(), at(x=1)) < 0.8
    assert seen(at(), at(x=5)) == 0.0


def test_a_zoomed_camera_saw_less():
    tele = intrinsics_from_fov(30.0, 1.6)[None]
    wide = LENS[None]
    camera = at()[None]
    share = overlap(fans(camera, wide), camera, wide, fans(camera, tele), 3.0, 0.1, 30.0)[0, 0]
    assert share == pytest.approx(0.5)


def test_the_papers_rule_accepts_views_that_converge_within_reach():
    left, right = at(x=-1, yaw=10), at(x=1, yaw=-10)
    assert crosses(left, right) and crosses(right, left)
    assert not crosses(left, right, far=3.0), "they cross too far away"
    assert not crosses(left, right, near=8.0), "they cross too near"


def test_the_papers_rule_has_no_answer_on_the_spot_and_for_parallel_views():
    assert not crosses(at(), at()) and not crosses(at(), at(yaw=20)) and not crosses(at(), at(x=1))


@given(st.floats(-180, 180), st.floats(-89, 89))
def test_the_heading_is_the_yaw_whatever_the_pitch(yaw: float, pitch: float):
    found = headings(rotation_as_pose(yaw, pitch)[None])[0]
    assert np.cos(found - np.radians(yaw)) == pytest.approx(1.0, abs=1e-6)


def test_a_camera_that_looks_straight_down_still_has_a_heading():
    assert headings(rotation_as_pose(40.0, -90.0)[None])[0] == pytest.approx(np.radians(40.0))


def rotation_as_pose(yaw: float, pitch: float) -> np.ndarray:
    return pose([0, 0, 0], rotation(yaw, pitch))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_empty_memory_gives_nothing(strategy: str):
    found = retrieve(MemoryState(), turned(8), RetrievalSettings(strategy))
    assert len(found) == 0 and found.reasons == () and found.candidates == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_memory_of_one_frame_gives_that_frame(strategy: str, remembered: Callable):
    found = retrieve(remembered(path(at())), path(at()), RetrievalSettings(strategy))
    assert found.indices.tolist() == [0] and found.reasons[0].rule == "most recent"


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(seed=st.integers(0, 1000), k=st.integers(1, 40), frames=st.integers(2, 80), amount=st.floats(-360, 360))
def test_every_strategy_is_deterministic_and_keeps_the_rules(strategy, seed, k, frames, amount):
    film = turned(frames, amount, "look around")
    state, ahead = _remember(film), film.reversed()[: min(8, frames)]
    settings = RetrievalSettings(strategy, k=k, seed=seed)
    found, again = retrieve(state, ahead, settings), retrieve(state, ahead, settings)
    assert found.indices.tolist() == again.indices.tolist() and found.reasons == again.reasons
    assert found.indices[0] == frames - 1 and found.reasons[0].rule == "most recent"
    assert 1 <= len(found) <= min(k, frames)
    assert len(set(found.indices.tolist())) == len(found)
    assert [reason.index for reason in found.reasons] == found.indices.tolist()
    assert all(0.0 <= reason.overlap <= 1.0 and reason.age_s > 0.0 for reason in found.reasons)


def _remember(film: Trajectory) -> MemoryState:
    from scene_memory.memory.state.state import SegmentRecord

    record = SegmentRecord("1" * 64, MemoryState().id, 0, len(film), 0, "", (6, 10), film.fps)
    return MemoryState().with_segment(record, film.poses, film.intrinsics)


@pytest.mark.parametrize("strategy", FOV)
def test_coming_back_retrieves_frames_of_the_way_out(strategy: str):
    film = turned(96)
    found = retrieve(_remember(film[:80]), film[80:88], RetrievalSettings(strategy, k=6))
    out = [reason for reason in found.reasons[1:] if reason.index < 40]
    assert out, "the frames from before leaving saw this view"
    assert all(reason.overlap > 0.0 for reason in found.reasons[1:])


def test_the_first_choice_is_a_frame_that_saw_the_whole_view():
    film = turned(96)
    for strategy in ("fov_nonadjacent", "fov_nonadjacent_far"):
        first = retrieve(_remember(film[:80]), film[80:84], RetrievalSettings(strategy, k=6)).reasons[1]
        assert first.overlap > 0.99 and abs(first.index - 14) <= 3


@pytest.mark.parametrize("strategy", ["fov_nonadjacent", "fov_nonadjacent_far"])
@pytest.mark.parametrize("k", [5, 20, 60])
def test_no_two_chosen_frames_are_adjacent(strategy: str, k: int):
    found = retrieve(_remember(turned(200, 360.0, "look around")), turned(40), RetrievalSettings(strategy, k=k))
    assert np.diff(np.sort(found.indices)).min() > 1


def test_every_run_gives_a_frame_before_any_run_gives_two():
    here, there = at(), at(yaw=180)
    film = path(*([here] * 6 + [there] * 6 + [here] * 6 + [there] * 6 + [here] * 6 + [there] * 2))
    found = retrieve(_remember(film), path(here), RetrievalSettings("fov_nonadjacent", k=4))
    runs = sorted(int(index) // 12 for index in found.indices[1:])
    assert runs == [0, 1, 2] and found.candidates == 18


def test_chosen_frames_together_cover_the_views_of_the_segment():
    film = path(*[at(yaw=yaw) for yaw in range(0, 180, 3)], at(yaw=300))
    ahead = path(*[at(yaw=yaw) for yaw in np.linspace(30, 150, 9)])
    found = retrieve(_remember(film), ahead, RetrievalSettings("fov_nonadjacent", k=4))
    yaws = np.sort(found.indices[1:] * 3)
    assert yaws[0] < 75 and yaws[-1] > 105


def test_the_far_share_reaches_back_in_time():
    film = path(*[at(x=0.001 * i) for i in range(400)])
    settings = RetrievalSettings("fov_nonadjacent_far", k=9, far_share=0.5, depth=3.0)
    plain = retrieve(_remember(film), path(at()), settings)
    far = [reason.index for reason in plain.reasons if reason.rule == "views meet on the map, far off"]
    assert len(far) == 4 and max(np.diff(np.sort(plain.indices))) < 200


def test_recent_takes_the_last_frames_and_first_takes_the_first():
    state = _remember(turned(30))
    assert retrieve(state, turned(8), RetrievalSettings("recent", k=4)).indices.tolist() == [29, 28, 27, 26]
    assert retrieve(state, turned(8), RetrievalSettings("first", k=4)).indices.tolist() == [29, 0]


def test_one_frame_asked_for_is_the_most_recent():
    for strategy in STRATEGIES:
        assert retrieve(_remember(turned(30)), turned(8), RetrievalSettings(strategy, k=1)).indices.tolist() == [29]


def test_seeds_differ():
    state = _remember(turned(200, 20.0))
    chosen = [retrieve(state, turned(8), RetrievalSettings("fov_random", seed=seed)) for seed in range(5)]
    assert len({tuple(found.indices) for found in chosen}) == 5


def test_a_film_that_never_saw_the_view_gives_only_the_most_recent_frame():
    film = path(*[at(yaw=180)] * 20)
    for strategy in FOV:
        found = retrieve(_remember(film), path(at()), RetrievalSettings(strategy))
        assert found.indices.tolist() == [19] and found.candidates == 0


def test_a_reason_reads_as_a_sentence():
    reason = retrieve(_remember(turned(17)), turned(8), RetrievalSettings("first")).reasons[1]
    assert reason.text == "Frame 0, 2.1 s ago: first frame; it saw up to 100 % of what is coming."
    assert reason.age_s == pytest.approx(17 / 8)


def test_looking_up_past_the_zenith_is_looking_away():
    assert seen(at(pitch=60), at(pitch=-60)) == 0.0


def test_the_result_is_read_only():
    found = retrieve(_remember(turned(9)), turned(8), RetrievalSettings())
    with pytest.raises(ValueError, match="read-only"):
        found.indices[0] = 3


def test_a_hundred_thousand_frames_are_searched_in_bounded_blocks():
    poses = np.eye(4)[None].repeat(100_000, axis=0)
    poses[:, 0, 3] = np.linspace(0, 1000, 100_000)
    state = _remember(Trajectory(poses, LENS, 16.0))
    found = retrieve(state, path(at(x=500)), RetrievalSettings("fov_nonadjacent"))
    assert len(found) == 20 and abs(poses[found.indices[1:], 0, 3] - 500).max() < 4


def test_k_of_zero_says_what_to_do():
    with pytest.raises(ValueError) as refused:
        RetrievalSettings(k=0)
    assert str(refused.value) == "k is 0: retrieval needs at least 1 frame. Use 20 (the paper's value)."


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "best"}, "no retrieval strategy 'best'. Use one of: first"),
        ({"seed": -1}, "seed is -1"),
        ({"far": 2.0, "depth": 3.0}, "they must rise"),
        ({"near": 5.0, "far": 4.0}, "they must rise"),
        ({"near": 5.0, "depth": 4.0}, "they must rise"),
        ({"far": float("inf")}, "they must rise"),
        ({"near": -1.0}, "they must rise"),
        ({"min_overlap": 2.0}, "min_overlap is 2.0: it is a share"),
        ({"far_share": float("nan")}, "far_share is nan"),
    ],
)
def test_wrong_settings_are_refused_with_the_cure(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RetrievalSettings(**wrong)

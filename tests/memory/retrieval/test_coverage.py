"""Cover of the coming views: what counts, what the artist's marks do, and that the fast way is the readable one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.dev.bench.retrieval_truth.oracle import cast
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.coverage import EQUAL, LEAST_GAIN, failing_together, greedy_cover
from scene_memory.memory.retrieval.distances import scene_scale
from scene_memory.memory.retrieval.points import likely_points
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.sight import sight_chances
from scene_memory.memory.retrieval.strategies import STRATEGIES
from scene_memory.memory.retrieval.surface import depth_at, slants
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState, SegmentRecord

LENS = intrinsics_from_fov(60.0, 1.6)
numbers = st.floats(-20, 20)


def path(*cameras: np.ndarray) -> Trajectory:
    return Trajectory(np.stack(cameras), LENS, 8.0)


def at(x: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    return pose([x, 0.0, z], rotation(yaw, pitch))


def remember(*films: Trajectory, depth: np.ndarray | None = None) -> MemoryState:
    state = MemoryState()
    for number, film in enumerate(films):
        record = SegmentRecord(f"{number + 1:064x}", state.id, state.frames, len(film), number, "", (6, 10), film.fps)
        own = None if depth is None else depth[state.frames : state.frames + len(film)]
        state = state.with_segment(record, film.poses, film.intrinsics, depth=own)
    return state


def walked(seed: int = 0, frames: int = 240) -> Trajectory:
    """A smooth walk that turns and comes back."""
    random = np.random.default_rng(seed)
    t = np.linspace(0, 4 * np.pi, frames)
    x, z = 3 * np.sin(t) + 0.3 * random.normal(), 2 * np.sin(2 * t) + 0.3 * random.normal()
    yaw = np.degrees(t) * 1.5 + 40 * np.sin(3 * t + random.random())
    return path(*[at(*camera) for camera in zip(x, z, yaw, strict=True)])


def choose(state: MemoryState, targets: Trajectory, k: int = 6, strategy: str = "coverage", **more: float) -> list[int]:
    return retrieve(state, targets, RetrievalSettings(strategy, k=k, **more)).indices.tolist()


def chances(target: np.ndarray, past: np.ndarray, scale: float = 5.0) -> np.ndarray:
    points = likely_points(target[None], LENS[None], ((scale, 1.0),), 0.1, 30.0)
    return sight_chances(points, past[None], LENS[None], 30.0)[0]


@given(numbers, numbers, st.floats(-180, 180), st.floats(100, 260))
def test_a_camera_facing_away_never_counts_from_the_same_place(x: float, z: float, yaw: float, away: float):
    assert chances(at(x, z, yaw), at(x, z, yaw + away)).max() == 0.0


def test_a_camera_that_looks_back_from_beyond_sees_the_other_side_of_things():
    facing = chances(at(), at(z=40, yaw=180))
    assert facing.max() < 0.01, "it looks at the same points from opposite sides"
    film = path(*[at(z=6, yaw=180)] * 20, *[at(z=-0.5)] * 3, *[at(x=3, yaw=170)] * 3)
    assert set(choose(remember(film), path(at()), k=2)[1:]) <= {20, 21, 22}


def test_the_same_camera_saw_everything():
    assert chances(at(1, 2, 30), at(1, 2, 30)).min() > 0.9


def test_a_frame_from_far_behind_counts_little_and_a_zoomed_one_more():
    near, far = chances(at(), at(z=-1)).mean(), chances(at(), at(z=-25)).mean()
    points = likely_points(at()[None], LENS[None], ((5.0, 1.0),), 0.1, 100.0)
    tele = sight_chances(points, at(z=-25)[None], intrinsics_from_fov(8.0, 1.6)[None], 100.0)
    assert near > 0.6 and far < 0.3 * near
    assert tele.max() > 3 * chances(at(), at(z=-25)).max()


def test_a_camera_beside_the_line_of_sight_may_have_something_in_its_way():
    assert chances(at(), at(z=-1)).mean() > chances(at(), at(x=1, yaw=-10)).mean()


def test_frames_that_complement_each_other_win_over_frames_alike():
    film = path(*[at(yaw=-35)] * 10, *[at(yaw=0)] * 10, *[at(yaw=35)] * 10, at(yaw=180))
    ahead = path(at(yaw=-35), at(yaw=35))
    chosen = choose(remember(film), ahead, k=3)
    assert chosen[0] == 30 and sorted(index // 10 for index in chosen[1:]) == [0, 2]


def test_the_whole_segment_is_covered_not_only_its_start():
    film = path(*[at(yaw=yaw) for yaw in range(0, 200, 2)], at(yaw=290))
    ahead = path(*[at(yaw=yaw) for yaw in np.linspace(20, 160, 81)])
    yaws = np.array([2 * index for index in choose(remember(film), ahead, k=5)[1:]])
    assert all(np.abs(yaws - wanted).min() <= 35 for wanted in range(20, 161, 10))


def test_after_a_first_look_a_second_place_is_worth_more_than_the_same_place():
    film = path(*[at(x=-0.01 * i, z=-0.4) for i in range(20)], *[at(x=1.5, z=-1, yaw=-8)] * 5, at(x=9, yaw=180))
    chosen = choose(remember(film), path(at()), k=3, depth=4.5)
    assert any(20 <= index < 25 for index in chosen[1:]) and any(index < 20 for index in chosen[1:])


def test_depth_tells_which_frames_had_a_wall_before_them():
    corners = [(-6, 4, 6, 4), (2, -5, 2, 4), (6, -5, 6, 4), (-6, -5, -6, 4), (-6, -5, 6, -5)]
    walls = np.array(corners, dtype=np.float64).reshape(-1, 2, 2)
    here, next_door = [at(x=-1.5, yaw=12)] * 6, [at(x=2.6, yaw=-42)] * 6
    film = path(*here, *next_door, at(yaw=180))
    seen, _ = cast(film.poses, film.intrinsics, walls, 32)
    depth = np.repeat(seen[:, None], 18, axis=1).astype(np.float32)
    ahead = path(at(x=0.5, z=-0.3, yaw=-14), at(x=0.5, z=0.3, yaw=-14))

    def added_next_door(state: MemoryState) -> float:
        reasons = retrieve(state, ahead, RetrievalSettings(k=4)).reasons
        return sum(reason.gain for reason in reasons if 6 <= reason.index < 12)

    blind, knowing = added_next_door(remember(film)), added_next_door(remember(film, depth=depth))
    assert blind > 0.05, "poses alone cannot know"
    assert knowing < 0.2 * blind, (knowing, blind)


def test_frames_without_depth_are_judged_by_their_poses():
    film = path(*[at(yaw=-20)] * 5, *[at(yaw=20)] * 5, at(yaw=180))
    depth = np.full((11, 6, 10), 4.0, dtype=np.float32)
    depth[5:] = np.nan
    chosen = choose(remember(film, depth=depth), path(at(yaw=-20), at(yaw=20)), k=3)
    assert sorted(index // 5 for index in chosen[1:]) == [0, 1]


def test_depth_between_samples_is_exact_on_a_flat_surface():
    lens, normal = LENS, np.array([0.3, -0.1, 0.25])
    u, v = np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(10) + 0.5) / 10)
    u_exact, v_exact = np.float32([0.31, 0.5, 0.77]), np.float32([0.4, 0.52, 0.61])

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return 1.0 / (normal[0] * (u - 0.5) / lens[0] + normal[1] * (v - 0.5) / lens[1] + normal[2])

    found = depth_at(depth(u, v)[None].astype(np.float32), np.zeros(3, dtype=np.intp), u_exact, v_exact)
    assert found == pytest.approx(depth(u_exact, v_exact), rel=1e-5)


@given(st.floats(-60, 60), st.floats(2, 9))
def test_the_slant_of_a_wall_is_found(turn: float, away: float):
    normal = -np.array([np.sin(np.radians(turn)), 0.0, np.cos(np.radians(turn))])
    slope = np.linspace(-0.25, 0.25, 24)
    ways = np.stack([slope, np.resize([0.0, 0.1, -0.1], 24), np.ones(24)], axis=1)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    distance = -away / (ways @ normal)
    assert slants(ways[None], distance[None])[0] @ normal == pytest.approx(np.ones(24), abs=0.01)


MARKS = [
    Edit("exclude", ((0, 60),)),
    Edit("supersede", ((0, 60),), by=100),
    Edit("drop", ((0, 60),)),
    Edit("strength", ((0, 60),), value=0.0),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("mark", MARKS, ids=[mark.kind for mark in MARKS])
def test_no_strategy_ever_gives_a_frame_that_may_not_be_used(strategy: str, mark: Edit):
    film = walked()
    state = remember(film).with_edit(mark)
    for k in (2, 6, 300):
        chosen = choose(state, film[20:40], k=k, strategy=strategy)
        assert chosen and not [index for index in chosen if index < 60]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_gives_the_pinned_frames_and_says_so(strategy: str):
    film = walked()
    state = remember(film).with_edit(Edit("pin", ((5, 6), (77, 79))))
    found = retrieve(state, film[150:170], RetrievalSettings(strategy, k=8))
    assert found.indices.tolist()[:4] == [239, 78, 77, 5]
    assert [reason.rule for reason in found.reasons[:4]] == ["most recent", "pinned", "pinned", "pinned"]
    assert len(set(found.indices.tolist())) == len(found)


def test_more_pins_than_places_gives_the_newest_pins():
    state = remember(walked()).with_edit(Edit("pin", ((0, 100),)))
    assert choose(state, walked()[:20], k=4) == [239, 99, 98, 97]


def test_a_pinned_frame_that_was_excluded_is_not_given():
    state = remember(walked()).with_edit(Edit("pin", ((5, 7),))).with_edit(Edit("exclude", ((5, 6),)))
    assert choose(state, walked()[:20], k=4)[:2] == [239, 6] and 5 not in choose(state, walked()[:20], k=40)


def test_what_pinned_frames_show_is_not_chosen_again():
    film = path(*[at(yaw=-25)] * 10, *[at(yaw=25)] * 10, at(yaw=180))
    ahead = path(at(yaw=-25), at(yaw=25))
    assert choose(remember(film).with_edit(Edit("pin", ((3, 4),))), ahead, k=3)[2] >= 10
    assert choose(remember(film).with_edit(Edit("pin", ((13, 14),))), ahead, k=3)[2] < 10


@pytest.mark.parametrize("strategy", ["coverage", "fov_nonadjacent", "fov_nonadjacent_far"])
def test_strength_weighs_the_choice(strategy: str):
    film = path(*[at(x=0.4, yaw=-5)] * 10, *[at(yaw=100)] * 30, *[at(x=-0.4, yaw=5)] * 10, at(yaw=180))
    for weak, strong in ((slice(0, 10), slice(40, 50)), (slice(40, 50), slice(0, 10))):
        state = remember(film).with_edit(Edit("strength", ((weak.start, weak.stop),), value=0.2))
        assert choose(state, path(at()), k=2, strategy=strategy)[1] in range(strong.start, strong.stop)


def test_the_most_recent_frame_is_the_newest_that_may_be_used():
    state = remember(walked()).with_edit(Edit("exclude", ((230, 240),)))
    assert choose(state, walked()[:20])[0] == 229
    assert choose(state.with_edit(Edit("exclude", ((0, 230),))), walked()[:20]) == []


@given(st.integers(0, 50), st.integers(1, 30))
def test_the_same_question_has_the_same_answer(seed: int, k: int):
    film = walked(seed)
    first = retrieve(remember(film), film[40:60], RetrievalSettings(k=k))
    again = retrieve(remember(film), film[40:60], RetrievalSettings(k=k))
    assert first.indices.tolist() == again.indices.tolist() and first.reasons == again.reasons


@pytest.mark.parametrize("factor", [100.0, 0.01, 256.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_unit_of_the_scene_does_not_matter(seed: int, factor: float):
    film = walked(seed)
    larger = film.scaled(factor)
    assert choose(remember(larger), larger[30:60]) == choose(remember(film), film[30:60])


@pytest.mark.parametrize("seed", range(4))
def test_where_the_scene_lies_and_how_it_is_turned_does_not_matter(seed: int):
    film = walked(seed)
    moved = film.after(pose([300.0, -40.0, 70.0], rotation(50.0, 35.0, 20.0)))
    assert choose(remember(moved), moved[30:60]) == choose(remember(film), film[30:60])


def test_the_scale_grows_with_the_scene_and_is_one_where_nothing_moves():
    film = walked()
    assert scene_scale(remember(film.scaled(7.0)), film.scaled(7.0)) == pytest.approx(
        7.0 * scene_scale(remember(film), film))
    turning = path(*[at(yaw=yaw) for yaw in range(0, 90, 3)])
    assert scene_scale(remember(turning), turning) == 1.0
    assert choose(remember(turning), turning[:10], k=4)


def test_standing_still_for_a_while_does_not_change_the_scale():
    film = path(*[at(x=0.1 * i) for i in range(60)])
    paused = path(*film.poses[:30], *[film.poses[30]] * 40, *film.poses[30:])
    assert scene_scale(remember(paused), film) == pytest.approx(scene_scale(remember(film), film), rel=0.15)


def test_a_memory_smaller_than_k_is_given_whole_if_it_saw_the_view():
    film = path(at(yaw=5), at(yaw=0), at(yaw=-5))
    assert sorted(choose(remember(film), path(at()), k=20)) == [0, 1, 2]
    assert choose(remember(path(at())), path(at()), k=20) == [0]
    assert choose(MemoryState(), path(at()), k=20) == []


def test_places_left_over_show_what_was_shown_once_more():
    film = path(*[at(yaw=yaw) for yaw in (0, 2, -2, 4, -4, 1, 180)])
    reasons = retrieve(remember(film), path(at()), RetrievalSettings(k=6)).reasons
    assert len(reasons) == 6 and {reason.rule for reason in reasons[3:]} == {"shows it once more, to fill k"}


def test_a_view_that_was_never_seen_gets_only_the_most_recent_frame():
    assert choose(remember(path(*[at(yaw=180)] * 20)), path(at())) == [19]


def test_every_frame_says_what_it_adds_and_the_first_adds_most():
    film = walked()
    reasons = retrieve(remember(film), film[30:60], RetrievalSettings(k=8)).reasons
    gains = [reason.gain for reason in reasons[1:]]
    assert np.diff(gains).max() < 1e-5 and gains[0] > 0.02 and sum(gains) <= 1.0
    assert reasons[0].gain == 0.0 and "most recent" in reasons[0].text
    assert reasons[1].text.startswith(f"Frame {reasons[1].index}, ") and "adds" in reasons[1].text


def test_framepack_takes_ages_that_double():
    film = walked(frames=100)
    assert choose(remember(film), film[:8], k=6, strategy="framepack") == [99, 98, 97, 95, 91, 83]
    many = choose(remember(film), film[:8], k=20, strategy="framepack")
    ages = 99 - np.array(many)
    assert ages[-1] == 99 and (np.diff(ages) > 0).all() and np.diff(ages)[-1] > 10


def readable_cover(chance, weight, together, given, count, strength):
    """The greedy cover of the module's docstring, written out."""
    left = np.array(chance, dtype=np.float64)
    chosen = []
    for step in range(len(given) + count):
        if step < len(given):
            best = given[step]
        else:
            open_rows = [j for j in range(len(left)) if j not in chosen and j not in given]
            gains = {j: float(left[j] @ weight) * strength[j] for j in open_rows}
            if max(gains.values(), default=0.0) <= LEAST_GAIN:
                left = np.array(chance, dtype=np.float64)
                gains = {j: float(left[j] @ weight) * strength[j] for j in open_rows}
            if max(gains.values(), default=0.0) <= LEAST_GAIN:
                break
            best = min(j for j in gains if gains[j] >= max(gains.values()) * EQUAL)
            chosen.append(best)
        for j in range(len(left)):
            near = float(together[best, j])
            v = chance[best].astype(np.float64)
            left[j] -= near * np.minimum(left[j], v) + (1 - near) * left[j] * v
    return chosen


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14), st.integers(0, 3))
def test_the_fast_cover_takes_the_frames_that_the_readable_one_takes(seed: int, frames: int, count: int, known: int):
    random = np.random.default_rng(seed)
    chance = (random.random((frames, 30)) * (random.random((frames, 30)) < 0.5)).astype(np.float32)
    weight = random.random(30).astype(np.float32)
    weight /= weight.sum()
    together = failing_together(random.normal(size=(frames, 3)).astype(np.float32), 1.0)
    strength = random.choice([0.0, 0.5, 1.0, 2.0], frames)
    given = list(range(min(known, frames)))
    rows, gains = greedy_cover(chance, weight, together, given, count, strength)
    assert rows == readable_cover(chance, weight, together, given, count, strength)
    assert len(gains) == len(rows) and min(gains, default=0.0) >= 0.0


def test_neighbours_fail_together_and_strangers_do_not():
    together = failing_together(np.float32([[0, 0, 0], [0, 0, 0], [3, 0, 4]]), 5.0)
    assert together[0, 1] == 1.0 and together[0, 2] == pytest.approx(np.exp(-1.0))


def test_a_long_film_is_answered_from_a_pool():
    film = path(*[at(x=0.05 * i, z=np.sin(0.01 * i), yaw=3 * i) for i in range(6000)])
    found = retrieve(remember(film), film[2000:2081], RetrievalSettings(k=20))
    assert len(found) == 20 and found.candidates <= 256
    assert abs(film.poses[found.indices[1:], 0, 3] - 102).max() < 30

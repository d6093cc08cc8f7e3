"""The benchmark's truth: what covers a point, and that worlds, walks and rules are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.dev.bench.retrieval import figures, quality, quality_rows, timed
from scene_memory.dev.bench.retrieval_truth.cases import cases
from scene_memory.dev.bench.retrieval_truth.floor_plans import KINDS
from scene_memory.dev.bench.retrieval_truth.memories import depth_of, memory
from scene_memory.dev.bench.retrieval_truth.oracle import (
    cast,
    coverage_matrix,
    distance_to_walls,
    greedy_cover,
    steps_cross,
    visible_surface,
)
from scene_memory.dev.bench.retrieval_truth.picture import draw
from scene_memory.dev.bench.retrieval_truth.published import RULES
from scene_memory.dev.bench.retrieval_truth.walks import long_walk, walk
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose

LENS = intrinsics_from_fov(60.0, 1.6)
ROOM = np.array([[[-4, 4], [4, 4]], [[4, 4], [4, -4]], [[4, -4], [-4, -4]], [[-4, -4], [-4, 4]]], dtype=np.float64)
PILLAR = np.array([[[-0.5, 2], [0.5, 2]]], dtype=np.float64)


def at(x: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    return pose([x, 0.0, z], rotation(yaw))[None]


def covered(past: np.ndarray, walls: np.ndarray = ROOM, lens: np.ndarray = LENS) -> np.ndarray:
    surface = visible_surface(at(), LENS[None], walls)
    return coverage_matrix(past, lens[None], surface, walls)[0]


def test_rays_meet_the_wall_where_it_is():
    depth, wall = cast(at(), LENS[None], ROOM, 9)
    assert depth == pytest.approx(np.full((1, 9), 4.0)) and (wall == 0).all()


def test_the_same_view_covers_everything_and_the_opposite_one_nothing():
    assert covered(at()).all() and not covered(at(yaw=180)).any()


def test_turning_by_half_the_view_covers_about_half():
    assert covered(at(yaw=30)).mean() == pytest.approx(0.5, abs=0.02)


def test_a_pillar_hides_what_lies_behind_it():
    walls = np.concatenate([ROOM, PILLAR])
    target_sees = visible_surface(at(), LENS[None], walls)
    assert (np.abs(target_sees.points[:, 1] - 2) < 1e-9).any(), "the target sees the pillar"
    beside = coverage_matrix(at(x=2.0, yaw=-20), LENS[None], target_sees, walls)[0]
    assert not beside.all() and beside.any()
    behind = coverage_matrix(at(z=2.5, yaw=180), LENS[None], target_sees, walls)[0]
    assert not behind.any()


def test_the_other_side_of_a_wall_is_another_surface():
    between = np.array([[[-9, 3], [9, 3]]], dtype=np.float64)
    surface = visible_surface(at(), LENS[None], between)
    assert not coverage_matrix(at(z=6, yaw=180), LENS[None], surface, between)[0].any()


def test_a_view_with_less_than_a_quarter_of_the_pixels_does_not_count():
    wall = np.array([[[-30, 4], [30, 4]]], dtype=np.float64)
    assert covered(at(z=4 - 4 * 3.9), wall).all() and not covered(at(z=4 - 4 * 4.1), wall).any()
    assert covered(at(z=4 - 4 * 4.1), wall, intrinsics_from_fov(50.0, 1.6)).all(), "a longer lens sees farther"


def test_greedy_cover_takes_what_adds_most():
    covers = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=bool)
    assert greedy_cover(covers, 4, [3]) == [3, 1, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_walks_stay_smooth_and_go_through_no_wall(kind: str):
    random = np.random.default_rng(3)
    plan = KINDS[kind](random)
    poses = walk(plan, 800, random)
    places = poses[:, [0, 2], 3]
    assert len(poses) == 800 and not steps_cross(places, plan.walls).any()
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.2
    assert distance_to_walls(places, plan.walls).min() > 0.02
    turns = np.degrees(np.arccos(np.clip((poses[1:, :3, 2] * poses[:-1, :3, 2]).sum(axis=1), -1, 1)))
    assert turns.max() < 5.0


def test_a_plan_and_its_walk_follow_from_the_seed():
    first, again = ([case.past for case in cases(range(1), 1)] for _ in range(2))
    assert len(first) == len(again) == 6 and all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_published_rules_give_k_frames_the_most_recent_first(rule: str):
    case = next(iter(cases(range(1), 1)))
    for k in (1, 5, 20):
        chosen = RULES[rule](case, k, np.random.default_rng(0))
        assert chosen[0] == len(case.past) - 1 and len(set(chosen)) == len(chosen) <= k
        assert all(0 <= index < len(case.past) for index in chosen)


def test_no_choice_is_better_than_the_best_share_there_is():
    case = next(iter(cases(range(1), 1)))
    everything = case.share(list(range(len(case.past))))
    assert case.best(5) <= case.best(20) <= everything <= 1.0


def test_depth_without_noise_is_the_truth():
    case = next(iter(cases(range(1), 1)))
    depth = depth_of(case, 0.0, 0.0, np.random.default_rng(0))
    truth, _ = cast(case.past, case.lenses, case.scene.walls, 32)
    assert np.array_equal(depth[:, 4], truth)
    noisy = np.log(depth_of(case, 0.1, 0.0, np.random.default_rng(0)) / depth)[:, 0]
    assert noisy.std() == pytest.approx(0.1, rel=0.05)


def test_a_memory_of_the_benchmark_keeps_the_walk():
    poses = long_walk(200, np.random.default_rng(0))
    state = memory(poses, LENS)
    assert state.frames == 200 and np.array_equal(state.cameras(range(200))[0], poses)


def test_coverage_beats_every_published_rule_in_a_few_worlds(tmp_path):
    chosen = list(cases(range(1), 1))
    rows = quality_rows(quality(chosen))
    found = figures(rows, [], [timed(1000, 3)])
    assert found["coverage20"] > found["best_published20"] and found["coverage5"] > found["best_published5"]
    assert found["coverage20_depth"] > 0.95 and found["ms_1e3"] > 0 and found["bytes_per_frame"] < 400
    draw(chosen[0], tmp_path / "plan.png")
    assert (tmp_path / "plan.png").stat().st_size > 10_000

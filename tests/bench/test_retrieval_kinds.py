"""Other camera kinds of the benchmark: truth in three dimensions against closed forms, and films that are as told."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.dev.bench.retrieval import figures, kind_line, kind_row
from scene_memory.dev.bench.retrieval_truth.camera_kinds import CAMERA_KINDS
from scene_memory.dev.bench.retrieval_truth.cases import camera_cases
from scene_memory.dev.bench.retrieval_truth.floor_plans import joined_rooms
from scene_memory.dev.bench.retrieval_truth.oracle import cast
from scene_memory.dev.bench.retrieval_truth.rectangles import covers, density, depth_maps, joined, level, upright
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory

LENS = intrinsics_from_fov(60.0, 1.6)
WALL = upright(np.array([[[-50.0, 4.0], [50.0, 4.0]]]), -50.0, 50.0)


def at(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    return pose([x, y, z], rotation(yaw, pitch))[None]


def covered(past: np.ndarray, scene=WALL, lens: np.ndarray = LENS) -> np.ndarray:
    return covers(scene, past, lens[None], at(), LENS[None])[0]


def test_rays_meet_a_wall_and_a_floor_where_they_are():
    depth, met = depth_maps(WALL, at(), LENS[None], 9, 5)
    assert depth == pytest.approx(np.full((1, 5, 9), 4.0)) and (met == 0).all()
    floor = level(np.array([-90.0, -90.0, 90.0, 90.0]), 0.0)
    down, _ = depth_maps(floor, at(y=-2.0, pitch=-90.0), LENS[None], 9, 5)
    assert down == pytest.approx(np.full((1, 5, 9), 2.0))
    sky, nothing = depth_maps(floor, at(y=-2.0, pitch=60.0), LENS[None], 9, 5)
    assert np.isinf(sky).all() and (nothing == -1).all()


def test_a_floor_plan_stood_up_has_the_depth_of_the_plan():
    plan = joined_rooms(np.random.default_rng(1))
    x0, z0, x1, z1 = plan.rooms[4]
    camera = at((x0 + x1) / 2, 0.0, (z0 + z1) / 2, yaw=33.0)
    flat, _ = cast(camera, LENS[None], plan.walls, 15)
    solid, _ = depth_maps(upright(plan.walls, -90.0, 90.0), camera, LENS[None], 15, 3)
    assert solid[:, 1] == pytest.approx(flat)


def test_the_same_view_covers_everything_and_others_what_they_saw():
    assert covered(at()).all() and not covered(at(yaw=180.0)).any() and not covered(at(z=8.0, yaw=180.0)).any()
    assert covered(at(pitch=15.0)).mean() == pytest.approx(0.6, abs=0.12)


def test_a_floor_between_hides_what_is_below():
    between = level(np.array([-9.0, -9.0, 9.0, 9.0]), 1.5)
    above = at(y=-3.0, pitch=-35.0)
    assert covered(above).any() and not covered(above, joined(WALL, between)).any()


def test_a_view_with_less_than_a_quarter_of_the_pixels_does_not_count():
    assert covered(at(z=4 - 4 * 3.9)).all() and not covered(at(z=4 - 4 * 4.1)).any()
    assert covered(at(z=4 - 4 * 4.1), lens=intrinsics_from_fov(50.0, 1.6)).all(), "a longer lens sees farther"


def test_density_is_what_a_difference_says_in_the_direction_of_fewest_pixels():
    edges = [np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.6, 0.8]])]
    point, camera, step = np.array([[0.3, -0.2, 5.0]]), at(0.1, 0.2, 0.0, 8.0, -5.0)[0], 1e-6

    def seen(of: np.ndarray) -> np.ndarray:
        x, y, z = camera[:3, :3].T @ (of - camera[:3, 3])
        return LENS[0] * np.array([x, y]) / z

    turns = np.linspace(0, np.pi, 2001)
    ways = [np.cos(turn) * edges[0][0] + np.sin(turn) * edges[1][0] for turn in turns]
    fewest = min(np.linalg.norm(seen(point[0] + step * way) - seen(point[0])) / step for way in ways)
    assert density(camera, LENS, point, edges)[0] == pytest.approx(fewest, rel=1e-3)


@pytest.mark.parametrize("kind", CAMERA_KINDS)
def test_films_are_cameras_that_follow_from_the_seed(kind: str):
    first, again = (CAMERA_KINDS[kind](300, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.poses, again.poses) and np.array_equal(first.lenses, again.lenses)
    assert len(Trajectory(first.poses, first.lenses, 16.0)) == 300, "Trajectory refuses what is no camera"


def test_a_slow_dolly_creeps_and_a_fast_drone_does_not():
    def metres_a_second(kind: str) -> float:
        places = CAMERA_KINDS[kind](400, np.random.default_rng(3)).poses[:, :3, 3]
        return float(16.0 * np.median(np.linalg.norm(np.diff(places, axis=0), axis=1)))

    assert metres_a_second("slow dolly") < 0.25 and metres_a_second("fast drone") > 5.0


def test_coverage_is_compared_with_the_best_of_the_others():
    row = kind_row(camera_cases(range(1), ["two floors"], 1))
    assert row["cases"] == 1 and row["coverage 20"] > 0.8 and "coverage" not in row["best other 5"]
    assert row["gap 5"] == pytest.approx(row[f"{row['best other 5']} 5"] - row["coverage 5"])
    found = figures([], [row], [])
    assert found["coverage20_kinds"] == row["coverage 20"] and found["coverage_worst_kind_gap"] >= row["gap 20"]
    assert kind_line(row).startswith("two floors")

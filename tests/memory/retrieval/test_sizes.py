"""How large the scene may be: several guesses at once, none of which the speed of the camera decides alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.distances import LIKELY, MOST, SAY, distances
from scene_memory.memory.retrieval.points import COLUMNS, MEDIAN, ROWS, STEP, likely_points
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.sight import BEHIND, CLEAR, RANGE, sight_chances
from scene_memory.memory.state.state import MemoryState, SegmentRecord

LENS = intrinsics_from_fov(60.0, 1.6)
SCALES = tuple((2.0 * math.exp(STEP * at), likely) for at, likely in LIKELY)


def remember(film: Trajectory, depth: np.ndarray | None = None) -> MemoryState:
    empty = MemoryState()
    record = SegmentRecord("1" * 64, empty.id, 0, len(film), 0, "", (6, 10), film.fps)
    return empty.with_segment(record, film.poses, film.intrinsics, depth=depth)


def to_and_fro(step: float, span: float = 6.0, frames: int = 1200) -> Trajectory:
    """A camera that goes to and fro over ``span`` units, ``step`` a frame, looking ahead of it."""
    along = np.abs((step * np.arange(frames) + span) % (2 * span) - span)
    return Trajectory(np.stack([pose([x, 0.0, 0.0], np.eye(3)) for x in along]), LENS, 8.0)


def size_of(film: Trajectory, settings: RetrievalSettings | None = None, depth: np.ndarray | None = None):
    return distances(remember(film, depth), film[:81], settings or RetrievalSettings())


def test_how_far_a_camera_gets_around_corrects_what_its_speed_says():
    slow, usual, fast = (size_of(to_and_fro(step)) for step in (0.01, 0.1, 1.0))
    assert fast.scale > 40 * slow.scale and fast.size < 10.0 * slow.size and slow.size < usual.size < fast.size
    assert slow.size > slow.scale and fast.size < fast.scale


def test_the_correction_is_bounded():
    far = to_and_fro(1.0, span=1e6)
    assert 1.0 < size_of(far).size / size_of(far).scale <= MOST**SAY + 1e-9


@given(st.floats(1e-3, 1e3))
def test_sizes_scale_with_the_scene(factor: float):
    film = to_and_fro(0.05, frames=300)
    ours, theirs = size_of(film), size_of(film.scaled(factor))
    assert theirs.size == pytest.approx(factor * ours.size) and not theirs.sure
    assert theirs.reach == pytest.approx(factor * ours.reach)


def test_what_is_known_of_depth_says_how_large_the_scene_is_whatever_the_speed():
    depth = np.full((1200, 6, 10), 4.5, dtype=np.float32)
    for step in (0.01, 1.0):
        size = size_of(to_and_fro(step), depth=depth)
        assert size.size == pytest.approx(4.5 / MEDIAN) and not size.sure
    unknown = size_of(to_and_fro(0.01), depth=np.full((1200, 6, 10), np.nan, dtype=np.float32))
    assert unknown.size == size_of(to_and_fro(0.01)).size


def test_a_depth_that_is_set_is_the_only_guess():
    size = size_of(to_and_fro(0.1), RetrievalSettings(depth=3.0))
    assert size.sure and size.scales == ((3.0 / MEDIAN, 1.0),) and (size.nearest, size.farthest) == (0.0, math.inf)
    bounded = size_of(to_and_fro(1.0), RetrievalSettings(near=0.5, far=4.0))
    assert bounded.size <= 4.0 / (2 * MEDIAN) and bounded.reach <= 4.0 == bounded.farthest


def test_guesses_lie_about_the_likeliest_and_add_up_to_one():
    size = size_of(to_and_fro(0.1))
    assert [scale / size.size for scale, _ in size.scales] == pytest.approx([math.exp(at * STEP) for at, _ in LIKELY])
    assert sum(likely for _, likely in size.scales) == pytest.approx(1.0)


def readable_chances(target: np.ndarray, past: np.ndarray, scales) -> list[tuple[float, float]]:
    """Weight and chance of each point of one view, for one past camera, from the words of ``points`` and ``sight``."""
    result = []
    fx, fy, cx, cy = LENS
    for column in range(COLUMNS):
        u, v = (column + 0.5) / COLUMNS, 0.5 + ROWS[column % len(ROWS)]
        ray = np.array([(u - cx) / fx, (v - cy) / fy, 1.0])
        ray = target[:3, :3] @ (ray / np.linalg.norm(ray))
        depths: dict[float, list[tuple[float, float]]] = {}
        for scale, likely in scales:
            for off in (-STEP, 0.0, STEP):
                depths.setdefault(round(MEDIAN * scale * math.exp(off), 9), []).append((scale, likely / 3))
        for distance, of in sorted(depths.items()):
            point = target[:3, 3] + distance * ray
            x, y, z = past[:3, :3].T @ (point - past[:3, 3])
            inside = z > 0 and 0 <= fx * x / z + cx <= 1 and 0 <= fy * y / z + cy <= 1
            away, moved = point - past[:3, 3], past[:3, 3] - target[:3, 3]
            aside, behind = float(np.linalg.norm(moved - (moved @ ray) * ray)), max(-float(moved @ ray), 0.0)
            weight = sum(likely for _, likely in of)
            clear = sum(likely * math.exp(-aside / (CLEAR * s) - behind / (BEHIND * s)) for s, likely in of) / weight
            far = float(np.linalg.norm(away))
            chance = clear * (1 + float(away @ ray) / far) / 2 / (1 + (far / distance / RANGE) ** 4)
            result.append((weight / COLUMNS, chance if inside else 0.0))
    return result


@given(st.integers(0, 10_000))
def test_the_fast_chances_are_the_readable_ones_for_every_guess_of_the_scale(seed: int):
    random = np.random.default_rng(seed)
    target = pose(random.normal(0, 2, 3), rotation(*random.uniform(-60, 60, 3)))
    past = pose(random.normal(0, 2, 3), rotation(*random.uniform(-60, 60, 3)))
    points = likely_points(target[None], LENS[None], SCALES, 0.0, np.inf)
    chances = sight_chances(points, past[None], LENS[None], np.inf)[0]
    readable = np.array(readable_chances(target, past, SCALES))
    assert points.weight == pytest.approx(readable[:, 0]) and points.weight.sum() == pytest.approx(1.0)
    assert chances == pytest.approx(readable[:, 1], rel=1e-5, abs=1e-8)


def test_what_saw_a_view_at_every_distance_wins_where_the_speed_misleads():
    """A creeping camera: frames from here show all of the view, those from ten paces aside a part of it at best."""
    here = [pose([0.0, 0.0, 0.002 * i], rotation(20.0)) for i in range(40)]
    there = [pose([0.4, 0.0, 0.002 * i], rotation(-20.0)) for i in range(40)]
    film = Trajectory(np.stack([*here, *there, pose([0, 0, 0], rotation(180.0))]), LENS, 8.0)
    ahead = Trajectory(np.stack([pose([0.2, 0.0, 0.0], np.eye(3))]), LENS, 8.0)
    chosen = retrieve(remember(film), ahead, RetrievalSettings(k=3)).indices[1:]
    assert sorted(index // 40 for index in chosen.tolist()) == [0, 1], "each shows one half"

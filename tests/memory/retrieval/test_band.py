"""The band of the camera editor: how much of the views along a path the memory has seen, by the choice's measure."""

from __future__ import annotations

import time

import numpy as np
import pytest

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval import retrieve as choice
from scene_memory.memory.retrieval.distances import Distances, distances
from scene_memory.memory.retrieval.retrieve import frames_that_saw, retrieve, seen_shares
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState, SegmentRecord

SINGLE = 1e-3
"""What single precision may lose where a camera stands in the very line of sight."""
LENS = intrinsics_from_fov(70.0, 1.6)


def remember(film: Trajectory, depth: np.ndarray | None = None) -> MemoryState:
    record = SegmentRecord(f"{1:064x}", MemoryState().id, 0, len(film), 0, "", (6, 10), film.fps)
    return MemoryState().with_segment(record, film.poses, film.intrinsics, depth=depth)


def turned(*yaws: float, pitch: float = 0.0, lens: np.ndarray = LENS) -> Trajectory:
    return Trajectory(np.stack([pose([0, 0, 0], rotation(yaw, pitch)) for yaw in yaws]), lens, 8.0)


def wandered(frames: int, seed: int) -> Trajectory:
    t, shift = np.linspace(0, 30, frames), np.random.default_rng(seed).uniform(0, 3, 4)
    places = np.stack([8 * np.sin(0.7 * t + shift[0]) + t / 3, 0 * t, 6 * np.cos(0.31 * t + shift[1])], axis=1)
    yaws, pitches = 200 * np.sin(1.3 * t + shift[2]), 15 * np.sin(2 * t + shift[3])
    cameras = zip(places, yaws, pitches, strict=True)
    return Trajectory(np.stack([pose(place, rotation(yaw, pitch)) for place, yaw, pitch in cameras]), LENS, 8.0)


def shares(state: MemoryState, path: Trajectory) -> np.ndarray:
    return seen_shares(state, path.poses, path.intrinsics, distances(state, path, RetrievalSettings()))


def test_two_halves_make_a_whole_and_away_is_nothing() -> None:
    state = remember(turned(-35.0, 35.0))
    seen = shares(state, turned(-35.0, 0.0, 35.0, 145.0))
    assert seen == pytest.approx([1.0, 1.0, 1.0, 0.0], abs=SINGLE)
    assert shares(state, turned(0.0, pitch=60.0)) == pytest.approx([0.0]), "it looks over what was seen"
    assert shares(MemoryState(), turned(0.0)).tolist() == [0.0]
    assert shares(state.with_edit(Edit("exclude", ((0, 1),))), turned(-35.0)) < 0.1, "it may not be looked at again"


@pytest.mark.parametrize("known", [False, True])
def test_a_view_of_one_frame_is_the_number_of_its_reason(known: bool) -> None:
    depth = np.full((1, 9, 16), 2.0, dtype=np.float32) if known else None
    state = remember(turned(0.0), depth)
    for yaw in range(-90, 91, 7):
        (reason,) = retrieve(state, turned(yaw), RetrievalSettings(k=1)).reasons
        size = distances(state, turned(yaw), RetrievalSettings())
        share, frames, each = frames_that_saw(state, turned(yaw).poses[0], LENS, size)
        assert [share, *shares(state, turned(yaw))] == pytest.approx([reason.overlap] * 2, abs=SINGLE)
        assert not len(frames) or each == pytest.approx([share], abs=SINGLE)


@pytest.mark.parametrize("seed", range(3))
def test_all_saw_at_least_what_the_best_saw_and_at_most_the_sum(seed: int) -> None:
    state, ahead = remember(wandered(400, seed)), wandered(24, seed + 7)
    size = distances(state, ahead, RetrievalSettings())
    for camera in ahead.poses:
        share, _, each = frames_that_saw(state, camera, LENS, size)
        assert each.max(initial=0.0) - SINGLE <= share <= min(1.0, each.sum()) + SINGLE


def test_a_wall_that_depth_knows_of_hides_from_the_band_too() -> None:
    film = turned(0.0)
    ahead = Trajectory(np.stack([pose([0.0, 0.0, 1.2], np.eye(3))]), LENS, 8.0)
    size = Distances(scale=2.0, near=0.04, depth=1.8, far=12.0, reach=5.0, size=2.0, sure=False)
    blind = seen_shares(remember(film), ahead.poses, ahead.intrinsics, size)[0]
    wall = remember(film, np.full((1, 9, 16), 1.0, dtype=np.float32))
    assert blind > 0.3 and seen_shares(wall, ahead.poses, ahead.intrinsics, size)[0] < 0.2 * blind


@pytest.mark.parametrize("seed", range(3))
def test_a_long_film_is_sampled_without_losing_what_it_saw(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    state, ahead = remember(wandered(10_000, seed)), wandered(48, seed + 3)
    found = shares(state, ahead)
    monkeypatch.setattr(choice, "TOGETHER", 1)
    monkeypatch.setattr(choice, "NEAR", 10_000)
    exact = shares(state, ahead)
    assert np.abs(found - exact).mean() < 0.01 and np.abs(found - exact).max() < 0.1
    assert exact.max() > 0.5


def test_ten_times_as_many_frames_do_not_take_ten_times_as_long() -> None:
    """Only a bounded number of frames is looked at closely."""
    films, ahead = [remember(wandered(frames, 1)) for frames in (1_000, 10_000)], wandered(48, 2)
    took: list[list[float]] = [[], []]
    for _ in range(5):
        for film, times in zip(films, took, strict=True):
            begun = time.thread_time()
            shares(film, ahead)
            times.append(time.thread_time() - begun)
    assert min(took[1]) < 4.0 * min(took[0]), took

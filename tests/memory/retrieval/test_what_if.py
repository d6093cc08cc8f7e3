"""What retrieval would choose along a path: each segment is asked of the memory as it was before it."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.strategies import STRATEGIES
from scene_memory.memory.retrieval.what_if import RetrievalScene, path_rows, seen_along, what_if
from scene_memory.memory.state.state import MemoryState, SegmentRecord

LENGTH, SEGMENTS = 8, 6


@pytest.fixture(scope="module")
def scene() -> RetrievalScene:
    path = make_preset("turn away and come back", frames=LENGTH * SEGMENTS, fps=8.0, amount=200.0, fov=70.0, aspect=1.6)
    states = [MemoryState()]
    for number in range(SEGMENTS):
        part = path[number * LENGTH : (number + 1) * LENGTH]
        states.append(remembered(states[-1], part))
    segments = tuple((number * LENGTH, states[number]) for number in range(SEGMENTS))
    return RetrievalScene(path, segments, states[-1], most=4)


def remembered(state: MemoryState, part: Trajectory) -> MemoryState:
    number = len(state.segments)
    record = SegmentRecord(f"{number + 1:064x}", state.id, state.frames, len(part), 0, "", (60, 96), part.fps)
    return state.with_segment(record, part.poses, part.intrinsics)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_segment_is_asked_of_the_memory_before_it(scene: RetrievalScene, strategy: str):
    settings = RetrievalSettings(strategy=strategy, k=6, seed=3)
    for frame in range(0, len(scene.path), 5):
        number = frame // LENGTH
        found = what_if(scene, frame, settings)
        right = retrieve(scene.segments[number][1], scene.path[scene.part(number)], settings)
        assert (found.number, found.remembered) == (number, number * LENGTH)
        assert found.reasons == right.reasons and found.candidates == right.candidates


def test_what_the_chosen_frames_show_is_part_of_what_the_memory_has_seen(scene: RetrievalScene):
    shown = [what_if(scene, len(scene.path) - 1, RetrievalSettings(k=k)) for k in (1, 2, 4, 20)]
    assert all(0.0 <= one.shown <= one.seen <= 1.0 for one in shown)
    assert shown[0].shown < shown[2].shown and shown[2].seen > 0.9
    assert shown[3].shown == shown[2].shown, "the model looks at no more than 4"
    first = what_if(scene, 3, RetrievalSettings())
    assert (first.reasons, first.seen, first.shown) == ((), 0.0, 0.0), "nothing is remembered yet"


def test_flags_are_tried_and_change_nothing(scene: RetrievalScene):
    frame, settings = len(scene.path) - 1, RetrievalSettings(k=5)
    before = what_if(scene, frame, settings)
    taken = [one.index for one in before.reasons]
    other = what_if(scene, frame, settings, {"exclude": taken[:2], "pin": [17, 10**9]})
    chosen = [one.index for one in other.reasons]
    assert not set(taken[:2]) & set(chosen) and 17 in chosen[:2]
    assert what_if(scene, frame, settings).reasons == before.reasons


def test_the_band_is_what_each_segments_memory_has_seen(scene: RetrievalScene):
    frames = range(0, len(scene.path), 3)
    band = seen_along(scene, frames, RetrievalSettings())
    for frame, share in zip(frames, band, strict=True):
        assert abs(what_if(scene, frame, RetrievalSettings()).seen - share) < 1e-3
    assert (band[:2] == 0.0).all() and band[-2:].min() > 0.9


def test_a_scene_is_told_by_its_path_and_memories(scene: RetrievalScene):
    again = RetrievalScene(scene.path, scene.segments, scene.newest, scene.most)
    assert again.id == scene.id and len(scene.id) == 64
    others = [
        RetrievalScene(scene.path[:-1], scene.segments, scene.newest, scene.most),
        RetrievalScene(scene.path, scene.segments[:-1], scene.newest, scene.most),
        RetrievalScene(scene.path, scene.segments, scene.segments[-1][1], scene.most),
        RetrievalScene(scene.path, scene.segments, scene.newest, 3),
    ]
    assert len({scene.id, *(one.id for one in others)}) == 5


def test_rows_of_a_path_have_both_ends(scene: RetrievalScene):
    rows = path_rows(scene.path, 10)
    assert rows.shape == (10, 17) and rows[[0, -1], 0].tolist() == [0, len(scene.path) - 1]
    assert np.array_equal(rows[-1, 1:13].reshape(3, 4), scene.path.poses[-1, :3])


@pytest.mark.parametrize("frame", [-1, LENGTH * SEGMENTS])
def test_a_frame_that_is_not_on_the_path_is_refused(scene: RetrievalScene, frame: int):
    with pytest.raises(ValueError, match="it has 48, from 0"):
        what_if(scene, frame, RetrievalSettings())

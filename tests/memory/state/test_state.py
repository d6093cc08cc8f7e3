"""The state of a memory: immutable, shared, cheap."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.camera import intrinsics_from_fov
from scene_memory.memory.state.state import EMPTY_ID, MemoryState, SegmentRecord
from scene_memory.memory.state.table import _Tail

LENS = intrinsics_from_fov(60.0, 1.6)


def grown(state: MemoryState, mark: int, frames: int = 2, shot: int = 0) -> MemoryState:
    """A state with one more segment, all of whose positions and whose id say ``mark``."""
    poses = np.eye(4)[None].repeat(frames, axis=0)
    poses[:, :3, 3] = mark
    info = f'{{"mark":{mark}}}'
    record = SegmentRecord(f"{mark:064x}", state.id, state.frames, frames, shot, "", (6, 10), 8.0, info)
    return state.with_segment(record, poses, LENS)


def marks(state: MemoryState) -> list[float]:
    return state.poses[:, 0, 3].tolist()


def test_an_empty_memory_has_no_frames_and_looks_from_the_origin():
    state = MemoryState()
    assert (state.frames, state.shots, state.size, state.fps, state.id) == (0, 0, None, None, EMPTY_ID)
    assert state.poses.shape == (0, 4, 4) and state.intrinsics.shape == (0, 4) and len(state.segments) == 0
    assert np.array_equal(state.last_pose, np.eye(4)) and state.end_time == 0.0


def test_a_segment_makes_a_new_state_and_leaves_the_old_one():
    one = grown(MemoryState(), 1)
    two = grown(one, 2, frames=3, shot=1)
    assert marks(one) == [1, 1] and marks(two) == [1, 1, 2, 2, 2]
    assert (two.shots, two.frames, two.size, two.fps) == (2, 5, (6, 10), 8.0)
    assert two.shot_ids.tolist() == [0, 0, 1, 1, 1] and two.segment_ids.tolist() == [0, 0, 1, 1, 1]
    assert two.shot_ids.dtype == np.int32
    np.testing.assert_allclose(two.times, np.arange(5) / 8.0)
    assert two.segments[-1].start == 2 and two.segments[-1].info == {"mark": 2} and len(one.segments) == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 300)), min_size=1, max_size=30))
def test_branches_from_one_state_never_see_each_other(steps: list[tuple[int, int]]):
    """Grows a tree of states from any earlier one and compares every state with a plain list that nobody shares."""
    states: list[tuple[MemoryState, list[float]]] = [(MemoryState(), [])]
    for mark, (origin, frames) in enumerate(steps, start=1):
        state, expected = states[origin % len(states)]
        states.append((grown(state, mark, frames), expected + [float(mark)] * frames))
    for state, expected in states:
        assert marks(state) == expected
        assert [int(record.id, 16) for record in state.segments] == sorted(set(map(int, expected)))
        assert len(state.times) == len(state.shot_ids) == state.frames


def test_both_branches_hold_the_same_past_in_the_same_memory():
    trunk = grown(MemoryState(), 1)
    left, right = grown(trunk, 2), grown(trunk, 3)
    assert marks(left) == [1, 1, 2, 2] and marks(right) == [1, 1, 3, 3] and marks(trunk) == [1, 1]
    shared = [next(state._frames.table.chunks("pose")) for state in (trunk, left, right)]
    assert np.shares_memory(shared[0], shared[1]) and not np.shares_memory(shared[1], shared[2])


def test_nothing_of_a_state_can_be_changed():
    state = grown(MemoryState(), 1)
    for array in (state.poses, state.intrinsics, state.times, state.shot_ids, state.segment_ids, state.last_pose):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(AttributeError):
        state.frames = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        state.segments[0] = state.segments[0]  # type: ignore[index]
    state.segments[0].info["mark"] = 9
    assert state.segments[0].info == {"mark": 1}


def test_states_are_equal_by_their_content_and_copies_are_free():
    assert grown(MemoryState(), 1) == grown(MemoryState(), 1) != grown(MemoryState(), 2)
    state = grown(MemoryState(), 1)
    assert copy.copy(state) is state and copy.deepcopy({"a": [state]})["a"][0] is state
    assert len({state, grown(MemoryState(), 1)}) == 1


def test_appending_2000_segments_copies_each_frame_at_most_twice(monkeypatch: pytest.MonkeyPatch):
    """Amortised linear: all rows copied are at most twice the rows appended."""
    copied = []
    real = _Tail._copy
    monkeypatch.setattr(_Tail, "_copy", lambda self, *more: copied.append((self, more[1])) or real(self, *more))
    state = MemoryState()
    for mark in range(2000):
        state = grown(state, mark + 1, frames=8)
    assert state.frames == 16_000 and sum(rows for _, rows in copied) <= 2 * state.frames


def test_segments_read_like_a_tuple():
    state = grown(grown(grown(MemoryState(), 1), 2), 3)
    assert [int(record.id, 16) for record in state.segments] == [1, 2, 3]
    assert state.segments[-1] == state.segments[2] and len(state.segments[1:]) == 2
    with pytest.raises(IndexError):
        state.segments[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parent": "f" * 64}, "Make the segment from this memory"),
        ({"start": 5}, "continues memory .* at frame 5"),
        ({"size": (8, 8)}, "frames of 8 x 8, but the memory holds 10 x 6"),
        ({"fps": 16.0}, "16 frames a second, but the memory at 8"),
        ({"shot": -1}, "shots count from 0"),
        ({"frames": 3}, "3 frames but 2 poses"),
    ],
)
def test_a_segment_that_does_not_fit_is_refused(change: dict, message: str):
    state = grown(MemoryState(), 1)
    right = SegmentRecord("2" * 64, state.id, start=2, frames=2, shot=0, prompt="", size=(6, 10), fps=8.0)
    with pytest.raises(ValueError, match=message):
        state.with_segment(replace(right, **change), np.eye(4)[None].repeat(2, axis=0), LENS)
    assert marks(state) == [1, 1]


def test_a_memory_without_a_bank_says_so_when_asked_for_pictures(remembered: Callable, move: Callable):
    with pytest.raises(ValueError, match="has no bank"):
        remembered(move("pan")).read_frames([0])


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40), st.integers(0, 2)), min_size=1, max_size=25),
    st.lists(st.integers(0, 10**6), max_size=20),
)
def test_what_is_asked_of_some_frames_is_what_the_columns_say(steps: list, places: list[int]):
    """Cameras, times and segments of any frames, against plain lists, over a tree of states."""
    states: list[tuple[MemoryState, list[tuple[int, int, int]]]] = [(MemoryState(), [])]
    for mark, (origin, frames, lens) in enumerate(steps, start=1):
        state, rows = states[origin % len(states)]
        poses = np.eye(4)[None].repeat(frames, axis=0)
        poses[:, 0, 3] = mark
        record = SegmentRecord(f"{mark:064x}", state.id, state.frames, frames, lens, "", (6, 10), 8.0)
        lenses = np.tile(LENS * [1 + lens, 1 + lens, 1, 1], (frames, 1))
        segment = len(state.segments)
        states.append((state.with_segment(record, poses, lenses), rows + [(mark, lens, segment)] * frames))
    for state, rows in states:
        indices = [place % len(rows) for place in places] if rows else []
        poses, lenses = state.cameras(indices)
        assert poses[:, 0, 3].tolist() == [rows[i][0] for i in indices] and poses.shape == (len(indices), 4, 4)
        assert (poses[:, 3] == [0, 0, 0, 1]).all()
        assert lenses[:, 0].tolist() == [LENS[0] * (1 + rows[i][1]) for i in indices]
        assert state.segment_at(indices).tolist() == [rows[i][2] for i in indices]
        assert state.poses[indices].tobytes() == poses.tobytes()
        assert state.intrinsics[indices].tobytes() == lenses.tobytes()
        assert state.times[indices].tobytes() == state.times_at(indices).tobytes()
        assert state.shot_ids.tolist() == [row[1] for row in rows]


def test_the_index_follows_the_memory_and_its_branches():
    trunk = grown(MemoryState(), 1, frames=20)
    assert trunk.index.frames == 20 and MemoryState().index.frames == 0
    left, right = grown(trunk, 2, frames=5), grown(trunk, 3, frames=7)
    assert (left.index.frames, right.index.frames, trunk.index.frames) == (25, 27, 20)
    assert left.index is left.index


def test_a_long_film_takes_at_most_200_bytes_a_frame():
    state, poses = MemoryState(), np.eye(4)[None].repeat(81, axis=0)
    info = '{"cfg":1.0,"context":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],"seed":7}'
    for mark in range(1, 401):
        poses[:, 0, 3] = np.arange(81) / 81 + mark
        record = SegmentRecord(f"{mark:064x}", state.id, state.frames, 81, mark // 9, "a lake", (480, 832), 16.0, info)
        state = state.with_segment(record, poses, LENS)
    assert state.index.frames == 32400
    # The tail has room for as much again; what is sealed has none.
    assert state.nbytes / state.frames < 200

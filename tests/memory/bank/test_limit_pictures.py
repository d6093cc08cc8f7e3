"""A bank within its size: the pictures that are missed least go, the rest stays, and the log says so in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.bank import limit as limits
from scene_memory.memory.bank import writers
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.limit import SizeLimit, most_redundant, view_points
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState
from scene_memory.memory.state.summary import bytes_text

Filmed = Callable[..., MemoryState]
FRAME = 60 * 96 * 3
"""Bytes that a frame of noise of 96 x 60 takes, nearly."""


@pytest.fixture
def long_film(bank: Bank, move, pictures) -> Callable[..., MemoryState]:
    """Segments of eight noise frames of 96 x 60 that pan to and fro over the same views."""
    def make(segments: int = 6) -> MemoryState:
        state = bank.load()
        for i in range(segments):
            state = bank.append(state, frames=pictures(8, 500 + i, 60, 96), shot=0,
                                trajectory=move("pan", 8, 60.0 if i % 2 else 80.0))
        return state
    return make


def dropped(state: MemoryState) -> list[int]:
    return np.flatnonzero(state.flags(range(state.frames)).dropped).tolist()


def keep_within(bank: Bank, state: MemoryState, most: int) -> MemoryState:
    return limits.keep_within(bank.path, state, SizeLimit(most, bank.whole_bank))


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("limit")]


def test_a_bank_within_its_limit_is_left_alone(bank: Bank, long_film, caplog):
    state = long_film()
    assert keep_within(bank, state, bank.size_bytes()) is state and lines(caplog) == []


def test_frames_are_dropped_until_the_bank_fits_and_one_line_says_so(bank: Bank, long_film, caplog):
    state, size = long_film(), bank.size_bytes()
    limit = size // 2
    less = keep_within(bank, state, limit)
    gone = dropped(less)
    assert bank.size_bytes() <= limit and 20 <= len(gone) <= 36
    assert bank.load() == less and less.edits[-1].kind == "drop" and less.frames == state.frames
    np.testing.assert_array_equal(less.poses, state.poses)
    np.testing.assert_array_equal(bank.kept(less, range(48)), ~less.flags(range(48)).dropped)
    (line,) = lines(caplog)
    assert f"passed its limit of {bytes_text(limit)}:" in line and f"pictures of {len(gone)} frames" in line
    assert "Raise the limit to keep more, or pin the frames that matter." in line


def test_what_is_kept_is_untouched(bank: Bank, long_film):
    state = long_film()
    before = state.read_frames(range(48))
    less = keep_within(bank, state, bank.size_bytes() // 2)
    kept = np.flatnonzero(~less.flags(range(48)).dropped)
    np.testing.assert_array_equal(less.read_frames(kept), before[kept])


def test_the_newest_segment_pinned_frames_and_the_first_frame_stay(bank: Bank, long_film, caplog):
    state = bank.edit(long_film(), Edit("pin", ((11, 13), (30, 31))))
    less = keep_within(bank, state, 1000)
    assert sorted(set(range(48)) - set(dropped(less))) == [0, 11, 12, 30, *range(40, 48)]
    assert "what is left is protected" in lines(caplog)[-1] and "Raise the limit, or unpin frames" in lines(caplog)[-1]
    assert keep_within(bank, less, 1000) == less


def test_frames_that_are_never_used_go_before_any_other(bank: Bank, long_film):
    state = bank.edit(long_film(), Edit("exclude", ((33, 36),)))
    state = bank.edit(state, Edit("supersede", ((20, 22),), by=30))
    less = keep_within(bank, state, bank.size_bytes() - 2 * FRAME)
    assert {20, 21, 33, 34, 35} <= set(dropped(less)) and len(dropped(less)) < 12


def test_views_that_others_repeat_go_before_views_seen_once(bank: Bank, pictures, move):
    """Eight segments look the same way; one in the middle is the only one that saw behind the camera."""
    ahead, behind = move("pan", 8, 20.0), move("pan", 8, 340.0)
    state = bank.load()
    for i in range(9):
        path = behind[6:8] if i == 4 else ahead
        state = bank.append(state, frames=pictures(len(path), i, 60, 96), trajectory=path, shot=0)
    once = set(range(state.segments[4].start, state.segments[4].start + 2))
    less = keep_within(bank, state, bank.size_bytes() // 2)
    assert len(dropped(less)) > 20 and not once & set(dropped(less))


def test_the_bank_keeps_its_own_limit_as_a_film_grows(tmp_path, pictures, move, caplog):
    bank = Bank.create(tmp_path, "film", max_bytes=20 * FRAME)
    state = bank.load()
    for i in range(8):
        state = bank.append(state, frames=pictures(8, i, 60, 96), trajectory=move("pan", 8), shot=0)
        assert bank.size_bytes() <= 20 * FRAME
    assert state.frames == 64 and Bank.open(tmp_path, "film").load() == state
    assert state.read_frames(range(56, 64)).shape == (8, 60, 96, 3) and bank.kept(state, [0]).all()
    assert 0 < len(lines(caplog)) < 8


def test_earlier_memories_go_before_any_frame_oldest_first(bank: Bank, long_film, pictures, move, caplog):
    trunk = long_film(2)
    for i in range(3):
        state = bank.append(trunk, frames=pictures(8, 90 + i, 60, 96), trajectory=move("tilt", 8), shot=1)
        time.sleep(0.01)
    first, second = sorted(bank.history(), key=lambda name: (bank.history_path / f"{name}.json").stat().st_mtime_ns)
    limit = bank.size_bytes() - FRAME
    assert keep_within(bank, state, limit) == state and len(bank.history()) == 2, "only when it is asked for"
    assert "let limit_covers be the whole bank" in lines(caplog)[-1]
    caplog.clear()
    less = keep_within(replace(bank, whole_bank=True), state, limit)
    assert less == state and dropped(less) == []
    assert bank.history() == [second] and not (bank.segments_path / f"{first}.safetensors").exists()
    assert bank.load(second).frames == 24 and bank.load() == state
    np.testing.assert_array_equal(bank.load(second).read_frames(range(16, 24)), pictures(8, 91, 60, 96))
    assert "2 earlier memories and unused segments and the pictures of 0 frames" in lines(caplog)[0]


def test_a_segment_that_nothing_names_goes_first_unless_another_program_may_be_at_it(
    bank: Bank, long_film, pictures, move, monkeypatch
):
    state = long_film(2)
    bank.append(state, frames=pictures(8, 77, 60, 96), trajectory=move("tilt", 8), shot=1)
    lost = bank.load().segments[-1].id
    state = bank.append(state, frames=pictures(8, 78, 60, 96), trajectory=move("tilt", 8), shot=1)
    for path in bank.history_path.iterdir():
        path.unlink()
    file = bank.segments_path / f"{lost}.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(writers, "others", lambda folder: {state.id})
        assert keep_within(bank, state, bank.size_bytes() - 1) == state and file.exists()
    assert keep_within(bank, state, bank.size_bytes() - 1) == state and not file.exists()


def test_a_crash_between_the_edit_and_the_pictures_is_made_good(bank: Bank, long_film, monkeypatch):
    class Crash(BaseException):
        pass

    def crash(*_):
        raise Crash

    state, limit = long_film(), bank.size_bytes() // 2
    monkeypatch.setattr(limits, "drop_pixels", crash)
    with pytest.raises(Crash):
        keep_within(bank, state, limit)
    monkeypatch.undo()
    state = bank.load()
    named = dropped(state)
    assert named and bank.kept(state, range(48)).all()
    less = keep_within(bank, state, limit)
    assert bank.size_bytes() <= limit and set(named) <= set(dropped(less)) and len(dropped(less)) <= len(named) + 5
    assert not bank.kept(less, named).any()


def test_the_choice_is_the_same_every_time_and_everywhere(tmp_path, pictures, move):
    made = []
    for name in ("one", "two"):
        bank = Bank.create(tmp_path / name, "film")
        state = bank.load()
        for i in range(5):
            state = bank.append(state, frames=pictures(8, i, 60, 96), trajectory=move("pan", 8), shot=0)
        made.append(keep_within(bank, state, bank.size_bytes() // 2))
    assert made[0] == made[1]


def test_a_bank_of_the_first_format_keeps_its_pictures_and_says_so(bank: Bank, long_film, monkeypatch, caplog):
    state = long_film()
    monkeypatch.setattr(limits, "is_version_1", lambda document: True)
    assert keep_within(bank, state, 1000) == state and "what is left is protected" in lines(caplog)[-1]


def greedy(points: np.ndarray, free: np.ndarray, weight: np.ndarray) -> list[int]:
    """What ``most_redundant`` promises, in the plainest words."""
    there, order = np.ones(len(points), dtype=bool), []
    while (free & there).any():
        best = (np.inf, -1)
        for i in np.flatnonzero(free & there):
            others = there.copy()
            others[i] = False
            near = np.linalg.norm(points[others] - points[i], axis=1).min() if others.any() else np.inf
            best = min(best, (near * weight[i], int(i))) if best[1] >= 0 else (near * weight[i], int(i))
        order.append(best[1])
        there[best[1]] = False
    return order


@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), coarse=st.booleans())
def test_the_fast_choice_is_the_plain_greedy_one(seed: int, count: int, coarse: bool):
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 3))
    points = np.round(points) if coarse else points
    free, weight = random.random(count) < 0.8, np.where(random.random(count) < 0.2, 0.5, 1.0)
    assert list(most_redundant(points, free, weight)) == greedy(points, free, weight)


def test_a_hundred_thousand_frames_are_ranked_in_seconds_even_on_a_tripod():
    for points in (np.cumsum(np.random.default_rng(0).normal(size=(100_000, 6)), axis=0), np.zeros((100_000, 6))):
        begin = time.perf_counter()
        order = most_redundant(points, np.ones(len(points), dtype=bool))
        assert len({next(order) for _ in range(10_000)}) == 10_000
        assert time.perf_counter() - begin < 20.0


@given(scale=st.sampled_from([1e-3, 1.0, 1e4]), shift=st.sampled_from([0.0, 1e3]))
def test_distances_between_views_do_not_depend_on_the_scenes_unit(scale: float, shift: float):
    from scene_memory.memory.cameras.presets import make_preset

    path = make_preset("orbit", frames=12, fps=8.0, amount=90.0, fov=60.0, aspect=1.6)
    moved = path.poses.copy()
    moved[:, :3, 3] = moved[:, :3, 3] * scale + shift * scale
    np.testing.assert_allclose(view_points(moved), view_points(path.poses), rtol=1e-6, atol=1e-8)


def test_a_memory_of_one_place_is_ranked_by_where_it_looks(move):
    points = view_points(replace_places(move("pan", 5, 90.0)).poses)
    assert np.isfinite(points).all() and not points[:, :3].any()
    assert np.linalg.norm(points[0, 3:] - points[-1, 3:]) > np.linalg.norm(points[0, 3:] - points[1, 3:]) > 0


def replace_places(path: Trajectory) -> Trajectory:
    poses = path.poses.copy()
    poses[:, :3, 3] = 0.0
    return replace(path, poses=poses)

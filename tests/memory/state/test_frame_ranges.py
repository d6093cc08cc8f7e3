"""Frames named in words: what is meant, and what is said when nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.state.frame_ranges import (
    count_of,
    frame_runs,
    indices_of,
    joined,
    runs_of,
    runs_text,
    shot_runs,
)
from scene_memory.memory.state.state import MemoryState, SegmentRecord

LENGTHS = ((1, 0), (8, 1), (8, 1), (16, 2), (4, 3))


@pytest.fixture(scope="module")
def film() -> MemoryState:
    """A start image and three shots: frames 0, 1-16, 17-32 and 33-36."""
    state = MemoryState()
    for number, (frames, shot) in enumerate(LENGTHS):
        poses = np.tile(np.eye(4), (frames, 1, 1))
        lenses = np.tile([0.7, 1.1, 0.5, 0.5], (frames, 1))
        record = SegmentRecord(f"{number + 1:064x}", state.id, state.frames, frames, shot, "", (48, 64), 8.0)
        state = state.with_segment(record, poses, lenses)
    return state


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("0", ((0, 1),)),
        ("0, 24-30, 33-", ((0, 1), (24, 31), (33, 37))),
        (" 24 - 30 ", ((24, 31),)),
        ("24–30", ((24, 31),)),
        ("3,4,5", ((3, 6),)),
        ("5-9, 0-6", ((0, 10),)),
        ("all", ((0, 37),)),
        ("Last 8", ((29, 37),)),
        ("first 3", ((0, 3),)),
        ("last 100", ((0, 37),)),
        ("shot 2", ((17, 33),)),
        ("Shots 1-2", ((1, 33),)),
        ("last shot", ((33, 37),)),
        ("shot 0; 36\n20", ((0, 1), (20, 21), (36, 37))),
    ],
)
def test_words_name_frames(film: MemoryState, text: str, runs: tuple[tuple[int, int], ...]) -> None:
    assert frame_runs(text, film) == runs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "frames is empty"),
        (" , ", "frames is empty"),
        ("37", "0 to 36"),
        ("20-40", 'up to 36, or "20-"'),
        ("30-20", 'Write "20-30"'),
        ("-8", "names no frames"),
        ("shot 9", "no such shot. It has shots 0-3"),
        ("shot two", "names no frames"),
        ("1.5", "names no frames"),
        ("9" * 30, "names no frames"),
        ("²", "names no frames"),
        ("last 0", "names no frames"),
    ],
)
def test_a_text_that_names_nothing_is_refused_in_words(film: MemoryState, text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        frame_runs(text, film)
    assert said in str(refused.value)


def test_the_field_is_named(film: MemoryState) -> None:
    with pytest.raises(ValueError, match=r'^outdated says "x"'):
        frame_runs("x", film, "outdated")


def test_an_empty_memory_has_no_frames_to_name() -> None:
    with pytest.raises(ValueError, match="memory is empty"):
        frame_runs("all", MemoryState())


def test_the_shots_of_a_film_in_order(film: MemoryState) -> None:
    assert shot_runs(film) == {0: ((0, 1),), 1: ((1, 17),), 2: ((17, 33),), 3: ((33, 37),)}


@given(st.lists(st.integers(0, 36), min_size=1))
def test_frames_become_runs_and_text_and_frames_again(film: MemoryState, frames: list[int]) -> None:
    runs = runs_of(np.array(frames))
    assert indices_of(runs).tolist() == sorted(set(frames))
    assert count_of(runs) == len(set(frames))
    assert frame_runs(runs_text(runs, most=100), film) == runs
    assert joined(runs) == runs


def test_a_long_list_of_runs_is_cut_short() -> None:
    assert runs_text([(i * 3, i * 3 + 1) for i in range(20)], most=3) == "0, 3, 6, ..."

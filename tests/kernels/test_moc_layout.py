"""Which chunks a shot has and may choose among, and chunks of another size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.kernels import MocLayout, rechunked


def test_anchors_are_neither_chunks_of_a_shot_nor_before_one() -> None:
    layout = MocLayout.sequence([4, 4, 4, 4, 4], [0, 2, 1, 0, 2], text=3)
    assert layout.newest_shot == 2
    assert [layout.chunks_of(shot) for shot in (0, 1, 2)] == [(1, 4), (3,), (2, 5)]
    assert [layout.chunks_before(shot) for shot in (0, 1, 2)] == [(), (1, 4), (1, 3, 4)]
    anchored = MocLayout((0, 3, 8, 12), (0, 0, 1), (False, True, False), (0, 4), (1,))
    assert anchored.chunks_before(1) == (0,) and anchored.chunks_of(0) == (0,)


def test_frames_are_joined_and_cut_to_about_the_size_asked_for() -> None:
    layout = MocLayout.cross(5, [100, 100, 100, 100, 100], 60)
    assert rechunked(layout, 200).key_starts == (0, 5, 205, 405, 505, 565)
    assert rechunked(layout, 50).key_starts[:5] == (0, 5, 55, 105, 155)
    assert rechunked(layout, 100) == layout == rechunked(layout)


def test_automatic_joins_frames_of_a_few_tokens() -> None:
    assert rechunked(MocLayout.cross(0, [16] * 6, 40)).key_starts == (0, 32, 64, 96, 136)


@given(
    frames=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    shots=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    text=st.integers(0, 9),
    tokens=st.integers(0, 400),
)
def test_chunks_never_cross_a_shot_and_nothing_is_lost(
    frames: list[int], shots: list[int], text: int, tokens: int
) -> None:
    layout = MocLayout.sequence(frames, shots[: len(frames)], text)
    made = rechunked(layout, tokens)
    assert (made.keys, made.queries, made.query_starts) == (layout.keys, layout.queries, layout.query_starts)

    def per_token(which: MocLayout) -> list[tuple[int, bool]]:
        return [
            (which.chunk_shot[chunk], which.chunk_anchor[chunk])
            for chunk in range(which.chunks)
            for _ in range(which.chunk_size(chunk))
        ]

    assert per_token(made) == per_token(layout)
    assert rechunked(made, tokens).keys == made.keys


def test_a_negative_chunk_size_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk size is -1"):
        rechunked(MocLayout.cross(0, [8], 8), -1)

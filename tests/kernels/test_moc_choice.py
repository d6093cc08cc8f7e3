"""Chunks of another size, and the guess whether routing pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.kernels import MocLayout, MocSettings, expectation, rechunked


def film(tokens: int, frames: int = 128, shots: int = 8) -> MocLayout:
    return MocLayout.sequence([tokens // frames] * frames, [n * shots // frames for n in range(frames)])


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
        rechunked(film(1024), -1)


def test_routing_is_expected_to_pay_for_long_films_only() -> None:
    lengths = (512, 2048, 8192, 32768)
    alone, four = (
        [expectation(rechunked(film(tokens)), MocSettings(), 4, threads=threads).speed_up for tokens in lengths]
        for threads in (1, 4)
    )
    assert alone == sorted(alone)
    assert alone[0] < 1 and alone[2] > 2 and alone[3] > 4
    # What one thread bears alone weighs more where dense attention has many.
    assert all(many < one for many, one in zip(four, alone, strict=True)) and four[3] > 2


def test_routing_never_pays_where_nothing_is_left_out() -> None:
    one_shot = MocLayout.sequence([400] * 8, [0] * 8)
    assert not expectation(one_shot, MocSettings(), 4).pays
    assert expectation(one_shot, MocSettings(), 4).ideal == 1


def test_a_device_that_was_never_measured_is_judged_carefully() -> None:
    known, unknown = (expectation(film(32768), MocSettings(), 4, device) for device in ("cpu", "mps"))
    assert unknown.speed_up < known.speed_up

"""Who looks where is what the mask says, token by token; and the guess whether routing pays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scene_memory.kernels import MocLayout, MocSettings, chunk_shares, expectation, moc_mask, rechunked, route


def film(tokens: int, frames: int = 128, shots: int = 8) -> MocLayout:
    return MocLayout.sequence([tokens // frames] * frames, [n * shots // frames for n in range(frames)])


@settings(max_examples=60, deadline=None)
@given(
    frames=st.lists(st.integers(1, 6), min_size=1, max_size=10),
    shots=st.lists(st.integers(0, 3), min_size=10, max_size=10),
    text=st.integers(0, 3),
    top_k=st.integers(1, 4),
    cuts=st.sets(st.integers(1, 60), max_size=4),
    seed=st.integers(0, 99),
)
def test_shares_are_the_means_of_the_mask(
    decided: Callable[..., bool], frames: list[int], shots: list[int], text: int, top_k: int, cuts: set[int], seed: int
) -> None:
    layout = MocLayout.sequence(frames, shots[: len(frames)], text)
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(2, 3, layout.keys, 4, generator=generator) for _ in range(2))
    assume(decided(q, k, layout))
    edges = sorted({0, layout.queries, *(cut for cut in cuts if cut < layout.queries)})
    spans = list(zip(edges, edges[1:], strict=False))
    made = chunk_shares(route(q, k, layout, MocSettings(top_k)), layout, MocSettings(top_k), spans)
    mask = moc_mask(q, k, layout, MocSettings(top_k)).float()
    expected = torch.stack(
        [torch.stack([mask[:, :, a:b, first].mean() for first in layout.key_starts[:-1]]) for a, b in spans]
    )
    torch.testing.assert_close(made, expected)


def test_a_span_outside_the_queries_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spans\[1\] is 4 to 9: the layout has queries 0 to 8"):
        chunk_shares(None, MocLayout.sequence([4, 4], [0, 0]), MocSettings(), [(0, 4), (4, 9)])


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

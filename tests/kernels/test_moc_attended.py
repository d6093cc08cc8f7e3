"""The share of a frame's queries that look into each chunk is what the mask says, token by token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_memory.kernels import MocLayout, MocSettings, chunk_shares, moc_mask, route


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
    frames: list[int], shots: list[int], text: int, top_k: int, cuts: set[int], seed: int
) -> None:
    layout = MocLayout.sequence(frames, shots[: len(frames)], text)
    generator = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(2, 3, layout.keys, 4, generator=generator) for _ in range(2))
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

"""A layout seen from its queries: for each shot, what is attended densely and what is up for routing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .layout import MocLayout
from .settings import MocSettings

Span = tuple[int, int]
"""The first of some neighbouring tokens, and the one behind the last."""


@dataclass(frozen=True)
class ShotKeys:
    """What the queries of one shot attend to.

    ``queries`` are the spans of the shot's query tokens. ``dense`` are the spans of keys that all of them attend to,
    and ``dense_chunks`` their chunks: anchors, the own shot, and all earlier chunks where there are no more of those
    than top-k, because then there is nothing to choose. ``candidates`` are the chunks among which each query and head
    chooses its top-k: more than top-k, or none.
    """

    queries: tuple[Span, ...]
    dense: tuple[Span, ...]
    dense_chunks: tuple[int, ...]
    candidates: tuple[int, ...]


@lru_cache(maxsize=64)
def shot_keys(layout: MocLayout, settings: MocSettings) -> tuple[ShotKeys, ...]:
    """The keys of each shot that has queries, earliest first."""
    return tuple(_of_shot(layout, settings, shot) for shot in sorted(set(layout.query_shot)))


def _of_shot(layout: MocLayout, settings: MocSettings, shot: int) -> ShotKeys:
    dense = {c for c in range(layout.chunks) if layout.chunk_anchor[c] or layout.chunk_shot[c] == shot}
    earlier = layout.chunks_before(shot)
    if len(earlier) <= settings.top_k:
        dense.update(earlier)
        earlier = ()
    runs = [r for r, run_shot in enumerate(layout.query_shot) if run_shot == shot]
    chunks = tuple(sorted(dense))
    return ShotKeys(_spans(layout.query_starts, runs), _spans(layout.key_starts, chunks), chunks, earlier)


def _spans(starts: Sequence[int], parts: Sequence[int]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for part in parts:
        begin, end = starts[part], starts[part + 1]
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return tuple(spans)


def tokens_in(spans: Sequence[Span]) -> int:
    """The number of tokens in some spans."""
    return sum(end - begin for begin, end in spans)


def take(x: Tensor, spans: Sequence[Span]) -> Tensor:
    """The tokens of ``spans`` from ``x`` (B, H, L, ...), in order: (B, H, n, ...), a view where one span holds all."""
    pieces = [x[:, :, begin:end] for begin, end in spans]
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces, dim=2) if pieces else x[:, :, :0]


def put(x: Tensor, spans: Sequence[Span], values: Tensor, *, add: bool = False) -> None:
    """Write or add ``values`` (B, H, n, ...) to the tokens of ``spans`` in ``x`` (B, H, L, ...), in order."""
    pieces = torch.split(values, [end - begin for begin, end in spans], dim=2)
    for (begin, end), piece in zip(spans, pieces, strict=True):
        if add:
            x[:, :, begin:end] += piece
        else:
            x[:, :, begin:end] = piece

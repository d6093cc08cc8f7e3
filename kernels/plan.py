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


@dataclass(frozen=True)
class ShotPlan:
    """What the queries of one shot attend to.

    queries: spans of query tokens of this shot.
    dense: spans of keys that all of them attend to: anchors, the own shot, and all earlier chunks where there are
        no more of those than top-k, because then there is nothing to choose.
    candidates: chunks among which each query and head chooses its top-k; more than top-k, or none.
    """

    shot: int
    queries: tuple[Span, ...]
    dense: tuple[Span, ...]
    candidates: tuple[int, ...]


@lru_cache(maxsize=64)
def plan_shots(layout: MocLayout, settings: MocSettings) -> tuple[ShotPlan, ...]:
    """One plan for each shot that has queries, earliest first."""
    return tuple(_plan_shot(layout, settings, shot) for shot in sorted(set(layout.query_shot)))


def _plan_shot(layout: MocLayout, settings: MocSettings, shot: int) -> ShotPlan:
    dense = {c for c in range(layout.chunks) if layout.chunk_anchor[c] or layout.chunk_shot[c] == shot}
    earlier = [c for c in range(layout.chunks) if c not in dense and layout.chunk_shot[c] < shot]
    if len(earlier) <= settings.top_k:
        dense.update(earlier)
        earlier = []
    runs = [r for r, run_shot in enumerate(layout.query_shot) if run_shot == shot]
    return ShotPlan(
        shot=shot,
        queries=_spans(layout.query_starts, runs),
        dense=_spans(layout.key_starts, sorted(dense)),
        candidates=tuple(earlier),
    )


def _spans(starts: Sequence[int], parts: Sequence[int]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for part in parts:
        begin, end = starts[part], starts[part + 1]
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return tuple(spans)


def take(x: Tensor, spans: Sequence[Span]) -> Tensor:
    """The tokens of `spans` from (B, H, L, ...), in order; a view where one span holds them all."""
    pieces = [x[:, :, begin:end] for begin, end in spans]
    if len(pieces) == 1:
        return pieces[0]
    return torch.cat(pieces, dim=2) if pieces else x[:, :, :0]


def put(x: Tensor, spans: Sequence[Span], values: Tensor, *, add: bool = False) -> None:
    """Write or add `values` (B, H, n, ...) to the tokens of `spans` in x (B, H, L, ...), in order."""
    pieces = torch.split(values, [end - begin for begin, end in spans], dim=2)
    for (begin, end), piece in zip(spans, pieces, strict=True):
        if add:
            x[:, :, begin:end] += piece
        else:
            x[:, :, begin:end] = piece

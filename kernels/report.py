"""How much of dense attention is left after routing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import Span, plan_shots
from .routing import route
from .settings import MocSettings


@dataclass(frozen=True)
class PairsKept:
    """Query-key pairs of one head of one batch row.

    total: pairs of dense attention. kept: pairs that routing leaves.
    least, most: bounds of kept. They differ only where candidate chunks differ in size, because then it depends
    on what is chosen.
    """

    total: int
    kept: float
    least: int
    most: int

    @property
    def share(self) -> float:
        """Kept pairs over all pairs, 0..1."""
        return self.kept / self.total

    @property
    def ideal_speed_up(self) -> float:
        """Dense pairs over kept pairs: the speed-up if routing were free and every pair cost the same."""
        return self.total / self.kept


def pairs_kept(layout: MocLayout, settings: MocSettings) -> PairsKept:
    """Pairs known before any attention runs; where candidates differ in size, `kept` takes their mean size."""
    kept, least, most = 0.0, 0, 0
    for plan in plan_shots(layout, settings):
        queries = _length(plan.queries)
        dense = _length(plan.dense)
        sizes = sorted(layout.chunk_size(chunk) for chunk in plan.candidates)
        routed = settings.top_k * sum(sizes) / len(sizes) if sizes else 0
        kept += queries * (dense + routed)
        least += queries * (dense + sum(sizes[: settings.top_k]))
        most += queries * (dense + sum(sizes[-settings.top_k :]))
    return PairsKept(layout.queries * layout.keys, kept, least, most)


def pairs_measured(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> PairsKept:
    """Pairs that the router keeps for this very input, the mean over batch and heads."""
    kept = float(sum(_length(plan.queries) * _length(plan.dense) for plan in plan_shots(layout, settings)))
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)], device=q.device)
    chosen = route(q, k, layout, settings, generator)
    if chosen is not None:
        kept += sizes[chosen.long()].masked_fill_(chosen < 0, 0).sum().item() / (q.shape[0] * q.shape[1])
    bounds = pairs_kept(layout, settings)
    return PairsKept(bounds.total, kept, bounds.least, bounds.most)


def _length(spans: tuple[Span, ...]) -> int:
    return sum(end - begin for begin, end in spans)

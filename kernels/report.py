"""What routing leaves of dense attention, where it looks, and from which length on it is expected to be faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import Span, shot_keys, tokens_in
from .routing import NOTHING, route
from .settings import MocSettings

MARGIN = 1.15
"""Routing must be expected to win by this factor, because a wrong guess should not cost the artist time."""


@dataclass(frozen=True)
class PairsKept:
    """Query-key pairs of one head of one batch row.

    ``total`` is the pairs of dense attention, ``kept`` those that routing leaves. ``least`` and ``most`` are bounds of
    ``kept``: they differ only where candidate chunks differ in size, because then it depends on what is chosen.
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
    """Pairs known before any attention runs; where candidates differ in size, ``kept`` takes their mean size."""
    kept, least, most = 0.0, 0, 0
    for shot in shot_keys(layout, settings):
        queries, dense = tokens_in(shot.queries), tokens_in(shot.dense)
        sizes = sorted(layout.chunk_size(chunk) for chunk in shot.candidates)
        routed = settings.top_k * sum(sizes) / len(sizes) if sizes else 0
        kept += queries * (dense + routed)
        least += queries * (dense + sum(sizes[: settings.top_k]))
        most += queries * (dense + sum(sizes[-settings.top_k :]))
    return PairsKept(layout.queries * layout.keys, kept, least, most)


def pairs_measured(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> PairsKept:
    """Pairs that the router keeps for this very input, the mean over batch and heads.

    ``q`` is (B, H, Lq, D) and ``k`` (B, H, Lk, D). Raises ``ValueError`` as ``route`` does.
    """
    kept = float(sum(tokens_in(shot.queries) * tokens_in(shot.dense) for shot in shot_keys(layout, settings)))
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)], device=q.device)
    chosen = route(q, k, layout, settings, generator)
    if chosen is not None:
        kept += sizes[chosen.long()].masked_fill_(chosen < 0, 0).sum().item() / (q.shape[0] * q.shape[1])
    bounds = pairs_kept(layout, settings)
    return PairsKept(bounds.total, kept, bounds.least, bounds.most)


def chunk_shares(
    chosen: Tensor | None, layout: MocLayout, settings: MocSettings, spans: Sequence[Span]
) -> Tensor:
    """For spans of query tokens (a frame, say), how much of each looks into which chunk, over batch rows and heads.

    ``chosen`` (B, H, Lq, width) is what ``route`` gave for this layout and these settings.

    Returns (spans, C) float32 on the CPU, 0..1: 1 for chunks that all attend to anyway, 0 for those of later shots.
    Raises ``ValueError`` for a span outside the queries.
    """
    shares = torch.zeros(len(spans), layout.chunks)
    for row, (begin, end) in enumerate(spans):
        if not 0 <= begin < end <= layout.queries:
            raise ValueError(f"spans[{row}] is {begin} to {end}: the layout has queries 0 to {layout.queries}.")
        if chosen is not None:
            picked = chosen[:, :, begin:end].flatten().long() - NOTHING
            counts = torch.bincount(picked, minlength=layout.chunks + 1)[1:]
            shares[row] = counts.cpu() / (chosen.shape[0] * chosen.shape[1] * (end - begin))
    for shot in shot_keys(layout, settings):
        for row, (begin, end) in enumerate(spans):
            inside = sum(max(0, min(end, b) - max(begin, a)) for a, b in shot.queries)
            shares[row, list(shot.dense_chunks)] += inside / (end - begin)
    return shares


@dataclass(frozen=True)
class Cost:
    """What routing costs beside its pairs, in the time that dense attention needs for so many query-key pairs.

    ``row`` is for each chunk that a query of a head chose; ``head`` for each head, whose queries are sorted and
    attended in some tens of calls.
    """

    row: float
    head: float


COSTS: dict[tuple[str, str], Cost] = {
    # Measured with one and two threads of a Xeon (AVX-512), 4 heads of 64 in float32, 1k to 8k tokens, nothing beside.
    ("cpu", "portable"): Cost(row=230, head=1_400_000),
    # Reckoned from the memory traffic of a row and the launches of a head; not measured on a card.
    ("cuda", "portable"): Cost(row=4_000, head=2e9),
    ("cuda", "triton"): Cost(row=800, head=1e8),
}
OTHER = Cost(row=4_000, head=2e9)

ALONE = 0.45
"""Share of the rows' cost on a CPU that one thread bears alone, while dense attention is shared by all; measured with
two. The cost of heads is mostly that of starting small calls, which no second thread takes off."""


@dataclass(frozen=True)
class Expectation:
    """``ideal``: dense pairs over kept pairs. ``speed_up``: dense time over routed time, routing included, expected."""

    ideal: float
    speed_up: float

    @property
    def pays(self) -> bool:
        """Whether routing is expected to win by ``MARGIN``."""
        return self.speed_up >= MARGIN


def expectation(
    layout: MocLayout,
    settings: MocSettings,
    heads: int,
    device: str = "cpu",
    implementation: str = "portable",
    threads: int = 0,
) -> Expectation:
    """What routing is expected to gain over dense attention.

    ``heads`` are those of all batch rows together; ``threads`` those of a CPU, 0 for as many as PyTorch uses.
    """
    threads = (threads or torch.get_num_threads()) if device == "cpu" else 1
    return _expectation(layout, settings, heads, device, implementation, threads)


@lru_cache(maxsize=256)
def _expectation(
    layout: MocLayout, settings: MocSettings, heads: int, device: str, implementation: str, threads: int
) -> Expectation:
    pairs = pairs_kept(layout, settings)
    cost = COSTS.get((device, implementation), OTHER)
    choosing = sum(tokens_in(shot.queries) for shot in shot_keys(layout, settings) if shot.candidates)
    rows = cost.row * (1 + ALONE * (threads - 1)) * choosing * settings.top_k
    routed = heads * (pairs.kept + rows + (cost.head * threads if choosing else 0))
    return Expectation(pairs.ideal_speed_up, heads * pairs.total / routed)

"""The router: which chunks of context each query token and head looks into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import ShotPlan, Span, plan_shots, take
from .settings import MocSettings


def chunk_means(k: Tensor, layout: MocLayout) -> Tensor:
    """Mean key of every chunk: k (B, H, Lk, D) -> (B, H, C, D) float32 (Mixture of Contexts, section 3)."""
    edges = layout.key_starts
    means = [k[:, :, begin:end].mean(dim=2, dtype=torch.float32) for begin, end in pairwise(edges)]
    return torch.stack(means, dim=2)


@dataclass(frozen=True)
class Route:
    """The choice of all queries of one shot: chunks (B, H, n, top_k) int64, n counted along `plan.queries`."""

    plan: ShotPlan
    chunks: Tensor


def route(q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings) -> list[Route]:
    """The top-k chunks of every query token and head, for each shot that has something to choose.

    Scores are q . mean(keys of a chunk) in float32; only chunks of earlier shots are candidates. No gradient flows
    through the choice.

    q: (B, H, Lq, D). k: (B, H, Lk, D).
    """
    plans = [plan for plan in plan_shots(layout, settings) if plan.candidates]
    if not plans:
        return []
    means = chunk_means(k.detach(), layout)
    routes = []
    for plan in plans:
        candidates = torch.tensor(plan.candidates, device=q.device)
        scores = take(q.detach(), plan.queries).float() @ means.index_select(2, candidates).transpose(-1, -2)
        routes.append(Route(plan, candidates[scores.topk(settings.top_k, dim=-1).indices]))
    return routes


def queries_by_chunk(routes: list[Route], layout: MocLayout, batch: int, head: int) -> Iterator[tuple[Span, Tensor]]:
    """The queries of one head sorted by the chunk they chose, over all shots.

    Yields (span of keys, rows) with rows (m,) int64 ascending, for every chunk that some query chose.
    """
    if not routes:
        return
    chosen = torch.zeros(layout.chunks, layout.queries, dtype=torch.bool, device=routes[0].chunks.device)
    for part in routes:
        chunks = part.chunks[batch, head].t()
        begin = 0
        for first, last in part.plan.queries:
            end = begin + last - first
            chosen[:, first:last].scatter_(0, chunks[:, begin:end], True)
            begin = end
    counts = chosen.sum(dim=1).tolist()
    rows = chosen.flatten().nonzero().squeeze(1).remainder_(layout.queries)
    for chunk, members in enumerate(torch.split(rows, counts)):
        if counts[chunk]:
            yield (layout.key_starts[chunk], layout.key_starts[chunk + 1]), members

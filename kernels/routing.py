"""The router: which chunks of context each query token and head looks into."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import ShotPlan, plan_shots, take
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

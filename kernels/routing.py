"""The router: which chunks of context each query token and head looks into."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from .layout import MocLayout
from .plan import ShotPlan
from .settings import MocSettings


def chunk_means(k: Tensor, layout: MocLayout) -> Tensor:
    """Mean key of every chunk: k (B, H, Lk, D) -> (B, H, C, D) float32 (Mixture of Contexts, section 3)."""
    edges = layout.key_starts
    means = [k[:, :, begin:end].mean(dim=2, dtype=torch.float32) for begin, end in pairwise(edges)]
    return torch.stack(means, dim=2)


def choose(q: Tensor, means: Tensor, plan: ShotPlan, settings: MocSettings) -> Tensor:
    """The top-k candidates of each query token and head of one shot.

    q: (B, H, n, D) queries of the shot. means: (B, H, C, D) from `chunk_means`.
    Returns (B, H, n, top_k) int64, places in `plan.candidates`, best first. No gradient flows through the choice.
    """
    candidates = means[:, :, list(plan.candidates)]
    scores = q.detach().float() @ candidates.transpose(-1, -2)
    return scores.topk(settings.top_k, dim=-1).indices


def groups(choice: Tensor, candidates: int) -> Iterator[tuple[int, int, int, Tensor]]:
    """The queries sorted by the chunk they chose.

    choice: (B, H, n, k) from `choose`, over `candidates` chunks.
    Yields (batch, head, candidate, rows) with rows (m,) int64 ascending, for every chunk that somebody chose.
    """
    batch, heads, n, _ = choice.shape
    chosen = torch.zeros(batch, heads, candidates, n, dtype=torch.bool, device=choice.device)
    chosen.scatter_(2, choice.transpose(-1, -2), True)
    counts = chosen.sum(dim=-1).flatten().tolist()
    rows = chosen.flatten().nonzero().squeeze(1).remainder_(n)
    for place, members in enumerate(torch.split(rows, counts)):
        if members.shape[0]:
            row, candidate = divmod(place, candidates)
            yield row // heads, row % heads, candidate, members

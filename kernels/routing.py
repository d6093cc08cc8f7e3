"""The router: which chunks of context each query token and head looks into."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .drop import Drops, draw_drops, dropped_in, dropped_off
from .layout import MocLayout
from .outer_loop import within_reach
from .plan import ShotPlan, plan_shots, put, take
from .settings import MocSettings

SCORES_AT_ONCE = 1 << 17
"""Router scores held at a time, in entries."""

NOTHING = -1
"""A choice that was not made: there was less to choose from than top-k, or the chunk was dropped."""


def chunk_means(k: Tensor, layout: MocLayout) -> Tensor:
    """Mean key of every chunk: k (B, H, Lk, D) -> (B, H, C, D) float32 (Mixture of Contexts, section 3)."""
    edges = layout.key_starts
    if layout.keys == edges[1] * layout.chunks and all(end - begin == edges[1] for begin, end in pairwise(edges)):
        return k.reshape(*k.shape[:2], layout.chunks, edges[1], k.shape[3]).mean(dim=3, dtype=torch.float32)
    means = [k[:, :, begin:end].mean(dim=2, dtype=torch.float32) for begin, end in pairwise(edges)]
    return torch.stack(means, dim=2)


def route(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> Tensor | None:
    """The chunks that every query token and head chose; None where no shot has anything to choose.

    Scores are q . mean(keys of a chunk) in float32; only chunks of earlier shots are candidates. No gradient flows
    through the choice. No query chooses a chunk twice, or one that it attends to anyway.

    q: (B, H, Lq, D). k: (B, H, Lk, D). generator: needed where the settings drop or add chunks at random.
    Returns (B, H, Lq, width) int16 (int32 beyond 32767 chunks), NOTHING where a query chose fewer than width.
    """
    plans = [plan for plan in plan_shots(layout, settings) if plan.candidates]
    drops = draw_drops(settings, generator)
    if not plans:
        return None
    q, k = q.detach(), k.detach()
    means = chunk_means(k, layout)
    dtype = torch.int16 if layout.chunks <= torch.iinfo(torch.int16).max else torch.int32
    width = settings.top_k + (drops.added if drops else 0)
    chosen = torch.full((*q.shape[:3], width), NOTHING, dtype=dtype, device=q.device)
    for plan in plans:
        put(chosen, plan.queries, _choice(take(q, plan.queries), means, layout, plan, settings, drops, dtype))
    return chosen


def _choice(
    q: Tensor, means: Tensor, layout: MocLayout, plan: ShotPlan, settings: MocSettings, drops: Drops | None,
    dtype: torch.dtype,
) -> Tensor:
    """What the queries (B, H, n, D) of one shot choose: (B, H, n, width) chunks or NOTHING, in dtype."""
    candidates = torch.tensor(plan.candidates, device=q.device)
    keys = means.index_select(2, candidates).transpose(-1, -2)
    candidates = candidates.to(dtype)
    reach = within_reach(q, means, layout, plan, settings.outer_shots) if settings.outer_shots else None
    asking = _block_means(q, settings.query_block) if settings.query_block else q
    step = max(1, SCORES_AT_ONCE // (keys.shape[-1] * q.shape[0] * q.shape[1]))
    parts = []
    for rows in torch.split(asking, step, dim=2):
        scores = rows.float() @ keys
        if reach is not None:
            scores.masked_fill_(~reach, -torch.inf)
        best = scores.topk(settings.top_k, dim=-1, sorted=False)
        places = best.indices if reach is None else best.indices.masked_fill_(best.values == -torch.inf, NOTHING)
        if drops is not None:
            places = dropped_in(dropped_off(places, drops), drops, len(plan.candidates))
        ids = candidates[places]
        parts.append(ids if reach is None and drops is None else ids.masked_fill_(places < 0, NOTHING))
    choice = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
    if settings.query_block:
        choice = choice.repeat_interleave(settings.query_block, dim=2)[:, :, : q.shape[2]]
    return choice


def _block_means(q: Tensor, block: int) -> Tensor:
    """The mean query of every `block` neighbouring tokens, the last block as long as what is left."""
    return torch.stack([rows.mean(dim=2, dtype=torch.float32) for rows in torch.split(q, block, dim=2)], dim=2)

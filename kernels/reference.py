"""MoC attention as anyone can read it: an explicit mask, then ordinary attention. Slow, exact, the truth for tests."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import MocLayout
from .partial import accumulator_dtype
from .plan import plan_shots
from .routing import route
from .settings import MocSettings


def moc_mask(q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings) -> Tensor:
    """Which key each query token of each head attends to: (B, H, Lq, Lk) bool."""
    mask = torch.zeros(*q.shape[:3], layout.keys, dtype=torch.bool, device=q.device)
    for plan in plan_shots(layout, settings):
        for begin, end in plan.queries:
            for first, last in plan.dense:
                mask[:, :, begin:end, first:last] = True
    for routed in route(q, k, layout, settings):
        queries = torch.cat([torch.arange(begin, end, device=q.device) for begin, end in routed.plan.queries])
        for chunk in routed.plan.candidates:
            chosen = (routed.chunks == chunk).any(dim=-1, keepdim=True)
            mask[:, :, queries, layout.key_starts[chunk] : layout.key_starts[chunk + 1]] |= chosen
    return mask


def moc_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> Tensor:
    """MoC attention with the whole (Lq, Lk) matrix in memory; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D).

    Half-precision input is computed in float32 and rounded once at the end.
    """
    dtype = accumulator_dtype(q.dtype)
    scores = q.to(dtype) @ k.to(dtype).transpose(-1, -2) * scale
    scores = scores.masked_fill(~moc_mask(q, k, layout, settings), -torch.inf)
    return (scores.softmax(dim=-1) @ v.to(dtype)).to(q.dtype)

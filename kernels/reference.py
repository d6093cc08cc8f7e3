"""MoC attention as anyone can read it: an explicit mask, then ordinary attention. Slow, exact, the truth for tests."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import MocLayout
from .portable.partial import accumulator_dtype
from .routing import routing_mask
from .settings import MocSettings


def moc_mask(
    q: Tensor, k: Tensor, layout: MocLayout, settings: MocSettings, generator: torch.Generator | None = None
) -> Tensor:
    """Which key each query token of each head attends to: (B, H, Lq, Lk) bool."""
    return routing_mask(q, k, layout, settings, generator)


def moc_attention_reference(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention with the whole (Lq, Lk) matrix in memory; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D).

    Half-precision input is computed in float32 and rounded once at the end. A query that attends to nothing gets zeros.
    """
    dtype = accumulator_dtype(q.dtype)
    scores = q.to(dtype) @ k.to(dtype).transpose(-1, -2) * scale
    mask = moc_mask(q, k, layout, settings, generator)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    weights = weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0)
    return (weights @ v.to(dtype)).to(q.dtype)

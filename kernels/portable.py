"""MoC attention on any device: really sparse, and never a matrix of all queries against all keys.

For each shot, its own keys and the text are attended densely. The routed part is sorted by chunk, so that all queries
that chose a chunk meet it in one small dense attention, and the results of a query are merged by their log-sum-exp.
The sum is exact: the softmax runs over every key that the token attends to.

Queries of all shots that chose a chunk share a call. What one of them gets depends on the others only through
rounding, as anywhere that rows share a matrix product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gradients import Queries, dense_gradients, routed_gradients
from .grouping import Block, Sorted, blocks, sort_block
from .layout import MocLayout
from .partial import accumulator_dtype, partial_attention
from .plan import plan_shots, put, take
from .routing import route
from .rows import Rows, as_rows, gather, weighted_sum
from .settings import MocSettings

WAITING = 16
"""Results that wait to be merged take at most one part in so many of the memory of q, k and v."""

BATCH_ROWS = 512
"""Rows of q that a batched call has at least; smaller calls cost more than their arithmetic."""


def moc_attention_portable(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention by shots and chunks; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D) in q's dtype.

    Extra memory is a fixed share of that of q, k and v: results that wait to be merged, the router's scores of a few
    queries, and the choices. First derivatives work for q, k and v.
    """
    chosen = route(q, k, layout, settings, generator)
    out: Tensor = _MocAttention.apply(q, k, v, chosen, layout, settings, scale)  # type: ignore[no-untyped-call]
    return out


class _MocAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings,
        scale: float,
    ) -> Tensor:
        out, lse = attend(q, k, v, chosen, layout, settings, scale)
        ctx.save_for_backward(q, k, v, out, lse, chosen)
        ctx.layout, ctx.settings, ctx.scale = layout, settings, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse, chosen = ctx.saved_tensors
        grads = _backward(q, k, v, out, lse, grad, chosen, ctx.layout, ctx.settings, ctx.scale)
        return (*grads, None, None, None, None)


def attend(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor]:
    """The output (B, H, Lq, D) and the log-sum-exp (B, H, Lq) of every query, for choices made by `route`.

    A query that attends to nothing at all gets zeros.
    """
    out = torch.empty_like(q)
    lse = torch.empty(q.shape[:3], dtype=accumulator_dtype(q.dtype), device=q.device)
    for plan in plan_shots(layout, settings):
        part, part_lse = _dense(take(q, plan.queries), take(k, plan.dense), take(v, plan.dense), scale)
        put(out, plan.queries, part)
        put(lse, plan.queries, part_lse)
        del part
    if chosen is not None:
        rows = as_rows(q), as_rows(k), as_rows(v)
        waiting = waiting_rows(q, k)
        for block in blocks(chosen.shape, waiting):
            found = sort_block(chosen[block.here], layout, max(BATCH_ROWS, waiting // 8))
            if found.slots:
                _merge(out[block.here], lse[block.here], *_routed(rows, block, found, scale, lse.dtype), found)
    return out, lse


def waiting_rows(q: Tensor, k: Tensor) -> int:
    """How many results of q's size may wait to be merged, in the accumulator's dtype."""
    width = accumulator_dtype(q.dtype).itemsize * q.shape[-1]
    return max(1024, (q.numel() + 2 * k.numel()) * q.element_size() // (WAITING * width))


def _dense(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention over the keys that all queries of the shot share; with no keys the neutral element of the merge."""
    if k.shape[2] == 0:
        lse = torch.full(q.shape[:3], -torch.inf, dtype=accumulator_dtype(q.dtype), device=q.device)
        return torch.zeros_like(q), lse
    return partial_attention(q, k, v, scale)


def _routed(
    rows: tuple[Rows, Rows, Rows], block: Block, found: Sorted, scale: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """What each slot of the block's batches got: (slots, D) and the log-sum-exp (slots,)."""
    size = rows[0].flat.shape[1]
    outs = torch.empty(found.slots, size, dtype=dtype, device=rows[0].flat.device)
    sums = torch.empty(found.slots, dtype=dtype, device=outs.device)
    for batch in found.batches:
        q, k, v = gather(rows, block, batch)
        part, part_lse = partial_attention(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1), scale)
        outs[batch.slots] = part.reshape(-1, size)
        sums[batch.slots] = part_lse.flatten()
    return outs, sums


def _merge(out: Tensor, lse: Tensor, parts: Tensor, part_lse: Tensor, found: Sorted) -> None:
    """Fold the routed results into out (heads, tokens, D) and lse (heads, tokens) of the block, in place.

    Each result counts by its share of the sum of exponentials: weight = exp(its lse - the lse of all).
    """
    sums = part_lse[found.places]
    if found.made is not None:
        sums.masked_fill_(~found.made, -torch.inf)
    total = torch.logaddexp(sums.logsumexp(dim=-1), lse)
    level = total.masked_fill(total == -torch.inf, 0)
    merged = weighted_sum(parts, found.places, (sums - level.unsqueeze(-1)).exp_())
    out.copy_(merged.addcmul_(out.to(merged.dtype), (lse - level).exp_().unsqueeze(-1)))
    lse.copy_(total)


def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, chosen: Tensor | None,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, from the choices of the forward pass."""
    delta = (grad.to(lse.dtype) * out.to(lse.dtype)).sum(dim=-1)
    queries = Queries(q, grad, lse, delta)
    grads = dense_gradients(queries, k, v, layout, settings, scale)
    if chosen is not None:
        waiting = waiting_rows(q, k)
        for block in blocks(chosen.shape, waiting):
            found = sort_block(chosen[block.here], layout, max(BATCH_ROWS, waiting // 8))
            if found.slots:
                routed_gradients(grads, queries, k, v, block, found, scale)
    return grads[0].to(q.dtype), grads[1].to(k.dtype), grads[2].to(v.dtype)

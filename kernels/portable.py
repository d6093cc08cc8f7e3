"""MoC attention on any device: really sparse, and never a matrix of all queries against all keys.

For each shot, its own keys and the text are attended densely. The routed part is sorted by chunk, so that all queries
that chose a chunk meet it in one small dense attention. Its exponentials are taken relative to one level for each
query, so that the results simply add up and are divided once. The level is 0 where the dense part shows that numbers
stay of moderate size, as in most models, else its log-sum-exp. The sum is exact: the softmax runs over every key that
the token attends to.

Queries of all shots that chose a chunk share a call. What one of them gets depends on the others only through
rounding, as anywhere that rows share a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gradients import Queries, dense_gradients, routed_gradients
from .grouping import Batch, sorted_by_chunk
from .layout import MocLayout
from .partial import accumulator_dtype, attention_above, partial_attention
from .plan import plan_shots, put, take
from .routing import route
from .rows import add_rows, head_rows
from .settings import MocSettings
from .side_by_side import by_heads, head_parts

BATCH_SHARE = 32
"""The queries of a batched call take at most one part in so many of the memory of q, k, v, and so do their scores."""

BATCH_ROWS = 512
"""Rows of q that a batched call has at least; smaller calls cost more than their arithmetic."""

NEAR = 40.0
"""Exponentials need no level where every query's log-sum-exp over its dense keys is at most this far from 0."""

LARGEST_SUM = 1e30
"""Where a sum of exponentials is larger, values times exponentials may have overflowed."""


def moc_attention_portable(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention by shots and chunks; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D) in q's dtype.

    Extra memory is a fixed share of that of q, k and v: the queries and scores of a batched call, the router's scores
    of a few queries, and the choices. First derivatives work for q, k and v.
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
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lse = torch.empty(q.shape[:3], dtype=accumulator_dtype(q.dtype), device=q.device)
    if chosen is None:
        _dense(out, lse, q, k, v, layout, settings, scale)
    else:
        parts = head_parts(q)
        compute = partial(attend_chosen, layout, settings, scale, batch_rows(q, k, layout, parts))
        by_heads(compute, parts, out, lse, q, k, v, chosen)
    return out, lse


def attend_chosen(
    layout: MocLayout, settings: MocSettings, scale: float, rows: int, out: Tensor, lse: Tensor, q: Tensor, k: Tensor,
    v: Tensor, chosen: Tensor,
) -> None:
    """`attend` into `out` and `lse`, for all heads or for a part of them. rows: `batch_rows` of all."""
    _dense(out, lse, q, k, v, layout, settings, scale)
    # Without dense scores there is nothing to compare the routed ones with.
    blind = any(plan.candidates and not plan.dense for plan in plan_shots(layout, settings))
    for batch_row in range(q.shape[0]):
        for head in range(q.shape[1]):
            batches = partial(sorted_by_chunk, chosen[batch_row, head], layout, rows)
            one = slice(batch_row, batch_row + 1), slice(head, head + 1)
            tensors = out[one], lse[one], q[one], k[one], v[one]
            if not blind and _add_routed(*tensors, batches(), scale):
                continue
            # Some routed scores are far above all dense ones: once more, relative to the highest of all.
            _dense(*tensors, layout, settings, scale)
            _add_routed(*tensors, batches(), scale, _highest(lse[one], q[one], k[one], batches(), scale))


def batch_rows(q: Tensor, k: Tensor, layout: MocLayout, parts: int = 1) -> int:
    """How many queries a batched call may have: few enough for the memory, and for their scores to stay in a cache.

    parts: of the heads, computed at the same time. They may take twice the memory together: short calls would make
    them wait for the interpreter.
    """
    size = max(layout.chunk_size(chunk) for chunk in range(layout.chunks))
    entries = (q.numel() + 2 * k.numel()) * q.element_size() // (BATCH_SHARE * accumulator_dtype(q.dtype).itemsize)
    return max(BATCH_ROWS, entries // max(size, q.shape[-1]) * min(2, parts) // parts)


def _dense(
    out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> None:
    """Attention over the keys that all queries of a shot share; with no keys the neutral element of the sum."""
    for plan in plan_shots(layout, settings):
        if plan.dense:
            part, part_lse = partial_attention(take(q, plan.queries), take(k, plan.dense), take(v, plan.dense), scale)
            put(out, plan.queries, part)
            put(lse, plan.queries, part_lse)
            del part
        else:
            for begin, end in plan.queries:
                out[:, :, begin:end] = 0
                lse[:, :, begin:end] = -torch.inf


def _highest(lse: Tensor, q: Tensor, k: Tensor, batches: Iterable[Batch], scale: float) -> Tensor:
    """The highest of lse and of every routed score of one head, (Lq,); 0 where there is none."""
    asking, keys = head_rows(q, 0, 0), head_rows(k, 0, 0)
    highest = lse[0, 0].clone()
    for batch in batches:
        scores = asking.select(batch.rows).to(lse.dtype) @ keys.chunks(batch).to(lse.dtype).transpose(1, 2) * scale
        most = batch.without_filling(scores.amax(dim=-1), -torch.inf)
        highest.scatter_reduce_(0, batch.rows.flatten(), most.flatten(), "amax")
    return highest.masked_fill_(highest == -torch.inf, 0)


def _add_routed(
    out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, batches: Iterable[Batch], scale: float,
    level: Tensor | None = None,
) -> bool:
    """Add the routed chunks of one head, (1, 1, Lq, D), to the dense part, in place. False where numbers overflowed.

    level: (Lq,) that exponentials are taken relative to, where not to 0 or to lse of the dense part.
    """
    asking, keys, values = head_rows(q, 0, 0), head_rows(k, 0, 0), head_rows(v, 0, 0)
    whole, sums = out[0, 0].to(lse.dtype), lse[0, 0]
    if level is None and not bool(sums.abs().amax() <= NEAR):
        level, total = sums, torch.ones_like(sums)
    else:
        total = sums.exp() if level is None else (sums - level).exp_()
        whole.mul_(total.unsqueeze(-1))
    for batch in batches:
        rows = batch.rows.flatten()
        group = asking.select(batch.rows), keys.chunks(batch), values.chunks(batch)
        part, part_sums = attention_above(*group, _above(level, batch, total), scale)
        add_rows(whole, rows, part.flatten(0, 1))
        add_rows(total, rows, part_sums.flatten())
        # Not to be held while the next batch is gathered.
        del group, part, part_sums
    whole.div_(total.masked_fill(total == 0, 1).unsqueeze(-1))
    if whole.dtype != out.dtype:
        out[0, 0] = whole
    fits = bool(total.amax() <= LARGEST_SUM)
    sums.copy_(total.log_() if level is None else total.log_().add_(level))
    return fits


def _above(level: Tensor | None, batch: Batch, like: Tensor) -> Tensor | None:
    """The level of a batch's rows (g, m), infinite where they are filling; None where it is 0 for all."""
    if level is not None:
        return batch.without_filling(level.index_select(0, batch.rows.flatten()).view(batch.rows.shape), torch.inf)
    return None if batch.full else batch.without_filling(like.new_zeros(batch.rows.shape), torch.inf)


def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, chosen: Tensor | None,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, from the choices of the forward pass."""
    delta = (grad.to(lse.dtype) * out.to(lse.dtype)).sum(dim=-1)
    queries = Queries(q, grad, lse, delta)
    grads = dense_gradients(queries, k, v, layout, settings, scale)
    if chosen is not None:
        for batch_row in range(q.shape[0]):
            for head in range(q.shape[1]):
                batches = sorted_by_chunk(chosen[batch_row, head], layout, batch_rows(q, k, layout))
                routed_gradients(grads, queries, k, v, batch_row, head, batches, scale)
    return grads[0].to(q.dtype), grads[1].to(k.dtype), grads[2].to(v.dtype)

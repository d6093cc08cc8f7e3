"""MoC attention on any device: really sparse, and never a matrix of all queries against all keys.

For each shot, its own keys and the text are attended densely. The routed part is sorted by chunk, so that all queries
that chose a chunk meet it in one small dense attention, and each result is merged into the running one by
log-sum-exp. The sum is exact: the softmax runs over every key that the token attends to.

Queries of all shots that chose a chunk share a call, about twice as fast where shots are small. What one of
them gets depends on the others only through rounding, as anywhere that rows share a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gradients import QuerySide, attention_gradients
from .grouping import Group, groups, heads_together
from .layout import MocLayout
from .partial import accumulator_dtype, partial_attention
from .plan import plan_shots, put, take
from .routing import route
from .settings import MocSettings


def moc_attention_portable(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> Tensor:
    """MoC attention by shots and chunks; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D) in q's dtype.

    Extra memory grows with the number of tokens, not with its square: the choice of chunks, the router's scores of
    one shot at a time, and some heads' output in float32. First derivatives work for q, k and v.
    """
    out: Tensor = _MocAttention.apply(q, k, v, layout, settings, scale)  # type: ignore[no-untyped-call]
    return out


class _MocAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
    ) -> Tensor:
        out, lse = _forward(q, k, v, layout, settings, scale)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.layout, ctx.settings, ctx.scale = layout, settings, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        grads = _backward(q, k, v, out, lse, grad, ctx.layout, ctx.settings, ctx.scale)
        return (*grads, None, None, None)


def _forward(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor]:
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    lse = torch.empty(q.shape[:3], dtype=accumulator_dtype(q.dtype), device=q.device)
    for plan in plan_shots(layout, settings):
        part, part_lse = _dense(take(q, plan.queries), take(k, plan.dense), take(v, plan.dense), scale)
        put(out, plan.queries, part)
        put(lse, plan.queries, part_lse)
    routes = route(q, k, layout, settings)
    if routes:
        together = heads_together(routes, layout)
        for batch, first in product(range(q.shape[0]), range(0, q.shape[1], together)):
            heads = range(first, min(first + together, q.shape[1]))
            _add_routed(out, lse, q, k, v, groups(routes, layout, batch, heads), batch, heads, scale)
    return out, lse


def _dense(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention over the keys that all queries of the shot share; with no keys the neutral element of the merge."""
    if k.shape[2] == 0:
        lse = torch.full(q.shape[:3], -torch.inf, dtype=accumulator_dtype(q.dtype), device=q.device)
        return torch.zeros_like(q), lse
    return partial_attention(q, k, v, scale)


def _add_routed(
    out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor,
    found: Iterable[Group], batch: int, heads: range, scale: float,
) -> None:
    """Fold the routed chunks of some heads into out and lse, in place.

    Parts are merged by their log-sum-exp: out <- out + (part - out) * sigmoid(part_lse - lse).
    """
    here = (batch, slice(heads.start, heads.stop))
    queries, keys, values = (x[here] for x in (q, k, v))
    flat_queries = queries.reshape(-1, q.shape[-1])
    total, size = flat_queries.shape
    # One row more than there are queries: the filling of the groups is read and written there.
    sums = lse.new_zeros(total + 1)
    outs = lse.new_zeros(total + 1, size)
    sums[:-1] = lse[here].flatten()
    outs[:-1] = out[here].reshape(-1, size)
    for group in found:
        rows = group.rows.flatten()
        asking = flat_queries.index_select(0, rows.clamp(max=total - 1) if group.rows.shape[0] > 1 else rows)
        chunk = (group.heads, slice(*group.keys))
        part, part_lse = partial_attention(
            asking.view(1, *group.rows.shape, size), keys[chunk].unsqueeze(0), values[chunk].unsqueeze(0), scale
        )
        part_sums = part_lse.flatten()
        before = sums.index_select(0, rows)
        share = torch.sigmoid(part_sums - before).unsqueeze(1)
        outs.index_copy_(0, rows, outs.index_select(0, rows).lerp_(part.reshape(-1, size).to(outs.dtype), share))
        sums.index_copy_(0, rows, torch.logaddexp(before, part_sums))
    out[here] = outs[:-1].view(queries.shape)
    lse[here] = sums[:-1].view(queries.shape[:2])


def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v. The routing is done again: it is cheap, and gives the same choice."""
    dtype = accumulator_dtype(q.dtype)
    grad_q, grad_k, grad_v = (torch.zeros(x.shape, dtype=dtype, device=x.device) for x in (q, k, v))
    delta = (grad.to(dtype) * out.to(dtype)).sum(dim=-1)
    queries = QuerySide(q, grad, lse, delta)
    for plan in plan_shots(layout, settings):
        if plan.dense:
            shot = queries.of_shot(plan.queries)
            more_q, more_k, more_v = attention_gradients(shot, take(k, plan.dense), take(v, plan.dense), scale)
            put(grad_q, plan.queries, more_q)
            put(grad_k, plan.dense, more_k, add=True)
            put(grad_v, plan.dense, more_v, add=True)
    routes = route(q, k, layout, settings)
    for here in product(range(q.shape[0]), range(q.shape[1])):
        batch, head = here
        for group in groups(routes, layout, batch, range(head, head + 1)):
            rows = group.rows[0]
            begin, end = group.keys
            asking = queries.of_group(*here, rows)
            more_q, more_k, more_v = attention_gradients(asking, k[here][begin:end], v[here][begin:end], scale)
            grad_q[here].index_add_(0, rows, more_q)
            grad_k[here][begin:end] += more_k
            grad_v[here][begin:end] += more_v
    return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype)

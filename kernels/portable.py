"""MoC attention on any device: really sparse, and never a matrix of all queries against all keys.

For each shot, its own keys and the text are attended densely. The routed part is sorted by chunk, so that all queries
that chose a chunk meet it in one small dense attention, and each result is merged into the running one by
log-sum-exp. The sum is exact: the softmax runs over every key that the token attends to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .gradients import attention_gradients
from .layout import MocLayout
from .partial import accumulator_dtype, partial_attention
from .plan import ShotPlan, Span, parts, plan_shots, take
from .routing import choose, chunk_means, groups
from .settings import MocSettings


def moc_attention_portable(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> Tensor:
    """MoC attention by shots and chunks; q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D) in q's dtype.

    Extra memory grows with the number of tokens, not with its square: the queries' outputs in float32 and the
    router's scores, one shot at a time. First derivatives work for q, k and v.
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
    plans = plan_shots(layout, settings)
    means = _means(k, layout, plans)
    for plan in plans:
        rows = take(q, plan.queries)
        shot_out, shot_lse = _dense(rows, take(k, plan.dense), take(v, plan.dense), scale)
        for batch, head, (begin, end), chosen in _routed(rows, means, plan, layout, settings):
            here = (batch, head)
            queries, keys, values = rows[here].index_select(0, chosen), k[here][begin:end], v[here][begin:end]
            part, part_lse = partial_attention(queries[None, None], keys[None, None], values[None, None], scale)
            _merge(shot_out[here], shot_lse[here], chosen, part[0, 0], part_lse[0, 0])
        for view, piece in parts(out, plan.queries, shot_out):
            view.copy_(piece)
        for view, piece in parts(lse, plan.queries, shot_lse):
            view.copy_(piece)
    return out, lse


def _means(k: Tensor, layout: MocLayout, plans: tuple[ShotPlan, ...]) -> Tensor:
    if any(plan.candidates for plan in plans):
        return chunk_means(k, layout)
    return k.new_empty(0)


def _dense(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Attention over the keys that all queries of the shot share; with no keys the neutral element of `_merge`."""
    dtype = accumulator_dtype(q.dtype)
    out = torch.zeros(q.shape, dtype=dtype, device=q.device)
    if k.shape[2] == 0:
        return out, torch.full(q.shape[:3], -torch.inf, dtype=dtype, device=q.device)
    part, lse = partial_attention(q, k, v, scale)
    return out.copy_(part), lse.contiguous()


def _routed(
    q: Tensor, means: Tensor, plan: ShotPlan, layout: MocLayout, settings: MocSettings
) -> Iterator[tuple[int, int, Span, Tensor]]:
    """(batch, head, span of keys, queries that chose it) for every chunk chosen by some query of the shot."""
    if not plan.candidates:
        return
    choice = choose(q, means, plan, settings)
    for batch, head, candidate, chosen in groups(choice, len(plan.candidates)):
        chunk = plan.candidates[candidate]
        yield batch, head, (layout.key_starts[chunk], layout.key_starts[chunk + 1]), chosen


def _merge(out: Tensor, lse: Tensor, rows: Tensor, part: Tensor, part_lse: Tensor) -> None:
    """Fold attention over more keys into `rows` of out (n, D) and lse (n,), in place.

    The weights are exp(lse) normalised: out <- out + (part - out) * sigmoid(part_lse - lse).
    """
    before = lse.index_select(0, rows)
    share = torch.sigmoid(part_lse - before)
    merged = out.index_select(0, rows).lerp_(part.to(out.dtype), share.unsqueeze(1))
    out.index_copy_(0, rows, merged)
    lse.index_copy_(0, rows, torch.logaddexp(before, part_lse))


def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v. The routing is done again: it is cheap, and gives the same choice."""
    dtype = accumulator_dtype(q.dtype)
    grad_q, grad_k, grad_v = (torch.zeros(x.shape, dtype=dtype, device=x.device) for x in (q, k, v))
    delta = (grad.to(dtype) * out.to(dtype)).sum(dim=-1)
    plans = plan_shots(layout, settings)
    means = _means(k, layout, plans)
    for plan in plans:
        rows, rows_grad, rows_lse, rows_delta = (take(x, plan.queries) for x in (q, grad, lse, delta))
        shot_q = torch.zeros(rows.shape, dtype=dtype, device=q.device)
        if plan.dense:
            dense_k, dense_v = take(k, plan.dense), take(v, plan.dense)
            more = attention_gradients(rows, dense_k, dense_v, rows_grad, rows_lse, rows_delta, scale)
            shot_q += more[0]
            for total, values in ((grad_k, more[1]), (grad_v, more[2])):
                for view, piece in parts(total, plan.dense, values):
                    view.add_(piece)
        for batch, head, (begin, end), chosen in _routed(rows, means, plan, layout, settings):
            here = (batch, head)
            queries, query_grad, query_lse, query_delta = (
                x[here].index_select(0, chosen) for x in (rows, rows_grad, rows_lse, rows_delta)
            )
            keys, values = k[here][begin:end], v[here][begin:end]
            more = attention_gradients(queries, keys, values, query_grad, query_lse, query_delta, scale)
            shot_q[here].index_add_(0, chosen, more[0])
            grad_k[here][begin:end] += more[1]
            grad_v[here][begin:end] += more[2]
        for view, piece in parts(grad_q, plan.queries, shot_q):
            view.copy_(piece)
    return grad_q.to(q.dtype), grad_k.to(k.dtype), grad_v.to(v.dtype)

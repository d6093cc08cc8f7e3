"""The backward pass: gradients of attention over parts of the keys, from the log-sum-exp of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..layout import MocLayout
from ..plan import put, shot_keys, take
from ..settings import MocSettings
from .batches import Batch, add_rows, batch_rows, head_rows, sorted_by_chunk
from .partial import ATTENTION_SCORES_AT_ONCE

Forward = Callable[[Tensor, Tensor, Tensor, "Tensor | None", MocLayout, MocSettings, float], tuple[Tensor, Tensor]]
"""From q, k, v, the choices of the router, layout, settings and scale: the output and the log-sum-exp of each query."""

Backward = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""The gradients of q, k and v, from q, k, v, output, log-sum-exp, its own gradient, and the rest of ``Forward``."""


def differentiable(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings, scale: float,
    forward: Forward, backward: Backward,
) -> Tensor:
    """What ``forward`` computes for choices that were made, differentiable once, by ``backward``.

    ``q`` is (B, H, Lq, D), ``k`` and ``v`` are (B, H, Lk, D), ``chosen`` is what ``route`` gave. Returns (B, H, Lq, D).
    """
    out: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        q, k, v, chosen, layout, settings, scale, forward, backward
    )
    return out


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings,
        scale: float, forward: Forward, backward: Backward,
    ) -> Tensor:
        out, lse = forward(q, k, v, chosen, layout, settings, scale)
        ctx.save_for_backward(q, k, v, out, lse, chosen)
        ctx.rest, ctx.run = (layout, settings, scale), backward
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse, chosen = ctx.saved_tensors
        return (*ctx.run(q, k, v, out, lse, grad, chosen, *ctx.rest), *(None,) * 6)


class Queries(NamedTuple):
    """What is known of each query after the forward pass.

    ``q`` and ``grad`` (of the output) are (..., n, D); ``lse``, over all keys, and ``delta``, the row sums of
    grad * output, are (..., n).
    """

    q: Tensor
    grad: Tensor
    lse: Tensor
    delta: Tensor


def chosen_gradients(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, chosen: Tensor | None,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, shaped and typed as these, from the choices of the forward pass.

    ``q``, ``out`` and ``grad`` are (B, H, Lq, D), ``k`` and ``v`` (B, H, Lk, D), ``lse`` (B, H, Lq), ``chosen``
    (B, H, Lq, width).
    """
    delta = (grad.to(lse.dtype) * out.to(lse.dtype)).sum(dim=-1)
    queries = Queries(q, grad, lse, delta)
    grads = _dense_gradients(queries, k, v, layout, settings, scale)
    if chosen is not None:
        rows = batch_rows(q, k, layout)
        for batch_row in range(q.shape[0]):
            for head in range(q.shape[1]):
                batches = sorted_by_chunk(chosen[batch_row, head], layout, rows)
                _add_routed_gradients(grads, queries, k, v, batch_row, head, batches, scale)
    return grads[0].to(q.dtype), grads[1].to(k.dtype), grads[2].to(v.dtype)


def _dense_gradients(
    queries: Queries, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What the keys that all queries of a shot share add to the gradients of q, k and v, over all shots."""
    dtype = queries.lse.dtype
    grads = tuple(torch.zeros(x.shape, dtype=dtype, device=x.device) for x in (queries.q, k, v))
    for shot in shot_keys(layout, settings):
        if shot.dense:
            own = Queries(*(take(x, shot.queries) for x in queries))
            more = _attention_gradients(own, take(k, shot.dense), take(v, shot.dense), scale)
            for grad, part, spans in zip(grads, more, (shot.queries, shot.dense, shot.dense), strict=True):
                put(grad, spans, part, add=True)
    return grads[0], grads[1], grads[2]


def _add_routed_gradients(
    grads: tuple[Tensor, Tensor, Tensor], queries: Queries, k: Tensor, v: Tensor, batch_row: int, head: int,
    batches: Iterable[Batch], scale: float,
) -> None:
    """Add what the routed chunks of one head give to the gradients of q, k and v, in place."""
    asking, slope, keys, values = (head_rows(x, batch_row, head) for x in (queries.q, queries.grad, k, v))
    lse, delta = queries.lse[batch_row, head], queries.delta[batch_row, head]
    to_q, to_k, to_v = (grad[batch_row, head] for grad in grads)
    for batch in batches:
        # An infinite log-sum-exp makes the filling count for nothing.
        sums = batch.without_filling(lse[batch.rows], torch.inf)
        group = Queries(asking.select(batch.rows), slope.select(batch.rows), sums, delta[batch.rows])
        parts = _attention_gradients(group, keys.chunks(batch), values.chunks(batch), scale)
        tokens = batch.keys.flatten()
        for total, rows, part in zip((to_q, to_k, to_v), (batch.rows.flatten(), tokens, tokens), parts, strict=True):
            add_rows(total, rows, part.flatten(0, 1))


def _attention_gradients(queries: Queries, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """What a part of the keys adds to the gradients of q, k and v (FlashAttention-2, algorithm 2).

    Because lse is that of the whole row, exp(q k^T scale - lse) is the final probability, so parts simply add up.

    ``k`` and ``v`` are (..., m, D).
    Returns gradients shaped as q, k and v, in the dtype of lse, never holding more than a block of scores.
    """
    q, grad, lse, delta = queries
    dtype = lse.dtype
    k, v = k.to(dtype), v.to(dtype)
    grad_q = torch.empty(q.shape, dtype=dtype, device=q.device)
    grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    step = max(1, ATTENTION_SCORES_AT_ONCE // max(1, k.numel() // k.shape[-1]))
    for begin in range(0, q.shape[-2], step):
        block = slice(begin, begin + step)
        rows, rows_grad = q[..., block, :].to(dtype), grad[..., block, :].to(dtype)
        p = (rows @ k.transpose(-1, -2) * scale).sub_(lse[..., block, None]).exp_()
        grad_v += p.transpose(-1, -2) @ rows_grad
        slope = (rows_grad @ v.transpose(-1, -2)).sub_(delta[..., block, None]).mul_(p).mul_(scale)
        grad_q[..., block, :] = slope @ k
        grad_k += slope.transpose(-1, -2) @ rows
    return grad_q, grad_k, grad_v

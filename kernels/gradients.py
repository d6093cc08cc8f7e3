"""Gradients of attention over part of the keys, from the log-sum-exp of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from .grouping import Batch
from .layout import MocLayout
from .partial import SCORES_AT_ONCE
from .plan import plan_shots, put, take
from .rows import add_rows, head_rows, key_tokens
from .settings import MocSettings


class Queries(NamedTuple):
    """What is known of each query after the forward pass.

    q, grad (of the output): (..., n, D). lse, over all keys: (..., n). delta, the row sums of grad * output: (..., n).
    """

    q: Tensor
    grad: Tensor
    lse: Tensor
    delta: Tensor


def dense_gradients(
    queries: Queries, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What the keys that all queries of a shot share add to the gradients of q, k and v, over all shots."""
    dtype = queries.lse.dtype
    grads = tuple(torch.zeros(x.shape, dtype=dtype, device=x.device) for x in (queries.q, k, v))
    for plan in plan_shots(layout, settings):
        if plan.dense:
            shot = Queries(*(take(x, plan.queries) for x in queries))
            more = attention_gradients(shot, take(k, plan.dense), take(v, plan.dense), scale)
            for grad, part, spans in zip(grads, more, (plan.queries, plan.dense, plan.dense), strict=True):
                put(grad, spans, part, add=True)
    return grads[0], grads[1], grads[2]


def routed_gradients(
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
        parts = attention_gradients(group, keys.chunks(batch), values.chunks(batch), scale)
        tokens = key_tokens(batch).flatten()
        for total, rows, part in zip((to_q, to_k, to_v), (batch.rows.flatten(), tokens, tokens), parts, strict=True):
            add_rows(total, rows, part.flatten(0, 1))


def attention_gradients(queries: Queries, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """What a part of the keys adds to the gradients of q, k and v (FlashAttention-2, algorithm 2).

    Because lse is that of the whole row, exp(q k^T scale - lse) is the final probability, so parts simply add up.

    k, v: (..., m, D).
    Returns gradients shaped as q, k and v, in the dtype of lse, never holding more than a block of scores.
    """
    q, grad, lse, delta = queries
    dtype = lse.dtype
    k, v = k.to(dtype), v.to(dtype)
    grad_q = torch.empty(q.shape, dtype=dtype, device=q.device)
    grad_k, grad_v = torch.zeros_like(k), torch.zeros_like(v)
    step = max(1, SCORES_AT_ONCE // max(1, k.numel() // k.shape[-1]))
    for begin in range(0, q.shape[-2], step):
        block = slice(begin, begin + step)
        rows, rows_grad = q[..., block, :].to(dtype), grad[..., block, :].to(dtype)
        p = (rows @ k.transpose(-1, -2) * scale).sub_(lse[..., block, None]).exp_()
        grad_v += p.transpose(-1, -2) @ rows_grad
        slope = (rows_grad @ v.transpose(-1, -2)).sub_(delta[..., block, None]).mul_(p).mul_(scale)
        grad_q[..., block, :] = slope @ k
        grad_k += slope.transpose(-1, -2) @ rows
    return grad_q, grad_k, grad_v

"""Gradients of attention over part of the keys, from the log-sum-exp of the whole."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .grouping import Block, Sorted
from .layout import MocLayout
from .partial import SCORES_AT_ONCE
from .plan import plan_shots, put, take
from .rows import as_rows, gather, key_rows, query_rows, select, weighted_sum
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
    grads: tuple[Tensor, Tensor, Tensor], queries: Queries, k: Tensor, v: Tensor, block: Block, found: Sorted,
    scale: float,
) -> None:
    """Add what the routed chunks of a block of queries give to the gradients of q, k and v, in place."""
    rows = as_rows(queries.q), as_rows(k), as_rows(v)
    slope, to_k, to_v = as_rows(queries.grad), as_rows(grads[1]), as_rows(grads[2])
    lse, delta = queries.lse[block.here].flatten(), queries.delta[block.here].flatten()
    parts = torch.empty(found.slots, k.shape[-1], dtype=lse.dtype, device=lse.device)
    for batch in found.batches:
        asking, keys, values = gather(rows, block, batch)
        # An infinite log-sum-exp makes the filling count for nothing.
        sums = lse[batch.rows].masked_fill_(batch.filling(), torch.inf)
        group = Queries(asking, select(slope, query_rows(slope, block, batch.rows)), sums, delta[batch.rows])
        more_q, more_k, more_v = attention_gradients(group, keys, values, scale)
        parts[batch.slots] = more_q.flatten(0, 1)
        # No key is in two groups of a batch, so the order of these sums is fixed.
        to_k.flat.index_add_(0, key_rows(to_k, block, batch).flatten(), more_k.flatten(0, 1))
        to_v.flat.index_add_(0, key_rows(to_v, block, batch).flatten(), more_v.flatten(0, 1))
    made = found.places.new_ones(()).expand(found.places.shape) if found.made is None else found.made
    grads[0][block.here] += weighted_sum(parts, found.places, made.to(parts.dtype))


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

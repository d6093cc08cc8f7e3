"""Gradients of attention over part of the keys, from the log-sum-exp of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .partial import SCORES_AT_ONCE
from .plan import Span, take


class QuerySide(NamedTuple):
    """What is known of each query after the forward pass.

    q, grad (of the output): (..., n, D). lse, over all keys: (..., n). delta, the row sums of grad * output: (..., n).
    """

    q: Tensor
    grad: Tensor
    lse: Tensor
    delta: Tensor

    def of_shot(self, spans: Sequence[Span]) -> QuerySide:
        return QuerySide(*(take(x, spans) for x in self))

    def of_group(self, batch: int, head: int, rows: Tensor) -> QuerySide:
        return QuerySide(*(x[batch, head].index_select(0, rows) for x in self))


def attention_gradients(queries: QuerySide, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
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

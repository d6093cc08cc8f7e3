"""MoC attention with Triton: the dense part by the device's own kernel, the routed part folded into it in place.

Each rank of choice (a query's first chunk, its second, ...) is one launch in which every query appears once, so the
results are folded in without atomics and without a copy for every choice. Works on a slice of the heads at a time,
because the running sum is kept in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..layout import MocLayout
from ..plan import put, shot_keys, take
from ..portable.gradients import differentiable
from ..portable.partial import partial_attention
from ..routing import route
from ..settings import MocSettings
from .tiles import Groups, dense_groups, routed_groups

RUNNING = 10
"""The running float32 sum takes about one part in so many of the memory of q, k and v."""


def moc_attention_fused(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention: q (B, H, Lq, D), k and v (B, H, Lk, D) with D up to 256 -> (B, H, Lq, D) in q's dtype.

    Takes float16, bfloat16 and float32; first derivatives work for q, k and v. Raises ``ValueError`` as ``route`` does.
    """
    chosen = route(q, k, layout, settings, generator)
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    return differentiable(q, k, v, chosen, layout, settings, scale, _forward, _backward)


def _forward(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor]:
    out = torch.empty_like(q)
    lse = torch.empty(q.shape[:3], dtype=torch.float32, device=q.device)
    for here in _slices_of_heads(q, k):
        picked = None if chosen is None else chosen[here]
        _forward_heads(q[here], k[here], v[here], out[here], lse[here], picked, layout, settings, scale)
    return out, lse


def _backward(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, chosen: Tensor | None,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    grad = grad if grad.stride(-1) == 1 else grad.contiguous()
    grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    for here in _slices_of_heads(q, k):
        picked = None if chosen is None else chosen[here]
        parts = _backward_heads(
            q[here], k[here], v[here], out[here], lse[here], grad[here], picked, layout, settings, scale
        )
        for whole, part in zip(grads, parts, strict=True):
            whole[here] = part
    return grads


def _slices_of_heads(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice]]:
    """Indices of all batch rows and as many heads as may be computed together."""
    given = (q.numel() + 2 * k.numel()) * q.element_size()
    one = 4 * q.numel() // q.shape[1]
    together = max(1, min(q.shape[1], given // (RUNNING * one)))
    for first in range(0, q.shape[1], together):
        yield slice(None), slice(first, first + together)


def _forward_heads(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, chosen: Tensor | None, layout: MocLayout,
    settings: MocSettings, scale: float,
) -> None:
    running = torch.zeros(q.shape, dtype=torch.float32, device=q.device)
    sums = torch.full(q.shape[:3], -torch.inf, dtype=torch.float32, device=q.device)
    for shot in shot_keys(layout, settings):
        if shot.dense:
            part, part_lse = partial_attention(take(q, shot.queries), take(k, shot.dense), take(v, shot.dense), scale)
            put(running, shot.queries, part)
            put(sums, shot.queries, part_lse)
    for rank in range(0 if chosen is None else chosen.shape[3]):
        assert chosen is not None
        groups = routed_groups(chosen[..., rank : rank + 1], layout)
        if groups is not None:
            _attend(q, k, v, running, sums, groups, scale)
    out.copy_(running)
    lse.copy_(sums)


def _backward_heads(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad: Tensor, chosen: Tensor | None,
    layout: MocLayout, settings: MocSettings, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    delta = (grad.float() * out.float()).sum(dim=-1)
    lse = lse.masked_fill(lse == -torch.inf, torch.inf)
    grads = tuple(torch.zeros(x.shape, dtype=torch.float32, device=x.device) for x in (q, k, v))
    heads = q.shape[0] * q.shape[1]
    for shot in shot_keys(layout, settings):
        for span in shot.dense:
            groups = dense_groups(shot, span, heads, q.device)
            _slope_q(q, k, v, grad, lse, delta, grads[0], groups, scale)
            _slope_kv(q, k, v, grad, lse, delta, grads[1], grads[2], groups, scale)
    if chosen is not None:
        for rank in range(chosen.shape[3]):
            ranked = routed_groups(chosen[..., rank : rank + 1], layout)
            if ranked is not None:
                _slope_q(q, k, v, grad, lse, delta, grads[0], ranked, scale)
        every = routed_groups(chosen, layout)
        if every is not None:
            _slope_kv(q, k, v, grad, lse, delta, grads[1], grads[2], every, scale)
    return grads[0], grads[1], grads[2]


def _tile(q: Tensor) -> dict[str, Any]:
    """Sizes of a tile that fit the fast memory of a multiprocessor for this head size and type."""
    size = max(16, 1 << (q.shape[-1] - 1).bit_length())
    exact = q.dtype == torch.float32
    bytes_a_row = size * q.element_size() * (2 if exact else 1)
    side = 64 if bytes_a_row <= 256 else 32 if bytes_a_row <= 512 else 16
    return {"M": side, "N": side, "D": size, "PRECISION": "ieee" if exact else "tf32"}


def _strides(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(x.stride(dim) for x in tensors for dim in range(3))


def _attend(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, groups: Groups, scale: float
) -> None:
    from .programs import attend

    tile = _tile(q)
    table = groups.by_queries(tile["M"])
    attend[(len(table),)](
        q, k, v, out, lse, groups.rows, table, q.shape[1], q.shape[2], q.shape[3], scale, *_strides(q, k, v), **tile
    )


def _slope_q(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, lse: Tensor, delta: Tensor, grad_q: Tensor, groups: Groups,
    scale: float,
) -> None:
    from .programs import slope_q

    tile = _tile(q)
    table = groups.by_queries(tile["M"])
    slope_q[(len(table),)](
        q, k, v, grad, lse, delta, grad_q, groups.rows, table, q.shape[1], q.shape[2], q.shape[3], scale,
        *_strides(q, k, v, grad), **tile,
    )


def _slope_kv(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, lse: Tensor, delta: Tensor, grad_k: Tensor, grad_v: Tensor,
    groups: Groups, scale: float,
) -> None:
    from .programs import slope_kv

    tile = _tile(q)
    table = groups.by_keys(tile["N"])
    slope_kv[(len(table),)](
        q, k, v, grad, lse, delta, grad_k, grad_v, groups.rows, table, q.shape[1], q.shape[2], k.shape[2], q.shape[3],
        scale, *_strides(q, k, v, grad), **tile,
    )

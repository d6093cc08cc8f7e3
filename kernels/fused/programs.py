"""The Triton programs. Each works on tiles: a list of query rows of one head, and a span of keys.

In a launch no query row (for ``attend`` and ``slope_q``) and no key (for ``slope_kv``) is in two tiles, so results are
folded into what is there already without atomics, and the same input gives the same bits.

A tile is (first entry of its row list, rows, first key, end of keys, batch row * heads + head), int64.
"""

from __future__ import annotations

# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False
import triton
import triton.language as tl


@triton.jit
def attend(
    q, k, v, out, lse, rows, tiles,
    heads, queries, size, scale,
    q_batch, q_head, q_token, k_batch, k_head, k_token, v_batch, v_head, v_token,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):
    """Fold the attention of a tile's queries over its keys into out (float32) and lse (float32)."""
    tile = tiles + tl.program_id(0) * 5
    first, count = tl.load(tile), tl.load(tile + 1)
    begin, end, where = tl.load(tile + 2), tl.load(tile + 3), tl.load(tile + 4)
    batch, head = where // heads, where % heads
    m = tl.arange(0, M)
    d = tl.arange(0, D)
    live = m < count
    wide = live[:, None] & (d < size)[None, :]
    row = tl.load(rows + first + m, mask=live, other=0).to(tl.int64)
    asking = tl.load(q + batch * q_batch + head * q_head + row[:, None] * q_token + d[None, :], mask=wide, other=0.0)
    folded = where * queries + row
    top = tl.load(lse + folded, mask=live, other=0.0)
    total = tl.where(top > float("-inf"), 1.0, 0.0)
    mixed = tl.load(out + folded[:, None] * size + d[None, :], mask=wide, other=0.0)
    for start in range(begin, end, N):
        n = start + tl.arange(0, N)
        there = n < end
        tall = there[:, None] & (d < size)[None, :]
        keys = tl.load(k + batch * k_batch + head * k_head + n[:, None] * k_token + d[None, :], mask=tall, other=0.0)
        values = tl.load(v + batch * v_batch + head * v_head + n[:, None] * v_token + d[None, :], mask=tall, other=0.0)
        scores = tl.dot(asking, tl.trans(keys), input_precision=PRECISION) * scale
        scores = tl.where(there[None, :], scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.exp(scores - higher[:, None])
        fade = tl.exp(top - higher)
        total = total * fade + tl.sum(weights, 1)
        mixed = mixed * fade[:, None] + tl.dot(weights.to(values.dtype), values, input_precision=PRECISION)
        top = higher
    tl.store(out + folded[:, None] * size + d[None, :], mixed / total[:, None], mask=wide)
    tl.store(lse + folded, top + tl.log(total), mask=live)


@triton.jit
def slope_q(
    q, k, v, grad, lse, delta, grad_q, rows, tiles,
    heads, queries, size, scale,
    q_batch, q_head, q_token, k_batch, k_head, k_token, v_batch, v_head, v_token, g_batch, g_head, g_token,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):
    """Add what a tile's keys give to the gradient of its queries, float32 (FlashAttention-2, algorithm 2)."""
    tile = tiles + tl.program_id(0) * 5
    first, count = tl.load(tile), tl.load(tile + 1)
    begin, end, where = tl.load(tile + 2), tl.load(tile + 3), tl.load(tile + 4)
    batch, head = where // heads, where % heads
    m = tl.arange(0, M)
    d = tl.arange(0, D)
    live = m < count
    wide = live[:, None] & (d < size)[None, :]
    row = tl.load(rows + first + m, mask=live, other=0).to(tl.int64)
    asking = tl.load(q + batch * q_batch + head * q_head + row[:, None] * q_token + d[None, :], mask=wide, other=0.0)
    wanted = tl.load(grad + batch * g_batch + head * g_head + row[:, None] * g_token + d[None, :], mask=wide, other=0.0)
    folded = where * queries + row
    level = tl.load(lse + folded, mask=live, other=float("inf"))
    shift = tl.load(delta + folded, mask=live, other=0.0)
    slope = tl.load(grad_q + folded[:, None] * size + d[None, :], mask=wide, other=0.0)
    for start in range(begin, end, N):
        n = start + tl.arange(0, N)
        there = n < end
        tall = there[:, None] & (d < size)[None, :]
        keys = tl.load(k + batch * k_batch + head * k_head + n[:, None] * k_token + d[None, :], mask=tall, other=0.0)
        values = tl.load(v + batch * v_batch + head * v_head + n[:, None] * v_token + d[None, :], mask=tall, other=0.0)
        scores = tl.dot(asking, tl.trans(keys), input_precision=PRECISION) * scale
        weights = tl.where(there[None, :], tl.exp(scores - level[:, None]), 0.0)
        pull = tl.dot(wanted, tl.trans(values), input_precision=PRECISION)
        push = weights * (pull - shift[:, None]) * scale
        slope += tl.dot(push.to(keys.dtype), keys, input_precision=PRECISION)
    tl.store(grad_q + folded[:, None] * size + d[None, :], slope, mask=wide)


@triton.jit
def slope_kv(
    q, k, v, grad, lse, delta, grad_k, grad_v, rows, tiles,
    heads, queries, keys_in_all, size, scale,
    q_batch, q_head, q_token, k_batch, k_head, k_token, v_batch, v_head, v_token, g_batch, g_head, g_token,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr, PRECISION: tl.constexpr,
):
    """Add what all queries of a tile's list give to the gradients of its keys, at most N of them, float32."""
    tile = tiles + tl.program_id(0) * 5
    first, count = tl.load(tile), tl.load(tile + 1)
    begin, end, where = tl.load(tile + 2), tl.load(tile + 3), tl.load(tile + 4)
    batch, head = where // heads, where % heads
    d = tl.arange(0, D)
    n = begin + tl.arange(0, N)
    there = n < end
    tall = there[:, None] & (d < size)[None, :]
    keys = tl.load(k + batch * k_batch + head * k_head + n[:, None] * k_token + d[None, :], mask=tall, other=0.0)
    values = tl.load(v + batch * v_batch + head * v_head + n[:, None] * v_token + d[None, :], mask=tall, other=0.0)
    kept = where * keys_in_all + n
    more_k = tl.load(grad_k + kept[:, None] * size + d[None, :], mask=tall, other=0.0)
    more_v = tl.load(grad_v + kept[:, None] * size + d[None, :], mask=tall, other=0.0)
    for start in range(0, count, M):
        m = start + tl.arange(0, M)
        live = m < count
        wide = live[:, None] & (d < size)[None, :]
        row = tl.load(rows + first + m, mask=live, other=0).to(tl.int64)
        asking = tl.load(
            q + batch * q_batch + head * q_head + row[:, None] * q_token + d[None, :], mask=wide, other=0.0
        )
        wanted = tl.load(
            grad + batch * g_batch + head * g_head + row[:, None] * g_token + d[None, :], mask=wide, other=0.0
        )
        folded = where * queries + row
        level = tl.load(lse + folded, mask=live, other=float("inf"))
        shift = tl.load(delta + folded, mask=live, other=0.0)
        scores = tl.dot(keys, tl.trans(asking), input_precision=PRECISION) * scale
        weights = tl.where(there[:, None] & live[None, :], tl.exp(scores - level[None, :]), 0.0)
        more_v += tl.dot(weights.to(wanted.dtype), wanted, input_precision=PRECISION)
        pull = tl.dot(values, tl.trans(wanted), input_precision=PRECISION)
        push = weights * (pull - shift[None, :]) * scale
        more_k += tl.dot(push.to(asking.dtype), asking, input_precision=PRECISION)
    tl.store(grad_k + kept[:, None] * size + d[None, :], more_k, mask=tall)
    tl.store(grad_v + kept[:, None] * size + d[None, :], more_v, mask=tall)

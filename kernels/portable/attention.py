"""MoC attention on any device: really sparse, and never a matrix of all queries against all keys.

For each shot, its own keys and the text are attended densely. The routed part is sorted by chunk, so that all queries
that chose a chunk meet it in one small dense attention. Its exponentials are taken relative to one level for each
query, so that the results simply add up and are divided once. The level is 0 where the dense part shows that numbers
stay of moderate size, as in most models, else its log-sum-exp. The sum is exact: the softmax runs over every key that
the token attends to.

Queries of all shots that chose a chunk share a call. What one of them gets depends on the others only through
rounding, as anywhere that rows share a matrix product.

All this is thousands of short operations. Where all threads of a processor share each of them, they wait for one
another at its end: a film of 32k tokens took two threads about 8 % longer, both ways measured in turn. So on long films
every thread computes some heads alone, from beginning to end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor

from ..layout import MocLayout
from ..plan import put, shot_keys, take
from ..routing import route
from ..settings import MocSettings
from .batches import Batch, add_rows, batch_rows, head_rows, sorted_by_chunk
from .gradients import chosen_gradients, differentiable
from .partial import accumulator_dtype, attention_above, partial_attention

NEAR = 40.0
"""Exponentials need no level where every query's log-sum-exp over its dense keys is at most this far from 0."""

LARGEST_SUM = 1e30
"""Where a sum of exponentials is larger, values times exponentials may have overflowed."""

LONG = 24_576
"""Queries from which threads compute heads alone; operations on fewer are so short that the threads wait for the
interpreter instead."""

_one_at_a_time = threading.Lock()


def moc_attention_portable(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """MoC attention by shots and chunks: q (B, H, Lq, D), k and v (B, H, Lk, D) -> (B, H, Lq, D) in q's dtype.

    Extra memory is a fixed share of that of q, k and v: the queries and scores of a batched call, the router's scores
    of a few queries, and the choices. First derivatives work for q, k and v. Raises ``ValueError`` as ``route`` does.
    """
    chosen = route(q, k, layout, settings, generator)
    return differentiable(q, k, v, chosen, layout, settings, scale, attend, chosen_gradients)


def attend(
    q: Tensor, k: Tensor, v: Tensor, chosen: Tensor | None, layout: MocLayout, settings: MocSettings, scale: float
) -> tuple[Tensor, Tensor]:
    """The output (B, H, Lq, D) and the log-sum-exp (B, H, Lq) of every query, for choices made by ``route``.

    ``q`` is (B, H, Lq, D), ``k`` and ``v`` are (B, H, Lk, D), ``chosen`` is (B, H, Lq, width). A query that attends to
    nothing at all gets zeros.
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
    """``attend`` into ``out`` (B, H, Lq, D) and ``lse`` (B, H, Lq), for all heads or for a part of them.

    ``rows`` is ``batch_rows`` of all heads; the other tensors are as for ``attend``.
    """
    _dense(out, lse, q, k, v, layout, settings, scale)
    # Without dense scores there is nothing to compare the routed ones with.
    blind = any(shot.candidates and not shot.dense for shot in shot_keys(layout, settings))
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


def _dense(
    out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, scale: float
) -> None:
    """Attention over the keys that all queries of a shot share; with no keys the neutral element of the sum."""
    for shot in shot_keys(layout, settings):
        if shot.dense:
            part, part_lse = partial_attention(take(q, shot.queries), take(k, shot.dense), take(v, shot.dense), scale)
            put(out, shot.queries, part)
            put(lse, shot.queries, part_lse)
            del part
        else:
            for begin, end in shot.queries:
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

    ``level`` (Lq,) is what exponentials are taken relative to, where not to 0 or to lse of the dense part.
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


def head_parts(q: Tensor) -> int:
    """In how many parts the heads of ``q`` (B, H, L, D) are computed at the same time; 1 where that does not pay.

    As many as PyTorch has threads, each with the same number of heads.
    """
    threads = torch.get_num_threads()
    pays = q.device.type == "cpu" and q.shape[2] >= LONG and q.shape[1] % threads == 0
    return threads if pays else 1


def by_heads(compute: Callable[..., None], parts: int, *tensors: Tensor) -> None:
    """Calls ``compute`` for ``parts`` equal parts of the heads at once; it writes its results into some of the tensors.

    ``tensors`` are (B, H, ...) each. ``compute`` must give the same for all heads together as for parts of them.
    While another call is at it, this one computes all heads together.
    """
    if parts == 1 or not _one_at_a_time.acquire(blocking=False):
        compute(*tensors)
        return
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()

    def alone(part: tuple[Tensor, ...]) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            compute(*part)

    try:
        # One thread for each operation: a new thread takes the number that it finds.
        torch.set_num_threads(1)
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(alone, zip(*(x.tensor_split(parts, dim=1) for x in tensors), strict=True)))
    finally:
        torch.set_num_threads(threads)
        _one_at_a_time.release()

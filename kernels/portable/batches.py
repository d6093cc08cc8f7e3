"""The queries of a head sorted by the chunk they chose, so that all who look into a chunk meet it in one attention.

A *group* is all queries that chose one chunk, or a piece of them where they are very many. Groups of nearly the same
size share one batched call, a *batch*: hundreds of small calls cost more than their arithmetic. The tokens of a batch
are read as *rows* of one matrix, without copying what a model hands over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ..layout import MocLayout
from ..routing import NOTHING
from .partial import accumulator_dtype

FILLING = 0.15
"""Largest share of rows in a batch that may be filling, beside a few rows for each group."""

BATCH_SHARE = 32
"""The queries of a batched call take at most one part in so many of the memory of q, k, v, and so do their scores."""

BATCH_ROWS = 512
"""Rows of q that a batched call has at least; smaller calls cost more than their arithmetic."""


@dataclass(frozen=True)
class Batch:
    """Groups whose chunks have the same size, each filled up to as many queries as the largest of them has.

    ``rows`` (g, m) int64 is the query of each row; filling repeats queries of other groups. ``counts`` (g,) int64 is
    how many of its rows are a group's own, ``starts`` (g,) int64 the first key of its chunk, and ``size`` the keys of a
    chunk. ``full`` says that no row is filling; ``only`` is the first key of the chunk where there is a single one.
    """

    rows: Tensor
    counts: Tensor
    starts: Tensor
    size: int
    full: bool
    only: int | None

    @property
    def keys(self) -> Tensor:
        """The keys of the chunks, (g, size) int64."""
        return self.starts.unsqueeze(1) + torch.arange(self.size, device=self.starts.device)

    def without_filling(self, values: Tensor, instead: float) -> Tensor:
        """``values`` (g, m), changed in place: ``instead`` where a row is not the group's own."""
        if self.full:
            return values
        filling = torch.arange(self.rows.shape[1], device=values.device) >= self.counts.unsqueeze(1)
        return values.masked_fill_(filling, instead)


def batch_rows(q: Tensor, k: Tensor, layout: MocLayout, parts: int = 1) -> int:
    """How many queries a batched call may have: few enough for the memory, and for their scores to stay in a cache.

    ``q`` is (B, H, Lq, D) and ``k`` (B, H, Lk, D). ``parts`` of the heads are computed at the same time. They may take
    twice the memory together: short calls would make them wait for the interpreter.
    """
    size = max(layout.chunk_size(chunk) for chunk in range(layout.chunks))
    entries = (q.numel() + 2 * k.numel()) * q.element_size() // (BATCH_SHARE * accumulator_dtype(q.dtype).itemsize)
    return max(BATCH_ROWS, entries // max(size, q.shape[-1]) * min(2, parts) // parts)


def sorted_by_chunk(choices: Tensor, layout: MocLayout, most: int) -> Iterator[Batch]:
    """All batches of one head's ``choices`` (L, width), one by one; none has more than ``most`` rows of q, k or v.

    The sort is stable and nothing depends on the order of parallel work, so the same input gives the same bits.
    """
    chunks = (choices - NOTHING).flatten()
    order = chunks.sort(stable=True).indices
    absent, *counts = torch.bincount(chunks, minlength=layout.chunks + 1).tolist()
    del chunks
    # The queries of all groups, group after group.
    queries = order[absent:].div_(choices.shape[1], rounding_mode="floor")
    device = queries.device
    groups = sorted(_pieces(counts, layout, most))
    # One tensor for all groups: a batch takes a slice of each, because small tensors cost more than their numbers.
    begin = torch.tensor([first for *_, first in groups], dtype=torch.long, device=device).unsqueeze(1)
    starts = torch.tensor([layout.key_starts[chunk] for _, _, chunk, _ in groups], dtype=torch.long, device=device)
    sizes = torch.tensor([-count for _, count, _, _ in groups], dtype=torch.long, device=device)
    reach = torch.arange(most, device=device)
    at = 0
    while at < len(groups):
        size, longest = -groups[at][0], -groups[at][1]
        together = max(1, min(most // longest, most // (2 * size)))
        least = longest - 4 - int(FILLING * longest)
        end = at + 1
        while end < len(groups) and end - at < together and -groups[end][0] == size and -groups[end][1] >= least:
            end += 1
        if end - at > 1:
            # An even number: of an odd one, one of two threads would get the larger half.
            end -= (end - at) % 2
        here = slice(at, end)
        inside = (begin[here] + reach[:longest]).clamp_(max=len(queries) - 1)
        rows = queries.index_select(0, inside.flatten()).view_as(inside)
        full = -groups[end - 1][1] == longest
        only = layout.key_starts[groups[at][2]] if end == at + 1 else None
        yield Batch(rows, sizes[here], starts[here], size, full, only)
        at = end


def _pieces(counts: list[int], layout: MocLayout, most: int) -> Iterator[tuple[int, int, int, int]]:
    """(-size of the chunk, -queries, chunk, first query) of every group, cut evenly where it is larger than most."""
    for chunk, (first, count) in enumerate(zip(accumulate(counts, initial=0), counts, strict=False)):
        pieces = -(-count // most)
        for piece in range(pieces):
            begin, end = count * piece // pieces, count * (piece + 1) // pieces
            yield -layout.chunk_size(chunk), begin - end, chunk, first + begin


@dataclass(frozen=True)
class Rows:
    """Token t of one head is row ``first + t * step`` of ``flat`` (rows, D)."""

    flat: Tensor
    first: int
    step: int

    def select(self, tokens: Tensor) -> Tensor:
        """The rows of ``tokens`` (g, m) int64: (g, m, D)."""
        return self.flat.index_select(0, (tokens * self.step + self.first).flatten()).view(*tokens.shape, -1)

    def chunks(self, batch: Batch) -> Tensor:
        """The rows of all keys of the chunks of a batch, (g, size, D); a view where it is a single chunk."""
        if batch.only is not None:
            begin = self.first + batch.only * self.step
            return self.flat[begin : begin + batch.size * self.step : self.step].unsqueeze(0)
        if self.step != 1:
            return self.select(batch.keys)
        # Windows of a chunk's length that overlap: a chunk is then copied in one piece.
        size = self.flat.shape[1]
        shape = self.flat.shape[0] - batch.size + 1, batch.size * size
        windows = self.flat.as_strided(shape, (size, 1), self.flat.storage_offset())
        return windows.index_select(0, batch.starts + self.first).view(-1, batch.size, size)


def head_rows(x: Tensor, batch: int, head: int) -> Rows:
    """One head of ``x`` (B, H, L, D) by rows: a view where strides allow it, as for heads split from (B, L, H * D)."""
    size = x.shape[-1]
    if x.stride(-1) != 1 or any(x.stride(dim) % size for dim in range(3)) or x.numel() == 0:
        return Rows(x[batch, head].contiguous(), 0, 1)
    steps = [x.stride(dim) // size for dim in range(3)]
    count = 1 + sum((length - 1) * step for length, step in zip(x.shape, steps, strict=False))
    flat = torch.as_strided(x, (count, size), (size, 1))
    return Rows(flat, batch * steps[0] + head * steps[1], steps[2])


def add_rows(total: Tensor, rows: Tensor, values: Tensor) -> None:
    """``total[rows[i]] += values[i]``, always in the same order: total (L, ...), rows (n,) int64, values (n, ...)."""
    if total.device.type == "cuda":
        # index_add_ on CUDA adds in any order.
        total.index_put_((rows,), values, accumulate=True)
    else:
        total.index_add_(0, rows, values)

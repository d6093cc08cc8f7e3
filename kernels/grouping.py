"""The queries of a head sorted by the chunk they chose, so that all who look into a chunk meet it in one attention.

A *group* is all queries that chose one chunk. Groups of nearly the same size share one batched call, a *batch*:
hundreds of small calls cost more than their arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .layout import MocLayout
from .routing import NOTHING

FILLING = 0.15
"""Largest share of rows in a batch that may be filling, beside a few rows for each group."""


@dataclass(frozen=True)
class Batch:
    """Groups whose chunks have the same size, each filled up to as many queries as the largest of them has.

    rows: (g, m) int64, the query of each row; filling repeats queries of other groups.
    counts: (g,) int64, how many of its rows are a group's own.
    starts: (g,) int64, the first key of the chunk; size: keys of the chunk.
    full: no row is filling.
    only: the first key of the chunk where there is a single one, else None.
    """

    rows: Tensor
    counts: Tensor
    starts: Tensor
    size: int
    full: bool
    only: int | None

    def without_filling(self, values: Tensor, instead: float) -> Tensor:
        """values (g, m), changed in place: `instead` where a row is not the group's own."""
        if self.full:
            return values
        filling = torch.arange(self.rows.shape[1], device=values.device) >= self.counts.unsqueeze(1)
        return values.masked_fill_(filling, instead)


def sorted_by_chunk(choices: Tensor, layout: MocLayout, batch_rows: int) -> list[Batch]:
    """All batches of one head's choices (L, width); none has many more than `batch_rows` rows of q, k or v.

    The sort is stable and nothing depends on the order of parallel work, so the same input gives the same bits.
    """
    keys = (choices - NOTHING).flatten()
    order = keys.sort(stable=True).indices
    absent, *counts = torch.bincount(keys, minlength=layout.chunks + 1).tolist()
    del keys
    queries = order[absent:].div_(choices.shape[1], rounding_mode="floor")
    return _batches(queries, counts, layout, batch_rows)


def _batches(queries: Tensor, counts: list[int], layout: MocLayout, batch_rows: int) -> list[Batch]:
    """queries: those of all groups, group after group; counts: how many of each chunk."""
    device = queries.device
    groups = sorted((-layout.chunk_size(chunk), -count, chunk) for chunk, count in enumerate(counts) if count)
    # One tensor for all groups: a batch takes a slice of each, because small tensors cost more than their numbers.
    begins = list(accumulate(counts, initial=0))
    begin = torch.tensor([begins[chunk] for _, _, chunk in groups], dtype=torch.long, device=device).unsqueeze(1)
    starts = torch.tensor([layout.key_starts[chunk] for _, _, chunk in groups], dtype=torch.long, device=device)
    sizes = torch.tensor([-count for _, count, _ in groups], dtype=torch.long, device=device)
    reach = torch.arange(max(counts), device=device)
    batches, place = [], 0
    while place < len(groups):
        size, longest = -groups[place][0], -groups[place][1]
        most = max(1, min(batch_rows // longest, batch_rows // (2 * size)))
        least = longest - 4 - int(FILLING * longest)
        end = place + 1
        while end < len(groups) and end - place < most and -groups[end][0] == size and -groups[end][1] >= least:
            end += 1
        if end - place > 1:
            # An even number: of an odd one, one of two threads would get the larger half.
            end -= (end - place) % 2
        here = slice(place, end)
        inside = (begin[here] + reach[:longest]).clamp_(max=len(queries) - 1)
        rows = queries.index_select(0, inside.flatten()).view_as(inside)
        full = -groups[end - 1][1] == longest
        only = layout.key_starts[groups[place][2]] if end == place + 1 else None
        batches.append(Batch(rows, sizes[here], starts[here], size, full, only))
        place = end
    return batches

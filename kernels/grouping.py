"""The queries of a head sorted by the chunk they chose, so that all who look into a chunk meet it in one attention.

A *group* is all queries that chose one chunk, or a piece of them where they are very many. Groups of nearly the same
size share one batched call, a *batch*: hundreds of small calls cost more than their arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
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


def sorted_by_chunk(choices: Tensor, layout: MocLayout, batch_rows: int) -> Iterator[Batch]:
    """All batches of one head's choices (L, width), one by one; none has more than `batch_rows` rows of q, k or v.

    The sort is stable and nothing depends on the order of parallel work, so the same input gives the same bits.
    """
    keys = (choices - NOTHING).flatten()
    order = keys.sort(stable=True).indices
    absent, *counts = torch.bincount(keys, minlength=layout.chunks + 1).tolist()
    del keys
    # The queries of all groups, group after group.
    queries = order[absent:].div_(choices.shape[1], rounding_mode="floor")
    device = queries.device
    groups = sorted(_pieces(counts, layout, batch_rows))
    # One tensor for all groups: a batch takes a slice of each, because small tensors cost more than their numbers.
    begin = torch.tensor([first for *_, first in groups], dtype=torch.long, device=device).unsqueeze(1)
    starts = torch.tensor([layout.key_starts[chunk] for _, _, chunk, _ in groups], dtype=torch.long, device=device)
    sizes = torch.tensor([-count for _, count, _, _ in groups], dtype=torch.long, device=device)
    reach = torch.arange(batch_rows, device=device)
    place = 0
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
        yield Batch(rows, sizes[here], starts[here], size, full, only)
        place = end


def _pieces(counts: list[int], layout: MocLayout, most: int) -> Iterator[tuple[int, int, int, int]]:
    """(-size of the chunk, -queries, chunk, first query) of every group, cut evenly where it is larger than `most`."""
    for chunk, (first, count) in enumerate(zip(accumulate(counts, initial=0), counts, strict=False)):
        pieces = -(-count // most)
        for piece in range(pieces):
            begin, end = count * piece // pieces, count * (piece + 1) // pieces
            yield -layout.chunk_size(chunk), begin - end, chunk, first + begin

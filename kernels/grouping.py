"""Queries sorted by the chunk they chose, so that all who look into a chunk meet it in one dense attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .layout import MocLayout
from .plan import Span
from .routing import Route

ROWS_TOGETHER = 1024
"""Heads share a call until about this many query rows are in it: smaller calls cost more than their arithmetic."""


@dataclass(frozen=True)
class Group:
    """Queries of some neighbouring heads that chose the same chunk.

    keys: the span of the chunk. heads: places in the range of heads that was asked for.
    rows: (heads, m) int64, head * Lq + query. Heads with fewer queries are filled up with the number one past the
    last query of the last head asked for; a group of one head has no filling.
    """

    keys: Span
    heads: slice
    rows: Tensor


def heads_together(routes: list[Route], layout: MocLayout) -> int:
    """How many heads to group at once so that small chunks, or few queries, still make calls of a useful size."""
    choices = sum(route.chunks.shape[2] * route.chunks.shape[3] for route in routes)
    heads = routes[0].chunks.shape[1] if routes else 1
    return min(heads, max(1, ROWS_TOGETHER * layout.chunks // max(1, choices)))


def groups(routes: list[Route], layout: MocLayout, batch: int, heads: range) -> Iterator[Group]:
    """All groups of some neighbouring heads of one batch row, over all shots; every query is in top-k of them."""
    if not routes:
        return
    width = len(heads)
    chosen = torch.zeros(layout.chunks, width, layout.queries, dtype=torch.bool, device=routes[0].chunks.device)
    for route in routes:
        chunks = route.chunks[batch, heads.start : heads.stop].permute(2, 0, 1)
        begin = 0
        for first, last in route.plan.queries:
            end = begin + last - first
            chosen[:, :, first:last].scatter_(0, chunks[:, :, begin:end], True)
            begin = end
    counts = chosen.sum(dim=2).tolist()
    rows = chosen.flatten().nonzero().squeeze(1).remainder_(width * layout.queries)
    of_chunk = torch.split(rows, [sum(count) for count in counts])
    for chunk, count in enumerate(counts):
        keys = (layout.key_starts[chunk], layout.key_starts[chunk + 1])
        members = list(torch.split(of_chunk[chunk], count))
        if width > 1 and 0 < max(count) * width <= max(2 * sum(count), ROWS_TOGETHER):
            padded = pad_sequence(members, batch_first=True, padding_value=width * layout.queries)
            yield Group(keys, slice(0, width), padded)
            continue
        for head in range(width):
            if count[head]:
                yield Group(keys, slice(head, head + 1), members[head].unsqueeze(0))

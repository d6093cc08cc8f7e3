"""Queries sorted by the chunk they chose, so that all who look into a chunk meet it in one dense attention.

Queries are taken a block at a time, so that the results waiting to be merged stay small. In a block, a *group* is all
queries of one head that chose one chunk. Groups of nearly the same size share one batched call, a *batch*: hundreds of
small calls cost more than their arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .layout import MocLayout
from .routing import NOTHING

FILLING = 0.25
"""Largest share of rows in a batch that may be filling, beside a few rows for each group."""


@dataclass(frozen=True)
class Block:
    """Queries worked on together: some neighbouring heads of one batch row, and a span of their tokens."""

    batch: int
    heads: range
    tokens: range

    @property
    def here(self) -> tuple[int, slice, slice]:
        """Index of the block in (B, H, L, ...)."""
        return self.batch, slice(self.heads.start, self.heads.stop), slice(self.tokens.start, self.tokens.stop)


@dataclass(frozen=True)
class Batch:
    """Groups whose chunks have the same size, each filled up to as many queries as the largest of them has.

    rows: (g, m) int64, query of the group counted in the block, head by head; filling repeats a row of another group.
    counts: (g,) int64, how many of these rows are the group's own.
    heads, starts: (g,) int64, the head counted in the block, and the first key of the chunk; size: keys of the chunk.
    slots: where the results of the batch stand among those of the block.
    """

    rows: Tensor
    counts: Tensor
    heads: Tensor
    starts: Tensor
    size: int
    slots: slice

    def filling(self) -> Tensor:
        """(g, m) bool, True where a row is not the group's own."""
        return torch.arange(self.rows.shape[1], device=self.rows.device) >= self.counts.unsqueeze(1)


@dataclass(frozen=True)
class Sorted:
    """The choices of a block, sorted into batches.

    places: (heads, tokens, width) int64, the slot of each choice; made: the same, bool, False where nothing was chosen.
    """

    places: Tensor
    made: Tensor | None
    slots: int
    batches: list[Batch]


def blocks(shape: torch.Size, most_rows: int) -> Iterator[Block]:
    """Blocks of at most about `most_rows` choices for choices of shape (B, H, L, width), in order."""
    batch, heads, tokens, width = shape
    queries = max(1, most_rows // width)
    together = max(1, min(heads, queries // tokens))
    pieces = -(-tokens // queries) if together == 1 else 1
    for b in range(batch):
        for h in range(0, heads, together):
            for piece in range(pieces):
                span = range(tokens * piece // pieces, tokens * (piece + 1) // pieces)
                yield Block(b, range(h, min(h + together, heads)), span)


def sort_block(choices: Tensor, layout: MocLayout, batch_rows: int) -> Sorted:
    """Sort the choices (heads, tokens, width) of a block; no batch has many more than `batch_rows` rows of q, k or v.

    The sort is stable and nothing depends on the order of parallel work, so the same input gives the same bits.
    """
    heads, tokens, width = choices.shape
    device = choices.device
    of_head = torch.arange(heads, device=device, dtype=torch.int32).mul_(layout.chunks).view(heads, 1, 1)
    missing = choices == NOTHING
    keys = (choices + of_head).masked_fill_(missing, heads * layout.chunks).flatten()
    order = (keys.to(torch.int16) if heads * layout.chunks < 32767 else keys).sort(stable=True).indices
    counts = torch.bincount(keys, minlength=heads * layout.chunks + 1).tolist()
    absent = counts.pop()
    batches, first_slots, slots = _batches(counts, order, layout, width, batch_rows)
    made = order[: len(order) - absent] if absent else order
    # Slot of the i-th sorted choice: the first slot of its group, and its place in the group.
    starts = torch.tensor(counts, device=device).cumsum(0).roll(1)
    starts[:1] = 0
    shift = (torch.tensor(first_slots, device=device) - starts).repeat_interleave(torch.tensor(counts, device=device))
    places = torch.zeros_like(order)
    places[made] = torch.arange(len(made), device=device) + shift
    return Sorted(places.view(choices.shape), ~missing if absent else None, slots, batches)


def _batches(
    counts: list[int], order: Tensor, layout: MocLayout, width: int, batch_rows: int
) -> tuple[list[Batch], list[int], int]:
    """All batches, the first slot of every group, and the number of slots."""
    groups = sorted(
        (-layout.chunk_size(group % layout.chunks), -count, group) for group, count in enumerate(counts) if count
    )
    # One tensor for all groups: a batch takes a slice of each, because small tensors cost more than their numbers.
    numbers = torch.tensor([group for _, _, group in groups], dtype=torch.long, device=order.device)
    sizes = torch.tensor(counts, dtype=torch.long, device=order.device)
    begins = (sizes.cumsum(0) - sizes)[numbers].unsqueeze(1)
    sizes, heads = sizes[numbers], numbers.div(layout.chunks, rounding_mode="floor")
    starts = torch.tensor(layout.key_starts, device=order.device)[numbers - heads * layout.chunks]
    rows = order.div(width, rounding_mode="floor")
    reach = torch.arange(max((-longest for _, longest, _ in groups), default=0), device=order.device)
    first_slots, slots, batches = [0] * len(counts), 0, []
    place = 0
    while place < len(groups):
        size, longest = -groups[place][0], -groups[place][1]
        most = max(1, min(batch_rows // longest, batch_rows // (2 * size)))
        least = longest - 4 - int(FILLING * longest)
        end = place + 1
        while end < len(groups) and end - place < most and -groups[end][0] == size and -groups[end][1] >= least:
            end += 1
        for number, (_, _, group) in enumerate(groups[place:end]):
            first_slots[group] = slots + number * longest
        here = slice(place, end)
        inside = (begins[here] + reach[:longest]).clamp_(max=len(order) - 1)
        taken = slice(slots, slots + (end - place) * longest)
        batches.append(Batch(rows[inside], sizes[here], heads[here], starts[here], size, taken))
        slots = taken.stop
        place = end
    return batches, first_slots, slots

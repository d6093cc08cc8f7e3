"""Tokens of all heads of a tensor as rows of one matrix, without copying what a model hands over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .grouping import Batch, Block


@dataclass(frozen=True)
class Rows:
    """Token t of head h of batch row b is row b * batch + h * head + t * token of `flat` (rows, D)."""

    flat: Tensor
    batch: int
    head: int
    token: int


def as_rows(x: Tensor) -> Rows:
    """A view of x (B, H, L, D) by rows where its strides allow it, as for heads split from (B, L, H * D)."""
    size = x.shape[-1]
    if x.stride(-1) != 1 or any(x.stride(dim) % size for dim in range(3)) or x.numel() == 0:
        x = x.contiguous()
    batch, head, token = (x.stride(dim) // size for dim in range(3))
    count = 1 + (x.shape[0] - 1) * batch + (x.shape[1] - 1) * head + (x.shape[2] - 1) * token
    return Rows(torch.as_strided(x, (count, size), (size, 1)), batch, head, token)


def gather(rows: tuple[Rows, Rows, Rows], block: Block, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The queries (g, m, D) and the keys and values (g, size, D) of a batch."""
    q, k, v = rows
    first = _first_rows(k, block, batch)
    same = (k.batch, k.head, k.token) == (v.batch, v.head, v.token)
    return (
        select(q, query_rows(q, block, batch.rows)),
        _spans(k, batch, first),
        _spans(v, batch, first if same else _first_rows(v, block, batch)),
    )


def query_rows(x: Rows, block: Block, rows: Tensor) -> Tensor:
    """Rows of x for queries counted in the block, head by head."""
    tokens = len(block.tokens)
    base = block.batch * x.batch + block.heads.start * x.head + block.tokens.start * x.token
    if len(block.heads) == 1:
        return rows * x.token + base
    head = rows.div(tokens, rounding_mode="floor")
    return (rows - head * tokens) * x.token + head * x.head + base


def _spans(x: Rows, batch: Batch, first: Tensor) -> Tensor:
    """All keys of the chunks of a batch, (g, size, D), that begin at rows `first`."""
    size = x.flat.shape[1]
    if x.token != 1:
        return select(x, _rows_from(x, batch, first))
    # Windows of a chunk's length that overlap: a chunk is then copied in one piece.
    windows = torch.as_strided(x.flat, (x.flat.shape[0] - batch.size + 1, batch.size * size), (size, 1))
    return windows.index_select(0, first).view(-1, batch.size, size)


def _first_rows(x: Rows, block: Block, batch: Batch) -> Tensor:
    return batch.heads * x.head + batch.starts * x.token + (block.batch * x.batch + block.heads.start * x.head)


def key_rows(x: Rows, block: Block, batch: Batch) -> Tensor:
    """Rows of x (g, size) for all keys of the chunks of a batch."""
    return _rows_from(x, batch, _first_rows(x, block, batch))


def _rows_from(x: Rows, batch: Batch, first: Tensor) -> Tensor:
    return first.unsqueeze(1) + torch.arange(batch.size, device=first.device) * x.token


def select(x: Rows, rows: Tensor) -> Tensor:
    return x.flat.index_select(0, rows.flatten()).view(*rows.shape, -1)


def weighted_sum(parts: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """sum over j of weights[..., j] * parts[places[..., j]]: parts (slots, D), places, weights (..., w) -> (..., D)."""
    shape, width = places.shape[:-1], places.shape[-1]
    places, weights = places.view(-1, width), weights.reshape(-1, width)
    if parts.device.type in ("cpu", "cuda"):
        total = torch.nn.functional.embedding_bag(places, parts, per_sample_weights=weights, mode="sum")
    else:
        total = parts.new_zeros(places.shape[0], parts.shape[1])
        for column in range(width):
            total.addcmul_(parts.index_select(0, places[:, column]), weights[:, column : column + 1])
    return total.view(*shape, -1)

"""Tokens of all heads of a tensor as rows of one matrix, without copying what a model hands over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .grouping import Batch


@dataclass(frozen=True)
class Rows:
    """Token t of one head is row first + t * step of `flat` (rows, D)."""

    flat: Tensor
    first: int
    step: int

    def select(self, tokens: Tensor) -> Tensor:
        """The rows of tokens (...) int64: (..., D)."""
        return self.flat.index_select(0, (tokens * self.step + self.first).flatten()).view(*tokens.shape, -1)

    def chunks(self, batch: Batch) -> Tensor:
        """The rows of all keys of the chunks of a batch, (g, size, D); a view where it is a single chunk."""
        if batch.only is not None:
            begin = self.first + batch.only * self.step
            return self.flat[begin : begin + batch.size * self.step : self.step].unsqueeze(0)
        if self.step != 1:
            return self.select(key_tokens(batch))
        # Windows of a chunk's length that overlap: a chunk is then copied in one piece.
        size = self.flat.shape[1]
        shape = self.flat.shape[0] - batch.size + 1, batch.size * size
        windows = self.flat.as_strided(shape, (size, 1), self.flat.storage_offset())
        return windows.index_select(0, batch.starts + self.first).view(-1, batch.size, size)


def head_rows(x: Tensor, batch: int, head: int) -> Rows:
    """One head of x (B, H, L, D) by rows, a view where the strides allow it, as for heads split from (B, L, H * D)."""
    size = x.shape[-1]
    if x.stride(-1) != 1 or any(x.stride(dim) % size for dim in range(3)) or x.numel() == 0:
        return Rows(x[batch, head].contiguous(), 0, 1)
    steps = [x.stride(dim) // size for dim in range(3)]
    count = 1 + sum((length - 1) * step for length, step in zip(x.shape, steps, strict=False))
    flat = torch.as_strided(x, (count, size), (size, 1))
    return Rows(flat, batch * steps[0] + head * steps[1], steps[2])


def key_tokens(batch: Batch) -> Tensor:
    """The keys (g, size) int64 of the chunks of a batch."""
    return batch.starts.unsqueeze(1) + torch.arange(batch.size, device=batch.starts.device)


def add_rows(total: Tensor, rows: Tensor, values: Tensor) -> None:
    """total[rows[i]] += values[i], always in the same order: total (L, ...), rows (n,) int64, values (n, ...)."""
    if total.device.type == "cuda":
        # index_add_ on CUDA adds in any order.
        total.index_put_((rows,), values, accumulate=True)
    else:
        total.index_add_(0, rows, values)

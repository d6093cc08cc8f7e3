"""The one part of a diffusers Wan that is replaced on the instance: its RoPE, which knows only positions 0, 1, 2, ...

Here a frame may stand anywhere in time, at a whole number or not, near or far: computed in float64, kept in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Row
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..kernels import MocLayout
from .attention import BlockState, MemoryAttnProcessor, RoutedTurns, Routing, Split, SplitTurns, TextAttnProcessor

THETA = 10000.0


@dataclass(frozen=True)
class Sequence:
    """What one call of the transformer is about: positions (T + K,) in time of its latent frames, and how to route or
    split its attention."""

    positions: tuple[float, ...]
    layout: MocLayout | None = None
    routing: Routing | None = None
    seed: int | None = None
    split: Split | None = None


class PlacedRope(nn.Module):
    """RoPE at given positions of frames; where none are given it is the model's own, to the bit. Holds no weights."""

    def __init__(self, stock: nn.Module) -> None:
        super().__init__()
        self.stock = stock
        self._now: Sequence | None = None

    def forward(self, hidden_states: Tensor) -> Any:
        """What every block is given of the positions of latents (B, C, T, h, w).

        Raises ValueError where another number of positions was given.
        """
        now = self._now
        if now is None:
            return self.stock(hidden_states)
        stock: Any = self.stock
        frames, height, width = hidden_states.shape[2:]
        if frames != len(now.positions):
            count = len(now.positions)
            raise ValueError(f"{frames} latent frames were given and {count} positions: give one for each.")
        axes = Axes(stock.t_dim, stock.h_dim, stock.w_dim)
        _, patch_h, patch_w = stock.patch_size
        cos, sin = turns(axes, now.positions, height // patch_h, width // patch_w, hidden_states.device)
        if now.split is not None:
            return SplitTurns(cos, sin, now.split)
        if now.layout is None or now.routing is None:
            return cos, sin
        return RoutedTurns(cos, sin, now.layout, now.routing, now.seed)

    @contextmanager
    def using(self, sequence: Sequence) -> Iterator[None]:
        """While this is open, calls of the transformer are about ``sequence``. Raises RuntimeError if one is open."""
        if self._now is not None:
            raise RuntimeError("This transformer is being called already: use one transformer for one thread.")
        self._now = sequence
        try:
            yield
        finally:
            self._now = None


def with_memory(transformer: Any) -> Any:
    """The transformer itself, its RoPE and the processors of its attention exchanged. Once is enough.

    Neither weights nor their names change, and without a context it computes what it did before, to the bit.

    Raises:
        ValueError: it is no diffusers WanTransformer3DModel, or its patches span more than one latent frame.
    """
    if isinstance(getattr(transformer, "rope", None), PlacedRope):
        return transformer
    patch = getattr(getattr(transformer, "config", None), "patch_size", None)
    if not hasattr(transformer, "rope") or not hasattr(transformer, "blocks") or patch is None:
        raise ValueError(f"{type(transformer).__name__} cannot be given a memory: use a WanTransformer3DModel.")
    if patch[0] != 1:
        raise ValueError(f"patch_size is {tuple(patch)}: only patches of one latent frame are known. Use (1, 2, 2).")
    transformer.rope = PlacedRope(transformer.rope)
    for layer, block in enumerate(transformer.blocks):
        state = BlockState()
        block.attn1.set_processor(MemoryAttnProcessor(layer, state))
        block.attn2.set_processor(TextAttnProcessor(state))
    return transformer


@dataclass(frozen=True)
class Axes:
    """How the numbers of a head are shared out: rotated by time, by row, by column."""

    time: int
    row: int
    column: int


def turns(axes: Axes, positions: Row[float], rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (1, frames * rows * columns, 1, head) float32 of tokens at these positions in time.

    Each number of a pair is given twice, as diffusers wants them.
    """
    parts = [
        _axis(torch.tensor(list(positions), dtype=torch.float64), axes.time)[:, None, None],
        _axis(torch.arange(rows, dtype=torch.float64), axes.row)[None, :, None],
        _axis(torch.arange(columns, dtype=torch.float64), axes.column)[None, None],
    ]
    grid = (len(positions), rows, columns)
    angles = torch.cat([part.expand(*grid, part.shape[-1]) for part in parts], dim=-1)
    angles = angles.reshape(1, -1, 1, angles.shape[-1]).repeat_interleave(2, dim=-1)
    return angles.cos().float().to(device), angles.sin().float().to(device)


def _axis(positions: Tensor, size: int) -> Tensor:
    """Angles (n, size / 2) in float64."""
    speeds = 1.0 / THETA ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    return torch.outer(positions, speeds)

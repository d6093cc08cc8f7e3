"""Where frames stand in time: RoPE of any place, whole or not, near or far, computed in float64 and kept in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .options import AFTER, BEFORE, TRUE

THETA = 10000.0


def context_places(kind: str, ago: Sequence[float], own: int) -> tuple[float, ...]:
    """Places (K,) of context frames, oldest first, in latent frames; the first of ``own`` frames made is at 0.

    Args:
        kind: BEFORE, AFTER or TRUE.
        ago: latent frames between each context frame and the start of the segment; used by TRUE.
    """
    count = len(ago)
    if kind == AFTER:
        return tuple(float(own + count - 1 - place) for place in range(count))
    if kind == TRUE:
        return tuple(-float(one) for one in ago)
    if kind == BEFORE:
        return tuple(float(place - count) for place in range(count))
    raise ValueError(f"positions is {kind!r}: expected {BEFORE!r}, {AFTER!r} or {TRUE!r}.")


@dataclass(frozen=True)
class Axes:
    """How the numbers of a head are shared out: rotated by time, by row, by column."""

    time: int
    row: int
    column: int


def turns(axes: Axes, places: Sequence[float], rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (1, frames * rows * columns, 1, head) float32 of tokens at these places in time.

    Each number of a pair is given twice, as diffusers wants them.
    """
    parts = [
        _axis(torch.tensor(list(places), dtype=torch.float64), axes.time)[:, None, None],
        _axis(torch.arange(rows, dtype=torch.float64), axes.row)[None, :, None],
        _axis(torch.arange(columns, dtype=torch.float64), axes.column)[None, None],
    ]
    grid = (len(places), rows, columns)
    angles = torch.cat([part.expand(*grid, part.shape[-1]) for part in parts], dim=-1)
    angles = angles.reshape(1, -1, 1, angles.shape[-1]).repeat_interleave(2, dim=-1)
    return angles.cos().float().to(device), angles.sin().float().to(device)


def _axis(places: Tensor, size: int) -> Tensor:
    """Angles (n, size / 2) in float64."""
    speeds = 1.0 / THETA ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    return torch.outer(places, speeds)

"""Layouts and tensors for the tests of MoC attention."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]


@pytest.fixture
def tensors() -> MakeTensors:
    """make(layout, batch=1, heads=2, size=8, dtype=torch.float32, seed=0) -> q, k, v of that layout."""

    def make(
        layout: MocLayout,
        batch: int = 1,
        heads: int = 2,
        size: int = 8,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)

        def draw(tokens: int) -> Tensor:
            return torch.randn(batch, heads, tokens, size, generator=generator, dtype=torch.float64).to(dtype)

        return draw(layout.queries), draw(layout.keys), draw(layout.keys)

    return make

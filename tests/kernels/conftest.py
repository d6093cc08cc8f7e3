"""Layouts and tensors for the tests of MoC attention."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import MocLayout

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]


@pytest.fixture(scope="session")
def decided() -> Callable[[Tensor, Tensor, MocLayout], bool]:
    """decided(q, k, layout): no query is torn between two chunks, so that no rounding changes what it chooses."""

    def gaps(q: Tensor, k: Tensor, layout: MocLayout) -> bool:
        means = [k[:, :, begin:end].double().mean(dim=2) for begin, end in pairwise(layout.key_starts)]
        scores = q.double() @ torch.stack(means, dim=3)
        return bool((scores.sort(dim=-1).values.diff(dim=-1) > 3e-6).all())

    return gaps


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

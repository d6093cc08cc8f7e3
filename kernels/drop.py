"""Drop-off and drop-in: in training, some chosen chunks are left out and some random ones let in.

They keep the model from leaning on a few chunks and give the others a gradient (Mixture of Contexts, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .settings import MocSettings


@dataclass(frozen=True)
class Drops:
    """What one call draws: chunks left out of, and added to, the choice of every query."""

    removed: int
    added: int
    generator: torch.Generator

    def even(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1), drawn on the generator's device."""
        return torch.rand(shape, generator=self.generator, device=self.generator.device)


def draw_drops(settings: MocSettings, generator: torch.Generator | None) -> Drops | None:
    """One draw for one call; None where the settings ask for neither. Raises ValueError without a generator."""
    if not settings.random:
        return None
    if generator is None:
        raise ValueError(
            f"drop_off is {settings.drop_off} and drop_in is {settings.drop_in}, but no generator was given: "
            "pass generator=torch.Generator().manual_seed(...), or set both to 0."
        )
    draw = torch.rand((), generator=generator, device=generator.device).item()
    mean = torch.tensor(float(settings.drop_in), device=generator.device)
    return Drops(
        removed=math.floor(draw * settings.drop_off * settings.top_k),
        added=int(torch.poisson(mean, generator=generator).item()),
        generator=generator,
    )


def dropped_off(places: Tensor, drops: Drops) -> Tensor:
    """`drops.removed` of the choices (..., top_k) of every query, each as likely as the others, become -1."""
    if not drops.removed:
        return places
    least = drops.even(*places.shape).to(places.device).topk(drops.removed, dim=-1, largest=False).indices
    return places.scatter(-1, least, -1)


def dropped_in(places: Tensor, drops: Drops, candidates: int) -> Tensor:
    """`drops.added` random candidates more for every query, -1 where one was chosen already."""
    for _ in range(drops.added):
        more = (drops.even(*places.shape[:-1], 1) * candidates).long().clamp_(max=candidates - 1).to(places.device)
        more = more.masked_fill((places == more).any(dim=-1, keepdim=True), -1)
        places = torch.cat([places, more], dim=-1)
    return places

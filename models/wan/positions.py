"""Where remembered frames stand in time: explicit RoPE positions, exact for any distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .options import AFTER, BEFORE, TRUE


@dataclass(frozen=True)
class ContextPositions:
    """Places of context frames, oldest first, in latent frames; the first frame being made is at 0.

    ``kind`` BEFORE: -K..-1. AFTER: the newest right behind the T frames being made, older ones further on, as
    Echo-Memory and Phantom append theirs. TRUE: ``ago`` latent frames before the segment, as long ago as they are.
    """

    kind: str
    ago: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ago)

    def at(self, own: int) -> list[float]:
        """Positions (K,) beside ``own`` frames being made."""
        count = len(self)
        if self.kind == AFTER:
            return [float(own + count - 1 - place) for place in range(count)]
        if self.kind == TRUE:
            return [-ago for ago in self.ago]
        assert self.kind == BEFORE
        return [float(place - count) for place in range(count)]


def rotary(
    network: Any, own: int, places: list[float], height: int, width: int, like: Tensor, options: dict[str, Any]
) -> Tensor:
    """RoPE (1, tokens, 1, d/2, 2, 2): ``own`` frames where the network itself puts them, then frames at ``places``.

    Context is computed in float32: bfloat16, which the network would use, has no whole numbers above 256.
    """
    device = like.device
    first = network.rope_encode(t=own, h=height, w=width, device=device, dtype=like.dtype, transformer_options=options)
    scale = (options.get("rope_options") or {}).get("scale_t", 1.0)
    rest = [
        network.rope_encode(
            t=1, h=height, w=width, t_start=place * scale, device=device, dtype=torch.float32,
            transformer_options=options,
        )
        for place in places
    ]  # fmt: skip
    return torch.cat([first, *rest], dim=1)

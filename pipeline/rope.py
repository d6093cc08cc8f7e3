"""The one part of a diffusers Wan that is replaced on the instance: its RoPE, which knows only places 0, 1, 2, ..."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..kernels import MocLayout
from .attention import MemoryAttnProcessor, RoutedTurns, Split, SplitTurns, TextAttnProcessor, Told
from .options import Routing
from .positions import Axes, turns


@dataclass(frozen=True)
class Sequence:
    """What one call of the transformer is about: places (T + K,) in time of its latent frames, and how to route or
    split its attention."""

    places: tuple[float, ...]
    layout: MocLayout | None = None
    routing: Routing | None = None
    seed: int | None = None
    split: Split | None = None


class PlacedRope(nn.Module):
    """RoPE that is told the places of frames; untold it is the model's own, to the bit. Holds no weights."""

    def __init__(self, stock: nn.Module) -> None:
        super().__init__()
        self.stock = stock
        self._now: Sequence | None = None

    def forward(self, hidden_states: Tensor) -> Any:
        now = self._now
        if now is None:
            return self.stock(hidden_states)
        stock: Any = self.stock
        frames, height, width = hidden_states.shape[2:]
        if frames != len(now.places):
            raise ValueError(f"{frames} latent frames were given and {len(now.places)} places: give one for each.")
        axes = Axes(stock.t_dim, stock.h_dim, stock.w_dim)
        _, patch_h, patch_w = stock.patch_size
        cos, sin = turns(axes, now.places, height // patch_h, width // patch_w, hidden_states.device)
        if now.split is not None:
            return SplitTurns(cos, sin, now.split)
        if now.layout is None or now.routing is None:
            return cos, sin
        return RoutedTurns(cos, sin, now.layout, now.routing, now.seed)

    @contextmanager
    def told(self, sequence: Sequence) -> Iterator[None]:
        """While this is open, a call of the transformer is about ``sequence``. One at a time on one transformer."""
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
        told = Told()
        block.attn1.set_processor(MemoryAttnProcessor(layer, told))
        block.attn2.set_processor(TextAttnProcessor(told))
    return transformer

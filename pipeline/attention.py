"""Self-attention of a Wan block, routed where the sequence says so and diffusers' own everywhere else."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor

from ..kernels import MocLayout, moc_attention
from .options import Routing


class RoutedTurns(NamedTuple):
    """What reaches every block in the place of RoPE's cosines and sines: these, and how to route.

    It travels as an argument, so that gradient checkpointing sees the same when it computes a block again.
    ``seed`` fixes what drop-off and drop-in draw; None where nothing is drawn.
    """

    cos: Tensor
    sin: Tensor
    layout: MocLayout
    routing: Routing
    seed: int | None = None


class MemoryAttnProcessor(WanAttnProcessor):  # type: ignore[misc]
    """The processor of a block's self-attention; ``layer`` is the number of the block."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.layer = layer

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        if not isinstance(rotary_emb, RoutedTurns):
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        if self.layer < rotary_emb.routing.dense_layers:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb[:2])
        return self._routed(attn, hidden_states, rotary_emb)

    def _routed(self, attn: Any, hidden: Tensor, turns: RoutedTurns) -> Tensor:
        if getattr(attn, "fused_projections", False):
            query, key, value = attn.to_qkv(hidden).chunk(3, dim=-1)
        else:
            query, key, value = attn.to_q(hidden), attn.to_k(hidden), attn.to_v(hidden)
        query, key, value = (
            part.unflatten(2, (attn.heads, -1)) for part in (attn.norm_q(query), attn.norm_k(key), value)
        )
        query, key = turned(query, turns.cos, turns.sin), turned(key, turns.cos, turns.sin)
        mixed = moc_attention(
            *(part.transpose(1, 2) for part in (query, key, value)),
            turns.layout,
            turns.routing.settings,
            turns.routing.implementation,
            generator=self._generator(turns, hidden.device),
        )
        mixed = mixed.transpose(1, 2).flatten(2).type_as(query)
        result: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return result

    def _generator(self, turns: RoutedTurns, device: torch.device) -> torch.Generator | None:
        if turns.seed is None or not turns.routing.settings.random:
            return None
        return torch.Generator(device).manual_seed((turns.seed * 1_000_003 + self.layer) % 2**63)


def turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys (B, L, H, D) rotated by their places; each angle stands twice in ``cos`` and ``sin``."""
    even, odd = heads.unflatten(-1, (-1, 2)).unbind(-1)
    c, s = cos[..., 0::2], sin[..., 1::2]
    return torch.stack([even * c - odd * s, even * s + odd * c], dim=-1).flatten(-2).type_as(heads)

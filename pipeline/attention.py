"""Attention of a Wan block, routed or split where the sequence says so and diffusers' own everywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor

from ..kernels import IMPLEMENTATIONS, MocLayout, MocSettings, moc_attention


@dataclass(frozen=True)
class Routing:
    """How self-attention is routed while there is a context (Mixture of Contexts, section 3).

    settings: chunks a query may look into. implementation: of ``kernels.moc_attention``. chunk_tokens: size of a chunk,
    0 for one context frame. anchor_frames: first context frames that everything attends to. dense_layers, dense_steps:
    layers and sampling steps at the start that stay dense.
    """

    settings: MocSettings = MocSettings()
    implementation: str = "auto"
    chunk_tokens: int = 0
    anchor_frames: int = 0
    dense_layers: int = 0
    dense_steps: int = 0

    def __post_init__(self) -> None:
        if self.implementation != "auto" and self.implementation not in IMPLEMENTATIONS:
            known = ", ".join(("auto", *IMPLEMENTATIONS))
            raise ValueError(f"implementation is {self.implementation!r}: expected one of {known}. Use auto.")
        for name in ("chunk_tokens", "anchor_frames", "dense_layers", "dense_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or above. Use 0.")


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


class Split(NamedTuple):
    """Tokens at the end of a sequence [shot | memory | subject] and of its text [shot's | subject's] (Memento)."""

    memory: int
    subject: int
    text: int
    """Tokens of the subject's text."""


class SplitTurns(NamedTuple):
    """What reaches every block where shot and subject see each other through the memory only."""

    cos: Tensor
    sin: Tensor
    split: Split


class BlockState:
    """The split that a block's self-attention was last called with; its attention to the text follows in the block."""

    split: Split | None = None


class MemoryAttnProcessor(WanAttnProcessor):  # type: ignore[misc]
    """The processor of a block's self-attention; ``layer`` is the number of the block."""

    def __init__(self, layer: int, state: BlockState) -> None:
        super().__init__()
        self.layer, self.state = layer, state

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        self.state.split = rotary_emb.split if isinstance(rotary_emb, SplitTurns) else None
        if isinstance(rotary_emb, SplitTurns):
            return self._split(attn, hidden_states, rotary_emb)
        if not isinstance(rotary_emb, RoutedTurns):
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        if self.layer < rotary_emb.routing.dense_layers:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb[:2])
        return self._routed(attn, hidden_states, rotary_emb)

    def _split(self, attn: Any, hidden: Tensor, turns: SplitTurns) -> Tensor:
        query, key, value = _projected(attn, hidden, turns.cos, turns.sin)
        whole, memory = hidden.shape[1], turns.split.memory
        begin, end = whole - turns.split.subject - memory, whole - turns.split.subject
        shot, subject = (
            dispatch_attention_fn(query[:, part], key[:, part], value[:, part], backend=self._attention_backend)
            for part in (slice(0, end), slice(begin, whole))
        )
        both = 0.5 * shot[:, begin:] + 0.5 * subject[:, :memory]
        mixed = torch.cat([shot[:, :begin], both, subject[:, memory:]], dim=1).flatten(2).type_as(query)
        result: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return result

    def _routed(self, attn: Any, hidden: Tensor, turns: RoutedTurns) -> Tensor:
        query, key, value = _projected(attn, hidden, turns.cos, turns.sin)
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


class TextAttnProcessor(WanAttnProcessor):  # type: ignore[misc]
    """The processor of a block's attention to the text: the subject's tokens see the subject's text alone."""

    def __init__(self, state: BlockState) -> None:
        super().__init__()
        self.state = state

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        split = self.state.split
        if split is None or encoder_hidden_states is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        tokens, words = hidden_states.shape[1] - split.subject, encoder_hidden_states.shape[1] - split.text
        shot = super().__call__(attn, hidden_states[:, :tokens], encoder_hidden_states[:, :words])
        subject = super().__call__(attn, hidden_states[:, tokens:], encoder_hidden_states[:, words:])
        return torch.cat([shot, subject], dim=1)


def _projected(attn: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys, rotated by their positions, and values: (B, L, H, D) each."""
    if getattr(attn, "fused_projections", False):
        query, key, value = attn.to_qkv(hidden).chunk(3, dim=-1)
    else:
        query, key, value = attn.to_q(hidden), attn.to_k(hidden), attn.to_v(hidden)
    query, key, value = (part.unflatten(2, (attn.heads, -1)) for part in (attn.norm_q(query), attn.norm_k(key), value))
    return turned(query, cos, sin), turned(key, cos, sin), value


def turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries or keys (B, L, H, D) rotated by their positions; each angle stands twice in ``cos`` and ``sin``."""
    even, odd = heads.unflatten(-1, (-1, 2)).unbind(-1)
    c, s = cos[..., 0::2], sin[..., 1::2]
    return torch.stack([even * c - odd * s, even * s + odd * c], dim=-1).flatten(-2).type_as(heads)

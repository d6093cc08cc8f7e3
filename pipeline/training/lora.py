"""Low-rank layers beside a transformer's own, and their file: the names that ComfyUI and diffusers both read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..original import original_name

ATTENTION = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
TEXT = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
FEED = ("ffn.net.0.proj", "ffn.net.2")
TARGETS = {"self-attention": ATTENTION, "attention": (*ATTENTION, *TEXT), "all": (*ATTENTION, *TEXT, *FEED)}


class LoraLinear(nn.Module):
    """A linear layer that stays, and a low-rank one beside it: y = W x + (alpha / rank) B A x, B = 0 at the start."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, random: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / rank
        down = torch.randn(rank, base.in_features, generator=random) / base.in_features**0.5
        self.down = nn.Parameter(down.to(base.weight.device))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))

    @property
    def weight(self) -> Tensor:
        """The layer's own weight, of the shape (out, in): blocks ask for its type."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, out) of (B, L, in)."""
        beside = nn.functional.linear(nn.functional.linear(x.to(self.down.dtype), self.down), self.up)
        result: Tensor = self.base(x) + (self.scale * beside).to(x.dtype)
        return result


class LoraLayers:
    """The low-rank layers of a transformer by the names of the layers they stand beside. Their weights are float32."""

    def __init__(self, layers: Mapping[str, LoraLinear], rank: int, alpha: float) -> None:
        self.layers, self.rank, self.alpha = dict(layers), rank, alpha

    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, in a fixed order."""
        return {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in sorted(self.layers.items())
            for part in ("down", "up")
        }

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over weights of ``weights()``. Raises ValueError where one is missing or of another shape."""
        for name, parameter in self.weights().items():
            if name not in weights or weights[name].shape != parameter.shape:
                raise ValueError(f"The weights of {name!r} are missing or of another shape. Use the rank of before.")
            with torch.no_grad():
                parameter.copy_(weights[name])

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Writes the LoRA for ComfyUI's loaders and for ``load_lora_weights`` of diffusers."""
        found: dict[str, Tensor] = {}
        for name, layer in self.layers.items():
            theirs = f"diffusion_model.{original_name(name)}"
            found[f"{theirs}.lora_A.weight"] = layer.down.detach().cpu().clone()
            found[f"{theirs}.lora_B.weight"] = layer.up.detach().cpu().clone()
            found[f"{theirs}.alpha"] = torch.tensor(float(self.alpha))
        part = path.with_suffix(".part")
        save_file(found, part, metadata=dict(metadata))
        part.replace(path)


def add_lora(transformer: Any, rank: int, alpha: float = 0.0, layers: str = "attention", seed: int = 0) -> LoraLayers:
    """Puts low-rank layers beside a transformer's, on the instance; everything else of it stays as it is, untrained.

    Args:
        rank: 64 is usual. alpha: 0 takes the rank.
        layers: "self-attention", "attention" or "all" (with the feed-forward layers).

    Raises:
        ValueError: rank or layers are none of these.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}: at least 1 is needed. Use 64.")
    if layers not in TARGETS:
        raise ValueError(f"layers is {layers!r}: expected one of {', '.join(TARGETS)}. Use attention.")
    transformer.requires_grad_(False)
    random, alpha = torch.Generator().manual_seed(seed), alpha or float(rank)
    made: dict[str, LoraLinear] = {}
    for number, block in enumerate(transformer.blocks):
        for name in TARGETS[layers]:
            home, _, last = name.rpartition(".")
            owner = block.get_submodule(home)
            layer = LoraLinear(getattr(owner, last), rank, alpha, random)
            setattr(owner, last, layer)
            made[f"blocks.{number}.{name}"] = layer
    return LoraLayers(made, rank, alpha)

"""Read the world model's weights file into a MODEL, a CLIP and a VAE, and what these last two are to stock nodes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...world.network import PATCH, TextEncoder
from ...world.vocabulary import tokenize, unknown_words
from .diffusion import WorldConfig

log = logging.getLogger(__name__)

WEIGHTS = Path(__file__).parents[2] / "world" / "weights" / "world.safetensors"
FORMAT = "scene-memory-world-1"
_CURE = "Install the pack again, or train the weights with world/training/train.py."
LARGEST_KEPT = (32 << 20) - (64 << 10)
"""The largest block, in bytes, from which the C library on Linux learns how much freed memory to keep for the next."""

Tokens = dict[str, list[list[tuple[int, float]]]]


class WeightsError(ValueError):
    """The weights cannot be used; the message says why and what to do."""


def load_world_model(path: Path = WEIGHTS) -> tuple[ModelPatcher, WorldCLIP, WorldVAE]:
    """MODEL, CLIP and VAE from a world model's safetensors file.

    Raises:
        WeightsError: the file is missing, damaged or of another model.
    """
    weights, options = read_weights(path)
    config = WorldConfig(unet_config=options)
    config.set_inference_dtype(dtype=torch.float32, manual_cast_dtype=None)
    model = config.get_model({}, device=comfy.model_management.unet_offload_device())
    network = {name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")}
    text = {name.removeprefix("text."): value for name, value in weights.items() if name.startswith("text.")}
    if "words.weight" not in text:
        raise WeightsError(f"{path.name} has no caption encoder. {_CURE}")
    encoder = TextEncoder(vocabulary=len(text["words.weight"]))
    for part, module, values in (("network", model.diffusion_model, network), ("caption encoder", encoder, text)):
        try:
            module.load_state_dict(values)
        except RuntimeError as error:
            raise WeightsError(f"{path.name} does not fit the world model's {part}: {error}. {_CURE}") from error
    # The layout that a processor's convolutions are quickest with: a fifth less time for a segment.
    model.diffusion_model.to(memory_format=torch.channels_last)
    # Got and given back once, so that a segment's pictures do not go back to the system to be asked for again: some
    # 10,000 page faults a segment become less than 100. Nothing is written to it, so it takes no memory.
    torch.empty(LARGEST_KEPT, dtype=torch.uint8)
    patcher = ModelPatcher(
        model=model,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    return patcher, WorldCLIP(encoder.eval().requires_grad_(False)), WorldVAE()


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a world model's file in float32, by their names, each in the shape that it was saved in, and the
    network's options in it.

    Raises:
        WeightsError: the file is missing, damaged or of another format.
    """
    if not path.is_file():
        raise WeightsError(f"The world model's weights are missing: there is no {path.name} in {path.parent}. {_CURE}")
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if (found := notes.get("format")) != FORMAT:
                raise WeightsError(f"{path.name} is of the format {found!r}, expected {FORMAT!r}. {_CURE}")
            config = json.loads(notes.get("config", "{}"))
            options = {"weave": str(config.get("weave", "")), "steered": bool(config.get("steered", False))}
            # Only where there are some: a film made with weights that know of none keeps its key.
            options |= {"mirrors": True} if config.get("mirrors") else {}
            return {name: file.get_tensor(name).float() for name in file.keys()}, options
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path.name} is damaged: {error}. {_CURE}") from error


class WorldCLIP:
    """Tokenizes and encodes captions of little worlds; works with the stock CLIP Text Encode."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def clone(self) -> WorldCLIP:
        return WorldCLIP(self.encoder)

    def tokenize(self, text: str, return_word_ids: bool = False, **_: Any) -> Tokens:
        """Token numbers with weight 1, in the shape that stock nodes pass around."""
        if unknown := unknown_words(text):
            log.info("The world model does not know these words and leaves them out: %s.", ", ".join(unknown))
        return {"world": [[(token, 1.0) for token in tokenize(text)]]}

    @torch.inference_mode(False)
    @torch.no_grad()
    def encode_from_tokens(self, tokens: Tokens, return_pooled: bool = False, return_dict: bool = False) -> Any:
        numbers = torch.tensor([[token for token, _ in row] for row in tokens["world"]], dtype=torch.long)
        encoded = self.encoder(numbers).to(comfy.model_management.intermediate_device())
        if return_dict:
            return {"cond": encoded, "pooled_output": None}
        return (encoded, None) if return_pooled else encoded

    def encode_from_tokens_scheduled(self, tokens: Tokens, **_: Any) -> list[list[Any]]:
        return [[self.encode_from_tokens(tokens), {}]]


class WorldVAE:
    """What stock nodes ask of a VAE: latents are pixels, so coding only moves axes and range."""

    latent_channels = 3
    latent_dim = 3
    output_channels = 3
    downscale_ratio = 1
    upscale_ratio = 1

    def encode(self, pixels: Tensor) -> Tensor:
        """(F, H, W, C) or (B, F, H, W, C) in [0, 1] to (B, 3, F, H, W) in [-1, 1], cropped to multiples of PATCH."""
        if pixels.ndim == 4:
            pixels = pixels[None]
        height, width = (side // PATCH * PATCH for side in pixels.shape[2:4])
        top, left = (pixels.shape[2] - height) // 2, (pixels.shape[3] - width) // 2
        kept = pixels[:, :, top : top + height, left : left + width, :3]
        return kept.movedim(-1, 1).to(comfy.model_management.intermediate_device()) * 2 - 1

    def decode(self, samples: Tensor, vae_options: dict[str, Any] | None = None) -> Tensor:
        """(B, 3, F, H, W) in [-1, 1] to (B, F, H, W, 3) in [0, 1]."""
        if samples.ndim == 4:
            samples = samples.unsqueeze(2)
        pictures = samples.movedim(1, -1).to(comfy.model_management.intermediate_device())
        return ((pictures + 1) / 2).clamp(0, 1)

    def encode_tiled(self, pixels: Tensor, **_: Any) -> Tensor:
        """As ``encode``, (F, H, W, C) to (1, 3, F, H, W): there is nothing to be done in tiles."""
        return self.encode(pixels)

    def decode_tiled(self, samples: Tensor, **_: Any) -> Tensor:
        """As ``decode``, (B, 3, F, H, W) to (B, F, H, W, 3)."""
        return self.decode(samples)

    def spacial_compression_encode(self) -> int:
        return 1

    def spacial_compression_decode(self) -> int:
        return 1

    def temporal_compression_decode(self) -> int:
        return 1

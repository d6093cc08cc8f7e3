"""Read the world model's weights file into a MODEL, a VAE and a CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from safetensors import SafetensorError, safe_open

from ...world.network import TextEncoder
from .clip import WorldCLIP
from .diffusion import WorldConfig
from .vae import WorldVAE

WEIGHTS = Path(__file__).parents[2] / "world" / "weights" / "world.safetensors"
FORMAT = "scene-memory-world-1"
LARGEST_KEPT = (32 << 20) - (64 << 10)
"""The largest block, in bytes, from which the C library on Linux learns how much freed memory to keep for the next."""


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


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Float32 tensors of a world model's file, checked for its format name, and the network's options in it."""
    if not path.is_file():
        raise WeightsError(f"The world model's weights are missing: there is no {path.name} in {path.parent}. {_CURE}")
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if (found := notes.get("format")) != FORMAT:
                raise WeightsError(f"{path.name} is of the format {found!r}, expected {FORMAT!r}. {_CURE}")
            config = json.loads(notes.get("config", "{}"))
            options = {"weave": str(config.get("weave", "")), "steered": bool(config.get("steered", False))}
            return {name: file.get_tensor(name).float() for name in file.keys()}, options
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path.name} is damaged: {error}. {_CURE}") from error


_CURE = "Install the pack again, or train the weights with world/training/train.py."

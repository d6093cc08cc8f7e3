"""Tiny Wan checkpoints with random weights under the names of the public files: the real loaders take them in seconds.

Only sizes differ from the public files. Names, keys and numbers of channels are theirs, so the host detects the same
family and builds the same classes. The text width is the world model's, whose CLIP stands in for UMT5-XXL, which the
host cannot load in any smaller size.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

TEXT_DIM = 256
SIZES: dict[str, Any] = {"num_heads": 4, "text_dim": TEXT_DIM, "freq_dim": 64}
"""What the host cannot tell from the weights of a tiny network; it reads it from the file's metadata."""

DIM = 64


@dataclass(frozen=True)
class TinyModel:
    """One public file: its class in the host's wan module, its channels and what else its builder takes."""

    network: str
    in_dim: int
    out_dim: int = 16
    built_with: dict[str, Any] = field(default_factory=dict)


_I2V = TinyModel("WanModel", 36, built_with={"model_type": "i2v"})
_T2V = TinyModel("WanModel", 16, built_with={"model_type": "t2v"})
_A14B_I2V = TinyModel("WanModel", 36, built_with={"model_type": "t2v"})
_CAMERA22 = TinyModel("CameraWanModel", 36, built_with={"model_type": "camera_2.2"})

MODELS: dict[str, TinyModel] = {
    "wan2.1_t2v_1.3B_fp16.safetensors": _T2V,
    "wan2.1_i2v_480p_14B_fp16.safetensors": _I2V,
    "wan2.2_ti2v_5B_fp16.safetensors": TinyModel("WanModel", 48, 48, {"model_type": "t2v"}),
    "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": _T2V,
    "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors": _T2V,
    "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors": _A14B_I2V,
    "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors": _A14B_I2V,
    "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors": TinyModel(
        "CameraWanModel", 32, built_with={"model_type": "camera"}
    ),
    "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors": _CAMERA22,
    "wan2.2_fun_camera_low_noise_14B_fp8_scaled.safetensors": _CAMERA22,
    "wan2.1_vace_1.3B_fp16.safetensors": TinyModel(
        "VaceWanModel", 16, built_with={"model_type": "vace", "vace_layers": 1, "vace_in_dim": 96}
    ),
    # A model of the same house that takes no memory: for what is refused.
    "wan2.1_fun_control_1.3B_bf16.safetensors": TinyModel("WanModel", 48, built_with={"model_type": "i2v"}),
}
VAES = ("wan_2.1_vae.safetensors", "wan2.2_vae.safetensors")


def make_model(folder: Path, name: str, seed: int = 0) -> Path:
    """The diffusion model of that name in ``folder``, made if it is not there; ComfyUI must be importable."""
    import comfy.ldm.wan.model as wan
    import comfy.ops

    known = MODELS[name]
    path = folder / name
    if not path.is_file():
        network = getattr(wan, known.network)(
            in_dim=known.in_dim,
            out_dim=known.out_dim,
            dim=DIM,
            ffn_dim=2 * DIM,
            num_layers=2,
            operations=comfy.ops.disable_weight_init,
            **known.built_with,
            **SIZES,
        )
        seed += sum(map(ord, name))
        _save(random_weights(network, seed), path, {"config": json.dumps({"transformer": SIZES})})
    return path


def make_vae(folder: Path, name: str, seed: int = 0) -> Path:
    """The VAE of that name in ``folder``. Wan 2.2's own has one size only, 705 million weights: its place is taken by
    the host's small video VAE with the same latents (48 channels, 16 x 16 x 4)."""
    path = folder / name
    if not path.is_file():
        network: nn.Module
        if name == VAES[0]:
            from comfy.ldm.wan.vae import WanVAE

            network = WanVAE(dim=4, z_dim=16, temperal_downsample=[False, True, True])
        else:
            from comfy.taesd.taehv import TAEHV

            network = TAEHV(latent_channels=48)
        _save(random_weights(network, seed), path, None)
    return path


def random_weights(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Numbers for every weight that keep what flows through the network near 1: norms are 1, matrices random."""
    random = torch.Generator().manual_seed(seed)
    return {name: _weight(name, value, random) for name, value in network.state_dict().items()}


def _weight(name: str, value: Tensor, random: torch.Generator) -> Tensor:
    if "norm" in name or "gamma" in name:
        return torch.ones(value.shape) if "bias" not in name else torch.zeros(value.shape)
    scale = 0.1 if value.ndim < 2 or "modulation" in name else max(1, value[0].numel()) ** -0.5
    return scale * torch.randn(value.shape, generator=random)


def _save(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(weights, part, metadata=metadata)
    part.replace(path)


Maker = Callable[[str], str]


def maker(models: Path) -> Maker:
    """``make(name)`` puts a file into the right folder of ``models`` and returns its name."""

    def make(name: str) -> str:
        if name in VAES:
            return make_vae(models / "vae", name).name
        return make_model(models / "diffusion_models", name).name

    return make


def needs_files(workflow: Mapping[str, Any]) -> bool:
    """Whether a workflow loads models that do not come with the pack."""
    return any(node["type"] == "UNETLoader" for node in workflow["nodes"])


def lay_out(workflow: Mapping[str, Any], base: Path) -> None:
    """Puts what a workflow loads into a server's folders, under its public names: tiny models, and a first picture.

    The text encoder is an empty file: it can be chosen, not loaded.
    """
    for node in workflow["nodes"]:
        if node["type"] in ("UNETLoader", "VAELoader"):
            maker(base / "models")(node["widgets_values"][0])
        elif node["type"] == "CLIPLoader":
            path = base / "models" / "text_encoders" / node["widgets_values"][0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        elif node["type"] == "LoadImage":
            path = base / "input" / node["widgets_values"][0]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
                cv2.imwrite(str(path), cv2.GaussianBlur(picture, (9, 9), 4))


def reduced(prompt: dict[str, dict[str, Any]], side: int = 64) -> dict[str, dict[str, Any]]:
    """A prompt for tiny models: small pictures, two steps, and the world model's CLIP where the big one is loaded."""
    small = copy.deepcopy(prompt)
    clips = [name for name, node in small.items() if node["class_type"] == "CLIPLoader"]
    for name, node in small.items():
        kind, inputs = node["class_type"], node["inputs"]
        if name in clips:
            small[name] = {"class_type": "SceneMemoryLoadWorldModel", "inputs": {"weights": "bundled"}}
        elif kind == "SceneMemoryBank":
            inputs.update(width=side, height=side)
        elif kind == "SceneMemoryMocSampler":
            inputs["steps"] = 2
        for key, value in inputs.items():
            if isinstance(value, list) and value[0] in clips:
                inputs[key] = [value[0], 1]
    return small

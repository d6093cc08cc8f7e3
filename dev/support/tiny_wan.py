"""Tiny Wan checkpoints with random weights under the names of the public files: the real loaders take them in seconds.

Only sizes differ from the public files. Names, keys and numbers of channels are theirs, so the host detects the same
family and builds the same classes. The text width is the world model's, whose CLIP stands in for UMT5-XXL, which the
host cannot load in any smaller size.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

TEXT_DIM = 256
SIZES: dict[str, Any] = {"num_heads": 4, "text_dim": TEXT_DIM, "freq_dim": 64}
"""What the host cannot tell from the weights of a tiny network; it reads it from the file's metadata."""

DIM, LAYERS = 64, 2


@dataclass(frozen=True)
class TinyModel:
    """One public file: its class in the host's wan module, its channels and what else its builder takes.

    camera_layers: whether the file also holds Echo-Memory's layers for the camera path, which the host leaves out.
    """

    network: str
    in_dim: int
    out_dim: int = 16
    built_with: dict[str, Any] = field(default_factory=dict)
    camera_layers: bool = False


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
    "wan2.1_fun_inp_1.3B_bf16.safetensors": _I2V,
    "wan2.2_fun_inpaint_high_noise_14B_fp8_scaled.safetensors": _A14B_I2V,
    "wan2.2_fun_inpaint_low_noise_14B_fp8_scaled.safetensors": _A14B_I2V,
    "Phantom-Wan-1_3B_fp16.safetensors": _T2V,
    "epoch-0.safetensors": replace(_T2V, camera_layers=True),
    # A model of the same house that takes no memory: for what is refused.
    "wan2.1_fun_control_1.3B_bf16.safetensors": TinyModel("WanModel", 48, built_with={"model_type": "i2v"}),
}
UNI3C = "Wan21_Uni3C_controlnet_fp16.safetensors"
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
            num_layers=LAYERS,
            operations=comfy.ops.disable_weight_init,
            **known.built_with,
            **SIZES,
        )
        seed += sum(map(ord, name))
        weights = random_weights(network, seed)
        if known.camera_layers:
            weights |= camera_layers(seed)
        save(weights, path, {"config": json.dumps({"transformer": SIZES})})
    return path


def camera_layers(seed: int) -> dict[str, Tensor]:
    """Echo-Memory's layers for the camera path, 12 numbers a frame, in every block."""
    shapes: dict[str, tuple[int, ...]] = {"action_mlp.proj.weight": (DIM, 12), "action_mlp.proj.bias": (DIM,)}
    for part in "qkvo":
        shapes |= {f"self_attn_with_action.{part}.weight": (DIM, DIM), f"self_attn_with_action.{part}.bias": (DIM,)}
    shapes |= {f"self_attn_with_action.norm_{part}.weight": (DIM,) for part in "qk"}
    random = torch.Generator().manual_seed(seed + 1)
    return {
        f"blocks.{block}.{name}": _weight(name, torch.empty(shape), random)
        for block in range(LAYERS)
        for name, shape in shapes.items()
    }


def make_lora(folder: Path, name: str, seed: int = 0, front: str = "base_model.model.") -> Path:
    """A LoRA on every linear layer of the blocks, with PEFT's names, as StoryMem and Memento saved theirs; with
    ``diffusion_model.`` in front as the stock loader takes it."""
    path = folder / name
    if not path.is_file():
        random = torch.Generator().manual_seed(seed + sum(map(ord, name)))
        layers = [f"{kind}_attn.{part}" for kind in ("self", "cross") for part in "qkvo"] + ["ffn.0", "ffn.2"]
        weights = {}
        for layer in (f"blocks.{block}.{part}" for block in range(LAYERS) for part in layers):
            wide, narrow = (2 * DIM if layer.endswith(end) else DIM for end in ("ffn.0", "ffn.2"))
            weights[f"{front}{layer}.lora_A.weight"] = 0.1 * torch.randn(4, narrow, generator=random)
            weights[f"{front}{layer}.lora_B.weight"] = 0.1 * torch.randn(wide, 4, generator=random)
        save(weights, path, None)
    return path


def make_uni3c(folder: Path, name: str, seed: int = 0) -> Path:
    """A Uni3C control net for the tiny Wans in ``folder``, as wide as their time; ComfyUI must be importable."""
    import comfy.ops
    from comfy.ldm.wan.uni3c import WanUni3CControlnet

    path = folder / name
    if not path.is_file():
        network = WanUni3CControlnet(
            conv_out_dim=DIM, dim=2 * DIM, ffn_dim=2 * DIM, num_layers=LAYERS, time_embed_dim=DIM, out_proj_dim=DIM,
            mid_channels=16, operations=comfy.ops.disable_weight_init,
        )  # fmt: skip
        save(random_weights(network, seed), path, None)
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
        save(random_weights(network, seed), path, None)
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


def save(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(weights, part, metadata=metadata)
    part.replace(path)


Maker = Callable[[str], str]


def maker(models: Path) -> Maker:
    """``make(name)`` puts a file into the right folder of ``models`` and returns its name."""

    def make(name: str) -> str:
        if name == UNI3C:
            return make_uni3c(models / "model_patches", name).name
        if name in VAES:
            return make_vae(models / "vae", name).name
        return make_model(models / "diffusion_models", name).name

    return make

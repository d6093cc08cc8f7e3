"""A tiny MiniMax H3 with random weights: network, video VAE and text encoder, of the host's own classes.

The network's file loads through any stock loader, which reads its sizes from the weights. The host knows its VAE and
text encoder in one size only (2.6 and 32 billion weights). So while these two are loaded, by the host's own functions,
its table of sizes says smaller numbers; classes, keys and code are the host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

MODEL = "minimax_h3_fl2va_pruned_int8_convrot.safetensors"
REFERENCES = "minimax_h3_ref2va_pruned_int8_convrot.safetensors"
VAE = "minimax_h3_video_vae_fp16.safetensors"
TEXT = "qwen3vl_32b_minimax_h3_int8_convrot.safetensors"
WIDTH = 64
"""Numbers for each token of the text."""

NETWORK: dict[str, Any] = {
    "hidden_size": 96,
    "num_layers": 2,
    "token_refiner_num_layers": 1,
    "num_attention_heads": 2,
    "attention_head_dim": 48,
    "ffn_hidden_size": 64,
    "text_dim": WIDTH,
    "timestep_input_dim": 32,
    "time_embed_hidden_size": 32,
    "time_embed_dim": 32,
    "rope_inv_freq_len": 6,
}
ENCODER = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_attention_heads": 2, "num_key_value_heads": 1}
EYES = {"hidden_size": 128, "intermediate_size": 128, "depth": 3, "deepstack_visual_indexes": [0, 1, 2]}
ENCODER_OPTIONS = {"qwen3vl_32b_model_config": ENCODER}


def make(models: Path) -> None:
    """The files in the folders of ``models`` where they are not there yet; ComfyUI must be importable."""
    import comfy.ops
    from comfy.ldm.minimax import vae
    from comfy.ldm.minimax.model import MiniMaxH3Model
    from comfy.text_encoders import minimax

    def network() -> Any:
        return MiniMaxH3Model(**NETWORK, operations=comfy.ops.disable_weight_init)

    kinds: list[tuple[str, str, Any]] = [
        ("diffusion_models", MODEL, network),
        ("diffusion_models", REFERENCES, network),
        ("vae", VAE, lambda: vae.MiniMaxH3VideoVAE()),
        ("text_encoders", TEXT, lambda: minimax.te()(model_options=ENCODER_OPTIONS).qwen3vl_32b.transformer),
    ]
    for seed, (folder, name, build) in enumerate(kinds):
        path = models / folder / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with small_sizes():
                weights = _random(build(), seed)
            part = path.with_suffix(".part")
            save_file(weights, part)
            part.replace(path)


@contextmanager
def small_sizes() -> Iterator[None]:
    """While this is open the host builds H3's VAE and text encoder with fewer and narrower layers."""
    from comfy.ldm.minimax import vae
    from comfy.text_encoders import qwen3vl

    whole, decoder, eyes = vae.MiniMaxH3VideoVAE, vae.ViT3DDecoder, qwen3vl.QWEN3VL_VISION["qwen3vl_32b"]
    try:
        vae.MiniMaxH3VideoVAE = partial(whole, ch=32)
        vae.ViT3DDecoder = partial(decoder, num_layers=2, heads=2)
        qwen3vl.QWEN3VL_VISION["qwen3vl_32b"] = EYES
        yield
    finally:
        vae.MiniMaxH3VideoVAE, vae.ViT3DDecoder, qwen3vl.QWEN3VL_VISION["qwen3vl_32b"] = whole, decoder, eyes


def load_vae(path: Path) -> Any:
    """VAE of a file of ``make``, as Load VAE loads it."""
    import comfy.sd
    import comfy.utils

    weights, metadata = comfy.utils.load_torch_file(str(path), return_metadata=True)
    with small_sizes():
        return comfy.sd.VAE(sd=weights, metadata=metadata)


def load_text_encoder(path: Path) -> Any:
    """CLIP of a file of ``make``, as Load CLIP loads it."""
    import comfy.sd

    with small_sizes():
        return comfy.sd.load_clip([str(path)], clip_type=comfy.sd.CLIPType.MINIMAX, model_options=ENCODER_OPTIONS)


def _random(network: nn.Module, seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {name: _weight(name, value, random) for name, value in network.state_dict().items()}


def _weight(name: str, value: Tensor, random: torch.Generator) -> Tensor:
    if name.endswith("inv_freq"):
        return 100.0 ** -(torch.arange(len(value)) / len(value))
    if name.endswith(("latents_mean", "latents_std")):
        return value.float().clone()
    if "norm" in name and value.ndim == 1:
        return torch.zeros(value.shape) if name.endswith("bias") else torch.ones(value.shape)
    scale = 0.1 if value.ndim < 2 else max(1, value[0].numel()) ** -0.5
    return scale * torch.randn(value.shape, generator=random)

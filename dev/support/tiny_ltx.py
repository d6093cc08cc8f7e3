"""A tiny LTX video with random weights: a checkpoint with network and VAE, as those of version 0.9, and T5.

The checkpoint loads through the stock loader. The host's loader knows T5-XXL in one size only, though the class itself
takes others: `load_text_encoder` builds that class, with the host's tokenizer for LTX video, in a small size.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from .tiny_wan import random_weights

CHECKPOINT = "ltx-video-2b-v0.9.5.safetensors"
TEXT = "t5xxl_fp16.safetensors"
WIDTH = 64
"""Numbers for each token of the text."""

NETWORK = {"caption_channels": WIDTH}
"""What the host cannot tell from the weights; it reads it from the file's metadata."""

ENCODER_OPTIONS = {"t5xxl_model_config": {"d_model": WIDTH, "d_ff": WIDTH, "d_kv": 32, "num_heads": 2, "num_layers": 2}}
BLOCKS = [part for _ in range(3) for part in (["res_x", 1], ["compress_all", 1])] + [["res_x", 1]]
VAE: dict[str, Any] = {
    "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
    "blocks": BLOCKS, "norm_layer": "pixel_norm", "patch_size": 4, "latent_log_var": "uniform", "use_quant_conv": False,
    "causal_decoder": False, "encoder_base_channels": 16, "decoder_base_channels": 16,
}  # fmt: skip


def make(models: Path) -> None:
    """The files in the folders of ``models`` where they are not there yet; ComfyUI must be importable."""
    import comfy.ops
    from comfy.ldm.lightricks.model import LTXVModel
    from comfy.ldm.lightricks.vae.causal_video_autoencoder import VideoVAE

    checkpoint, text = models / "checkpoints" / CHECKPOINT, models / "text_encoders" / TEXT
    if not checkpoint.is_file():
        network = LTXVModel(
            in_channels=128, cross_attention_dim=128, attention_head_dim=4, num_attention_heads=32, num_layers=2,
            operations=comfy.ops.disable_weight_init, **NETWORK,
        )  # fmt: skip
        parts = {"model.diffusion_model.": network, "vae.": VideoVAE(config=VAE)}
        weights = {
            prefix + name: value
            for seed, (prefix, part) in enumerate(parts.items())
            for name, value in random_weights(part, seed).items()
        }
        _save(weights, checkpoint, {"config": json.dumps({"transformer": NETWORK, "vae": VAE})})
    if not text.is_file():
        _save(random_weights(_text_encoder([]).cond_stage_model.t5xxl.transformer, 2), text, None)


def load_text_encoder(path: Path) -> Any:
    """CLIP of the file of ``make``, as Load CLIP makes it for the type ltxv."""
    return _text_encoder([load_file(path)])


def _text_encoder(weights: list[dict[str, Tensor]]) -> Any:
    import comfy.sd
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders import lt

    target = ClipTarget(lt.LTXVT5Tokenizer, lt.ltxv_te())
    return comfy.sd.CLIP(target, state_dict=weights, model_options=ENCODER_OPTIONS)


def _save(weights: dict[str, Tensor], path: Path, metadata: dict[str, str] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(weights, part, metadata=metadata)
    part.replace(path)

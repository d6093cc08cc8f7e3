"""LTX video and MiniMax H3 in miniature, through ComfyUI's own loaders, and their segments by its own nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from dev.support import tiny_h3, tiny_wan

from .loaded import Loaded, metadata
from .stock import Ask

LTX_TEXT, WORDS = 64, 6
LTX_SMALL = {"num_attention_heads": 32, "attention_head_dim": 4, "cross_attention_dim": 128, "num_layers": 2}
LTX_WIDE = {"num_attention_heads": 32, "attention_head_dim": 64, "cross_attention_dim": 2048, "num_layers": 1}
"""LTX video's own width is 2048."""

LTX_BLOCKS = [part for _ in range(3) for part in (["res_x", 1], ["compress_all", 1])] + [["res_x", 1]]
LTX_VAE: dict[str, Any] = {
    "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
    "blocks": LTX_BLOCKS, "norm_layer": "pixel_norm", "patch_size": 4, "latent_log_var": "uniform",
    "use_quant_conv": False, "causal_decoder": False, "encoder_base_channels": 16, "decoder_base_channels": 16,
}  # fmt: skip

H3_CAPTION = "a room, the camera turns to the left"


def load_ltx(folder: Path) -> Loaded:
    """LTX video with two narrow layers."""
    import comfy.sd
    import comfy.utils
    from comfy.ldm.lightricks.vae.causal_video_autoencoder import VideoVAE

    path = folder / "ltx vae.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tiny_wan.random_weights(VideoVAE(config=LTX_VAE), 3), path, metadata=metadata(LTX_VAE, "vae"))
    weights, told = comfy.utils.load_torch_file(str(path), return_metadata=True)
    model, vae = _ltx(LTX_SMALL), comfy.sd.VAE(sd=weights, metadata=told)
    random = torch.Generator().manual_seed(5)
    mask = {"attention_mask": torch.ones(1, WORDS, dtype=torch.long)}
    positive, negative = ([[torch.randn(1, WORDS, LTX_TEXT, generator=random), dict(mask)]] for _ in range(2))
    return Loaded(model, model, model, vae, positive, negative)


def wide_ltx(folder: Path) -> Any:
    """The MODEL of LTX video's width, with one layer."""
    return _ltx(LTX_WIDE)


def ltx(loaded: Loaded, ask: Ask) -> torch.Tensor:
    """LTXV Img To Video, and the sampler."""
    from comfy_extras.nodes_lt import LTXVImgToVideo

    width, height = ask.size
    given = LTXVImgToVideo.execute(
        loaded.positive, loaded.negative, ask.first, loaded.vae, width, height, len(ask.path), 1, 1.0
    ).args
    made: torch.Tensor = _guided(loaded, ask, *given)
    return made


def load_h3(folder: Path) -> Loaded:
    """MiniMax H3 with few and narrow layers, given references in every segment."""
    import comfy.sd

    from ....models.minimax.prompt import ALWAYS, H3Prompt, encoded

    tiny_h3.make(folder)
    model = comfy.sd.load_diffusion_model(str(folder / "diffusion_models" / tiny_h3.MODEL))
    vae = tiny_h3.load_vae(folder / "vae" / tiny_h3.VAE)
    clip = tiny_h3.load_text_encoder(folder / "text_encoders" / tiny_h3.TEXT)
    prompts = [encoded(H3Prompt(clip, text, references=ALWAYS)) for text in (H3_CAPTION, "dim")]
    return Loaded(model, model, model, vae, prompts[0], prompts[1])


def narrow_h3(folder: Path) -> Any:
    """The MODEL of ``load_h3``: the host takes its sizes from the weights, and its own are 18 billion."""
    import comfy.sd

    return comfy.sd.load_diffusion_model(str(folder / "diffusion_models" / tiny_h3.MODEL))


def h3(loaded: Loaded, ask: Ask) -> torch.Tensor:
    """MiniMax H3 Image To Video, and the sampler; the sound is left out."""
    from comfy_extras.nodes_minimax_h3 import MiniMaxH3ImageToVideo

    from ....models.minimax.prompt import prompt_of

    width, height = ask.size
    kinds, latent = [], {}
    for kind in (loaded.positive, loaded.negative):
        prompt = prompt_of(kind)
        assert prompt is not None
        told, latent = MiniMaxH3ImageToVideo.execute(
            prompt.clip, loaded.vae, prompt.text, width, height, len(ask.path), first_frame=ask.first
        ).args
        kinds.append(told)
    return next(iter(_guided(loaded, ask, *kinds, latent).unbind()))


def _ltx(sizes: dict[str, int]) -> Any:
    import comfy.ops
    import comfy.sd
    from comfy.ldm.lightricks.model import LTXVModel

    told = {"caption_channels": LTX_TEXT}
    network = LTXVModel(in_channels=128, operations=comfy.ops.disable_weight_init, **sizes, **told)
    weights = tiny_wan.random_weights(network, 5)
    return comfy.sd.load_diffusion_model_state_dict(weights, metadata=metadata(told))


def _guided(loaded: Loaded, ask: Ask, positive: Any, negative: Any, latent: dict[str, Any]) -> Any:
    """SamplerCustomAdvanced with CFGGuider, RandomNoise, KSamplerSelect and BasicScheduler."""
    from comfy_extras import nodes_custom_sampler as custom

    from .stock import SAMPLING

    (noise,) = custom.RandomNoise.execute(ask.seed).args
    (guider,) = custom.CFGGuider.execute(loaded.bare, positive, negative, ask.cfg).args
    (sampler,) = custom.KSamplerSelect.execute(SAMPLING["sampler_name"]).args
    (sigmas,) = custom.BasicScheduler.execute(loaded.bare, SAMPLING["scheduler"], ask.steps, 1.0).args
    return custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).args[0]["samples"]

"""Tiny Wans: ComfyUI's own through its loaders, the same weights in diffusers, and whole diffusers folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wan models of the pipeline")


@pytest.fixture(scope="session")
def wan(comfy: Path, models: Path) -> Any:
    """ComfyUI's side: MODELs, segments for them and one run of its sampler.

    Prompts have 512 tokens, as Wan 2.1 image to video needs them in diffusers, and where a model sees the first picture
    as CLIP sees it, it is shown one.
    """
    import comfy.clip_vision
    import node_helpers
    import torch

    from dev.support.kits import WanKit

    class Kit(WanKit):
        def prepared(self, model: Any, segment: Any, **changed: Any) -> Any:
            ready = super().prepared(model, segment, **changed)
            if getattr(model.model.diffusion_model, "img_emb", None) is None:
                return ready
            seen = comfy.clip_vision.Output()
            seen.penultimate_hidden_states = torch.randn(1, 257, 1280, generator=torch.Generator().manual_seed(3))
            shown = {"clip_vision_output": seen}
            return replace(
                ready,
                positive=node_helpers.conditioning_set_values(ready.positive, shown),
                negative=node_helpers.conditioning_set_values(ready.negative, shown),
            )

    made = Kit(models)
    random = torch.Generator().manual_seed(6)
    made.positive, made.negative = ([[torch.randn(1, 512, 256, generator=random), {}]] for _ in range(2))
    return made


@pytest.fixture(scope="session")
def ours(wan: Any, models: Path) -> Any:
    """Our side: the diffusers transformer of the same file, ready for a memory."""
    from scene_memory.pipeline.original import transformer_from_file
    from scene_memory.pipeline.rope import with_memory

    made: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in made:
            wan.model(name)
            made[name] = with_memory(transformer_from_file(models / "diffusion_models" / name))
        return made[name]

    return load


TEXT_DIM, SIDE = 32, 32
SMALL = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": TEXT_DIM,
    "freq_dim": 32,
    "ffn_dim": 48,
    "num_layers": 2,
}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # transformer, VAE, pipeline
    "t2v": ({"in_channels": 16, "out_channels": 16}, {}, {}),
    "i2v": ({"in_channels": 36, "out_channels": 16}, {}, {}),
    "pair": ({"in_channels": 16, "out_channels": 16}, {}, {"boundary_ratio": 0.6}),
    "ti2v": (
        {"in_channels": 48, "out_channels": 48},
        {
            "z_dim": 48,
            "latents_mean": [0.1] * 48,
            "latents_std": [0.5] * 48,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
            "decoder_base_dim": 4,
        },
        {"expand_timesteps": True},
    ),
}


def _randomized(network: Any, seed: int) -> Any:
    """Weights that keep what flows through near 1, norms and all."""
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            scale = 0.1 if value.ndim < 2 or "table" in name else max(1, value[0].numel()) ** -0.5
            if "norm" not in name and "gamma" not in name:
                value.copy_(scale * torch.randn(value.shape, generator=random))
    return network.eval()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`folder(kind)`: a whole Wan folder in diffusers' layout with tiny random weights, saved by diffusers itself."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("wan folders") / kind
            stock_pipeline(kind).save_pretrained(made[kind])
        return made[kind]

    return make


@pytest.fixture(scope="session")
def stock() -> Any:
    """`stock(kind)`: diffusers' own pipeline with the weights of that folder."""
    return stock_pipeline


def stock_pipeline(kind: str) -> Any:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    network, vae, more = KINDS[kind]
    from dev.support.two_rooms import tiny_text

    tokenizer, text = tiny_text()
    return WanPipeline(
        tokenizer=tokenizer,
        text_encoder=_randomized(text, 1),
        vae=_randomized(AutoencoderKLWan(base_dim=4, **vae), 2),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=_randomized(WanTransformer3DModel(**SMALL, **network), 3),
        transformer_2=_randomized(WanTransformer3DModel(**SMALL, **network), 4) if kind == "pair" else None,
        **more,
    )

"""Small models of families in ComfyUI's core that nobody routes: with the patch they give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def flux(ops: Any) -> Callable[..., Tensor]:
    from comfy.ldm.flux.model import Flux

    model = filled(Flux(
        image_model="flux", in_channels=16, out_channels=16, patch_size=2, vec_in_dim=8, context_in_dim=16,
        hidden_size=32, mlp_ratio=2.0, num_heads=2, depth=1, depth_single_blocks=1, axes_dim=[4, 6, 6], theta=10000,
        qkv_bias=True, guidance_embed=False, txt_ids_dims=[], dtype=torch.float32, operations=ops,
    ))  # fmt: skip
    return lambda **more: model(noise(1, 16, 8, 8), torch.tensor([0.5]), noise(1, 5, 16), noise(1, 8), **more)


def ltxv(ops: Any) -> Callable[..., Tensor]:
    from comfy.ldm.lightricks.model import LTXVModel

    model = filled(LTXVModel(
        in_channels=16, cross_attention_dim=32, attention_head_dim=16, num_attention_heads=2, caption_channels=24,
        num_layers=1, dtype=torch.float32, operations=ops,
    ))  # fmt: skip
    return lambda **more: model(
        noise(1, 16, 2, 4, 4), torch.tensor([500.0]), noise(1, 5, 24), None, frame_rate=25, **more
    )


def stable_diffusion(ops: Any) -> Callable[..., Tensor]:
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    model = filled(UNetModel(
        image_size=8, in_channels=4, model_channels=32, out_channels=4, num_res_blocks=[1, 1], channel_mult=[1, 2],
        num_head_channels=16, use_spatial_transformer=True, transformer_depth=[1, 1],
        transformer_depth_output=[1, 1, 1, 1], transformer_depth_middle=1, context_dim=16,
        use_linear_in_transformer=True, dtype=torch.float32, operations=ops,
    ))  # fmt: skip
    return lambda **more: model(noise(1, 4, 8, 8), torch.tensor([500.0]), noise(1, 5, 16), **more)


def filled(model: torch.nn.Module) -> torch.nn.Module:
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=random))
    return model.eval()


@pytest.mark.parametrize("family", [flux, ltxv, stable_diffusion])
@torch.inference_mode()
def test_attention_that_nobody_described_gives_the_same_bits(comfy: Path, family: Callable[..., Any]) -> None:
    import comfy.ops

    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import OVERRIDE, RoutingOptions, routing_override

    run = family(comfy.ops.disable_weight_init)
    asked = []

    def before(backend: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        asked.append(kwargs["transformer_options"])
        return backend(*args, **kwargs)

    override = routing_override(RoutingOptions(MocSettings(1)), before)
    plain, patched = run(transformer_options={}), run(transformer_options={OVERRIDE: override})
    assert asked, "the family asks the hook"
    assert plain.std() > 0 and torch.equal(plain, patched)

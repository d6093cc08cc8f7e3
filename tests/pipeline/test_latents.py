"""What the transformer and the VAE return is looked at before it becomes pictures."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_a_broken_transformer_and_a_broken_vae_are_told_apart(stock: Any, value: float) -> None:
    import torch

    from scene_memory.pipeline.latents import WanLatents

    vae = stock("t2v").vae
    latents = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert WanLatents(vae).decode(latents).shape == (5, 32, 32, 3)
        broken = latents.clone()
        broken[0, 3, 1, 2, 2] = value
        with pytest.raises(ValueError, match="What the transformer made holds .*torch_dtype=torch.bfloat16"):
            WanLatents(vae).decode(broken)
        vae.post_quant_conv.weight.fill_(float("nan"))
        with pytest.raises(ValueError, match="What the VAE made holds .*torch_dtype=torch.float32"):
            WanLatents(vae).decode(latents)

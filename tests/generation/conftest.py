"""Small real models: a Wan of 0.2 million random weights, its VAE, and the bundled world model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

WAN = {"num_heads": 4, "text_dim": 32, "freq_dim": 64}


def random_weights(network: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.ones(value.shape)
        if "norm" in name or "gamma" in name
        else torch.randn(value.shape, generator=random) / max(1, value[0].numel()) ** 0.5
        for name, value in network.state_dict().items()
    }


@pytest.fixture(scope="session")
def load_wan(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """MODEL of a tiny Wan with the weights of a seed, from a file through the host's loader."""
    import comfy.ops
    import comfy.sd
    from comfy.ldm.wan.model import WanModel

    def load(seed: int = 0) -> Any:
        network = WanModel(
            model_type="t2v", dim=64, ffn_dim=128, num_layers=2, operations=comfy.ops.disable_weight_init, **WAN
        )
        path = tmp_path_factory.mktemp("wan") / "wan.safetensors"
        config = json.dumps({"transformer": WAN})
        save_file(random_weights(network, seed), path, metadata={"config": config})
        return comfy.sd.load_diffusion_model(str(path))

    return load


@pytest.fixture(scope="session")
def load_wan_vae(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """VAE of a tiny Wan with the weights of a seed, from a file through the host's loader."""
    import comfy.sd
    import comfy.utils
    from comfy.ldm.wan.vae import WanVAE

    def load(seed: int = 0) -> Any:
        network = WanVAE(dim=4, z_dim=16, temperal_downsample=[False, True, True])
        path = tmp_path_factory.mktemp("vae") / "vae.safetensors"
        save_file(random_weights(network, seed), path)
        weights, metadata = comfy.utils.load_torch_file(str(path), return_metadata=True)
        return comfy.sd.VAE(sd=weights, metadata=metadata)

    return load


@pytest.fixture(scope="session")
def world(comfy: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of the bundled world model."""
    from scene_memory.generation.world_host.loader import load_world_model

    return load_world_model()

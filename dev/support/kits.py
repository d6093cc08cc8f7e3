"""Small real models: a Wan of 0.2 million random weights, its VAE, and the bundled world model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
    from scene_memory.models.world.loader import load_world_model

    return load_world_model()


@pytest.fixture(scope="session")
def world_plan(world: tuple[Any, Any, Any]) -> Callable[..., Any]:
    """Makes plans of small shots by the bundled model along a path: ``world_plan(path, segment, **changed)``."""
    import comfy.samplers

    from scene_memory.film.loop import ShotPlan
    from scene_memory.memory.retrieval.settings import RetrievalSettings

    model, clip, vae = world

    def plan(path: Any, segment: int, words: str = "a small room", **changed: Any) -> Any:
        usual: dict[str, Any] = {
            "sigmas": torch.tensor([1.0, 0.0]), "seed": 3, "retriever": RetrievalSettings(k=4), "width": 48,
            "height": 36,
        }  # fmt: skip
        return ShotPlan(
            model=model,
            vae=vae,
            positive=clip.encode_from_tokens_scheduled(clip.tokenize(words)),
            negative=None,
            sampler=comfy.samplers.sampler_object("euler"),
            cfg=1.0,
            trajectory=path,
            segment_frames=segment,
            **{**usual, **changed},
        )

    return plan


class WanKit:
    """Tiny Wans from files through the host's own loaders, segments for them, and one step of the host's sampler."""

    SIDE = 64

    def __init__(self, models: Path) -> None:
        from dev.support import tiny_wan

        self._models, self._make = models, tiny_wan.maker(models)
        random = torch.Generator().manual_seed(5)
        self.positive, self.negative = ([[torch.randn(1, 6, 256, generator=random), {}]] for _ in range(2))

    def model(self, name: str) -> Any:
        import comfy.sd

        return comfy.sd.load_diffusion_model(str(self._models / "diffusion_models" / self._make(name)))

    def vae(self, model: Any) -> Any:
        import comfy.sd
        import comfy.utils

        name = (
            "wan2.2_vae.safetensors" if model.model.latent_format.latent_channels == 48 else "wan_2.1_vae.safetensors"
        )
        weights, metadata = comfy.utils.load_torch_file(
            str(self._models / "vae" / self._make(name)), return_metadata=True
        )
        return comfy.sd.VAE(sd=weights, metadata=metadata)

    def uni3c(self) -> Any:
        """MODEL_PATCH of a tiny Uni3C by the host's loader."""
        import folder_paths
        from comfy_extras.nodes_model_patch import ModelPatchLoader

        from dev.support import tiny_wan

        folder_paths.add_model_folder_path("model_patches", str(self._models / "model_patches"))
        (patch,) = ModelPatchLoader().load_model_patch(self._make(tiny_wan.UNI3C))
        return patch

    def adapter(self, model: Any, memory_enters_as: str = "context frames") -> Any:
        from scene_memory.models.registry import adapter_for

        return adapter_for(model, memory_enters_as)

    def segment(self, model: Any, frames: int = 9, context: int = 3, begins: bool = False) -> Any:
        """A segment that looks back at so many random frames, and perhaps begins with a random picture."""
        from scene_memory.film.segment import ContextFrames, Segment
        from scene_memory.memory.cameras.presets import make_preset

        pick = np.random.default_rng(7)
        path = make_preset("pan", frames=30, fps=16.0, amount=60.0, fov=70.0, aspect=1.0)
        side, channels = self.SIDE, model.model.latent_format.latent_channels
        seen = None
        if context:
            numbers = tuple(range(0, 5 * context, 5))
            small = side // (8 if channels == 16 else 16)
            latents = pick.standard_normal((1, channels, context, small, small))
            pixels = pick.integers(0, 256, (context, side, side, 3), dtype=np.uint8)
            seen = ContextFrames(
                pixels,
                path.poses[list(numbers)],
                path.intrinsics[list(numbers)],
                torch.from_numpy(latents).float(),
                numbers,
            )
        picture = pick.integers(0, 256, (side, side, 3), dtype=np.uint8) if begins else None
        return Segment(path[20 : 20 + frames], side, side, seen, picture, 20)

    def viewed(self, model: Any, known: np.ndarray[Any, Any], held: bool = False, **segment: Any) -> Any:
        """A segment of as many random pictures, of which the pixels of ``known`` (T, SIDE, SIDE) bool are known."""
        from scene_memory.film.segment import ContextFrames, KnownPixels

        made = self.segment(model, frames=len(known), **{"context": 0, **segment})
        pictures = np.random.default_rng(9).integers(0, 256, (*known.shape, 3), dtype=np.uint8)
        sure = known.astype(np.float32)
        if made.begins_with is not None:
            pictures[0], sure[0] = made.begins_with, 1.0
        frames = ContextFrames(pictures[:1], made.trajectory.poses[:1], made.trajectory.intrinsics[:1])
        return replace(made, view=KnownPixels(pictures, sure, np.full(known.shape, np.inf, np.float32), frames, held))

    def prepared(self, model: Any, segment: Any, memory_enters_as: str = "context frames", **changed: Any) -> Any:
        adapter = self.adapter(model, memory_enters_as)
        ready = adapter.prepare(model, self.positive, self.negative, segment, self.vae(model))
        return replace(ready, **changed)

    def step(self, model: Any, ready: Any, cfg: float = 1.0, steps: tuple[float, ...] = (0.7, 0.4)) -> torch.Tensor:
        """The latent after these noise levels."""
        import comfy.samplers

        from scene_memory.models.host.sampling import sample

        with torch.inference_mode():
            return sample(
                model,
                ready,
                comfy.samplers.sampler_object("euler"),
                torch.tensor(steps),
                cfg=cfg,
                seed=11,
                on_step=lambda step, x0: None,
            )


@pytest.fixture(scope="session")
def wan(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> WanKit:
    return WanKit(tmp_path_factory.mktemp("wan models"))

"""The same segment by ComfyUI's own nodes, run in this process: conditioning, KSampler, and what is cut off after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ....memory.cameras.trajectory import Trajectory
from .loaded import Loaded

SAMPLING: dict[str, Any] = {"sampler_name": "euler", "scheduler": "simple"}


@dataclass(frozen=True, eq=False)
class Ask:
    """What a segment shall be: cameras of its pictures, (width, height), first picture (1, H, W, 3) or None."""

    path: Trajectory
    size: tuple[int, int]
    first: torch.Tensor | None
    steps: int
    cfg: float
    seed: int

    @property
    def shape(self) -> dict[str, int]:
        """The inputs that every node for a video latent has."""
        return {"width": self.size[0], "height": self.size[1], "length": len(self.path), "batch_size": 1}


Stock = Callable[[Loaded, Ask], torch.Tensor]
"""Makes the latent of a segment, in the VAE's space."""


def text_to_video(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_hunyuan import EmptyHunyuanLatentVideo

    (latent,) = _run(EmptyHunyuanLatentVideo, **ask.shape)
    return _sampled(loaded, ask, loaded.positive, loaded.negative, latent)


def phantom(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_wan import WanPhantomSubjectToVideo

    positive, _, negative, latent = _run(WanPhantomSubjectToVideo, **_prompts(loaded), **ask.shape, images=None)
    return _sampled(loaded, ask, positive, negative, latent)


def image_to_video(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_wan import WanImageToVideo

    view = loaded.clip_vision.encode_image(ask.first) if loaded.clip_vision is not None else None
    given = {"start_image": ask.first, "clip_vision_output": view}
    return _sampled(loaded, ask, *_run(WanImageToVideo, **_prompts(loaded), **ask.shape, **given))


def image_latent(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_wan import Wan22ImageToVideoLatent

    (latent,) = _run(Wan22ImageToVideoLatent, vae=loaded.vae, **ask.shape, start_image=ask.first)
    return _sampled(loaded, ask, loaded.positive, loaded.negative, latent)


def fun_camera(loaded: Loaded, ask: Ask) -> torch.Tensor:
    """The rays come from our Trajectory to Wan Camera, whose numbers are those of the host's WanCameraEmbedding."""
    from comfy_extras.nodes_wan import WanCameraImageToVideo

    from ....models.wan.plucker import wan_camera_embedding

    given = {"start_image": ask.first, "camera_conditions": wan_camera_embedding(ask.path, *ask.size)}
    return _sampled(loaded, ask, *_run(WanCameraImageToVideo, **_prompts(loaded), **ask.shape, **given))


def vace(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_wan import TrimVideoLatent, WanVaceToVideo

    given: dict[str, Any] = {"strength": 1.0}
    if ask.first is not None:
        width, height = ask.size
        given |= {"control_video": ask.first, "control_masks": torch.zeros(1, height, width)}
        given["reference_image"] = ask.first
    positive, negative, latent, trim = _run(WanVaceToVideo, **_prompts(loaded), **ask.shape, **given)
    made = _sampled(loaded, ask, positive, negative, latent)
    return _run(TrimVideoLatent, samples={"samples": made}, trim_amount=trim)[0]["samples"]


def fun_inpaint(loaded: Loaded, ask: Ask) -> torch.Tensor:
    from comfy_extras.nodes_wan import WanFunInpaintToVideo

    return _sampled(loaded, ask, *_run(WanFunInpaintToVideo, **_prompts(loaded), **ask.shape, start_image=ask.first))


def world(loaded: Loaded, ask: Ask) -> torch.Tensor:
    """The host's sampler knows of no cameras: the model then turns slowly to the right, as ``look_around`` says."""
    width, height = ask.size
    latent = {"samples": torch.zeros(1, 3, len(ask.path), height, width)}
    return _sampled(loaded, ask, loaded.positive, loaded.negative, latent)


def _prompts(loaded: Loaded) -> dict[str, Any]:
    return {"positive": loaded.positive, "negative": loaded.negative, "vae": loaded.vae}


def _run(node: Any, **inputs: Any) -> tuple[Any, ...]:
    return tuple(node.execute(**inputs).result)


def _sampled(loaded: Loaded, ask: Ask, positive: Any, negative: Any, latent: Any) -> torch.Tensor:
    """KSampler; for a pair two of the advanced ones, the second from where the noise level is below the boundary."""
    import comfy.samplers

    from nodes import KSampler, KSamplerAdvanced

    from ....models.wan.options import options_of

    given = {**SAMPLING, "steps": ask.steps, "cfg": ask.cfg, "positive": positive, "negative": negative}
    if loaded.low is None:
        sampled = KSampler().sample(loaded.bare, ask.seed, latent_image=latent, denoise=1.0, **given)
        return sampled[0]["samples"]
    levels = comfy.samplers.calculate_sigmas(
        loaded.bare.get_model_object("model_sampling"), SAMPLING["scheduler"], ask.steps
    )
    turn = int((levels[:-1] >= options_of(loaded.model).boundary).sum())
    (half,) = KSamplerAdvanced().sample(
        loaded.bare, "enable", ask.seed, latent_image=latent, start_at_step=0, end_at_step=turn,
        return_with_leftover_noise="enable", **given,
    )  # fmt: skip
    (whole,) = KSamplerAdvanced().sample(
        loaded.low, "disable", ask.seed, latent_image=half, start_at_step=turn, end_at_step=10_000,
        return_with_leftover_noise="disable", **given,
    )  # fmt: skip
    return whole["samples"]

"""At which time remembered frames enter, and with how much noise."""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.wan.model import WanModel, sinusoidal_embedding_1d
from torch import Tensor

from .options import CLEAN, NOISED


def per_frame(timestep: Tensor, own: int) -> Tensor:
    """Timesteps (B, own) of the frames being made; where there is one for all of them, it is repeated."""
    return timestep[:, None].expand(-1, own) if timestep.ndim == 1 else timestep


def with_context_times(timestep: Tensor, own: int, context: int, times: str) -> Tensor:
    """Timesteps (B, own + context), or (B,) as they came where all frames share one.

    Context at its own time is at 0; else at the segment's time, which is the latest of its frames where some of them
    are known.
    """
    if times != CLEAN and timestep.ndim == 1:
        return timestep
    made = per_frame(timestep, own)
    level = torch.zeros_like(made[:, :1]) if times == CLEAN else made.amax(dim=1, keepdim=True)
    return torch.cat([made, level.expand(-1, context)], dim=1)


def takes_frame_times(network: Any) -> bool:
    """Whether the network's own forward takes a timestep for each frame. Fun Camera and VACE take one for all."""
    return type(network).forward_orig is WanModel.forward_orig


def modulation(network: Any, times: Tensor, like: Tensor) -> Tensor:
    """What the blocks are told of the time (B, frames, 6, dim), for networks that compute it for one time only."""
    count = times.shape[1]
    embedded = sinusoidal_embedding_1d(dim=network.freq_dim, position=times.flatten()).to(like.dtype)
    embedded = network.time_embedding(embedded).unflatten(0, (-1, count))
    result: Tensor = network.time_projection(embedded).unflatten(2, (6, network.dim))
    return result


def frame_noise(latents: Tensor, numbers: tuple[int, ...]) -> Tensor:
    """Noise of the shape of context latents (1, C, K, h, w): a frame of the film has the same wherever it comes."""
    one = (*latents.shape[:2], *latents.shape[3:])
    made = [torch.randn(one, generator=torch.Generator().manual_seed(number)) for number in numbers]
    return torch.stack(made, dim=2)


def noised(latents: Tensor, noise: Tensor, times: str, options: dict[str, Any]) -> Tensor:
    """Context latents as the network shall see them at this step."""
    if times != NOISED:
        return latents
    level = options["sigmas"].to(latents).flatten()[0]
    return level * noise + (1 - level) * latents

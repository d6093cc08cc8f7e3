"""What remembered frames are to the network: their timesteps, their noise and their channels.

Nothing of ComfyUI is imported here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .options import CLEAN, NOISED


def per_frame(timestep: Tensor, own: int) -> Tensor:
    """Timesteps (B, own) of the frames being made; where there is one (B,) for all of them, it is repeated."""
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


def frame_noise(latents: Tensor, numbers: tuple[int, ...]) -> Tensor:
    """Noise of the shape of context latents (1, C, K, h, w): a frame of the film has the same wherever it comes."""
    one = (*latents.shape[:2], *latents.shape[3:])
    made = [torch.randn(one, generator=torch.Generator().manual_seed(number)) for number in numbers]
    return torch.stack(made, dim=2)


def noised(latents: Tensor, noise: Tensor, times: str, options: dict[str, Any]) -> Tensor:
    """Context latents (1, C, K, h, w) as the network shall see them at this step, whose noise level ``options`` holds
    under "sigmas"; ``noise`` is of the same shape."""
    if times != NOISED:
        return latents
    level = options["sigmas"].to(latents).flatten()[0]
    return level * noise + (1 - level) * latents


def as_input(shown: Tensor, known: Tensor, channels: int) -> Tensor:
    """Context frames (B, channels, K, h, w) as a network with so many input channels takes them.

    Args:
        shown: latents (B, C, K, h, w) in the place of the noise.
        known: the clean latents, in the place of the known picture where there is one: after a mask of 4 channels that
            is 1 (image to video, Fun Camera 2.2), or alone (Fun Camera 2.1).

    Raises:
        ValueError: the network's channels are none of these.
    """
    extra = channels - shown.shape[1]
    if extra == 0:
        return shown
    if extra == known.shape[1]:
        return torch.cat([shown, known], dim=1)
    if extra == known.shape[1] + 4:
        return torch.cat([shown, torch.ones_like(known[:, :4]), known], dim=1)
    raise ValueError(
        f"The model takes {channels} channels and its latents have {shown.shape[1]}: there is no known place for "
        "remembered frames. Use a text to video, image to video or Fun Camera model."
    )

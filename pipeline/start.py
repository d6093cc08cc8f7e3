"""A segment that begins with a known picture, as each kind of Wan takes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .family import CONCAT_START, LATENT_START, WanFamily
from .latents import Pixels, WanLatents, as_video


@dataclass(frozen=True, eq=False)
class Start:
    """What is known of a segment: channels (1, C + 4, T, h, w) beside the noise, or a first latent frame that stays."""

    beside: Tensor | None = None
    first: Tensor | None = None

    def given(self, latents: Tensor) -> Tensor:
        """What the network is given for noisy latents (1, C, T, h, w)."""
        if self.first is not None:
            latents = torch.cat([self.first.to(latents), latents[:, :, 1:]], dim=2)
        if self.beside is not None:
            latents = torch.cat([latents, self.beside.to(latents)], dim=1)
        return latents

    def finished(self, latents: Tensor) -> Tensor:
        """The segment's latents with what was known in its place."""
        return latents if self.first is None else self.given(latents)

    def timestep(self, now: Tensor, frames: int) -> Tensor:
        """(1,), or (1, T) with 0 for a first frame that is known."""
        time = now.reshape(1)
        if self.first is None:
            return time
        return torch.cat([torch.zeros_like(time), time.expand(frames - 1)])[None]


def start_of(
    family: WanFamily, latents: WanLatents, frames: int, picture: Pixels | None, size: tuple[int, int]
) -> Start:
    """What a segment of ``frames`` pictures of ``size`` (width, height) begins with.

    Args:
        picture: (H, W, 3) that is known, or None: then the channels of image to video are zero, mask and all, which is
            what ComfyUI gives.
    """
    if family.start == LATENT_START and picture is not None:
        return Start(first=latents.encode(as_video(picture[None])))
    if family.start != CONCAT_START:
        return Start()
    width, height = size
    if picture is None:
        shape = (latents.frames(frames), height // latents.scale, width // latents.scale)
        return Start(beside=torch.zeros(1, latents.channels + 4, *shape))
    video = torch.zeros(1, 3, frames, height, width)
    video[:, :, :1] = as_video(picture[None])
    encoded = latents.encode(video)
    mask = torch.zeros_like(encoded[:, :4])
    mask[:, :, :1] = 1.0
    return Start(beside=torch.cat([mask, encoded], dim=1))

"""Which kind of Wan a transformer is, from its configuration, and how each kind takes a known first picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..models.wan.options import AUTO, BEFORE, CLEAN, NOISED, MemoryOptions
from .latents import Pixels, WanLatents, as_video

NO_START, CONCAT_START, LATENT_START = "none", "concat", "latent"


@dataclass(frozen=True)
class WanKind:
    """A kind of Wan.

    start: how it takes a known first picture: not at all, as extra channels after a mask, or as a first latent frame
    that stays, at time 0. sees_picture: whether it also wants the picture as CLIP sees it (Wan 2.1 image to video).
    """

    name: str
    start: str
    sees_picture: bool = False

    @property
    def clean_time(self) -> bool:
        """Whether it was trained with known frames at time 0 beside noisy ones."""
        return self.start == LATENT_START

    @property
    def newest_without_retriever(self) -> int:
        """Context frames where nothing is retrieved; where the first picture is known, the newest is there already."""
        return 1 if self.start == NO_START else 0

    def times(self, options: MemoryOptions) -> str:
        """The time of context frames, AUTO resolved."""
        if options.times != AUTO:
            return options.times
        if self.clean_time:
            return CLEAN
        return NOISED

    def positions(self, options: MemoryOptions) -> str:
        """The positions of context frames, AUTO resolved."""
        if options.positions != AUTO:
            return options.positions
        return BEFORE


def family_of(config: Any, expand_timesteps: bool = False) -> WanKind:
    """The family of a transformer's ``config``.

    Args:
        expand_timesteps: what model_index.json says of it; true for TI2V-5B, whose first latent frame may be known.

    Raises:
        ValueError: its channels are of no known kind.
    """
    taken, made = config.in_channels, config.out_channels
    sees = getattr(config, "image_dim", None) is not None
    if taken == made:
        if expand_timesteps:
            return WanKind("Wan 2.2 TI2V-5B", LATENT_START)
        return WanKind("Wan text to video", NO_START)
    if taken == 2 * made + 4:
        return WanKind("Wan image to video", CONCAT_START, sees)
    raise ValueError(
        f"The transformer has in_channels {taken} and out_channels {made}: expected as many, or twice as many and 4 "
        "more. Use a Wan text to video, image to video or TI2V-5B folder."
    )


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
    family: WanKind, latents: WanLatents, frames: int, picture: Pixels | None, size: tuple[int, int]
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

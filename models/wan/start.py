"""A segment that begins with a known picture: as the host's own nodes tell it to each family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import comfy.latent_formats
import comfy.model_management
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .family import CAMERA_START, CONCAT_START, LATENT_START, WanFamily

GREY = 0.5


@dataclass(frozen=True)
class Start:
    """The latent to begin from, its mask (1: to be made), and conditioning values for positive and negative."""

    latent: Tensor
    mask: Tensor | None = None
    values: dict[str, Any] = field(default_factory=dict)


def start_of(
    family: WanFamily, vae: Any, frames: int, width: int, height: int, first: NDArray[np.uint8] | None
) -> Start:
    """What a segment of ``frames`` pictures begins with.

    Args:
        first: picture (H, W, 3) that is known, or None.
    """
    scale = vae.spacial_compression_encode()
    latent = torch.zeros(
        [1, family.channels, latent_frames(frames), height // scale, width // scale],
        device=comfy.model_management.intermediate_device(),
    )
    if first is None:
        return Start(latent)
    picture = as_image(first)
    if family.start == CONCAT_START:
        return Start(latent, values=_concat(vae, latent, picture, frames))
    if family.start == CAMERA_START:
        return Start(latent, values=_camera_concat(vae, latent, picture))
    if family.start == LATENT_START:
        return _kept_latent(vae, latent, picture)
    return Start(latent)


def latent_frames(frames: int) -> int:
    """Latent frames of so many pictures: the first stands alone, then four to one."""
    return (frames - 1) // 4 + 1


def as_image(picture: NDArray[np.uint8]) -> Tensor:
    """(1, H, W, 3) float in 0..1, the host's IMAGE."""
    return torch.from_numpy(picture)[None].float() / 255


def _concat(vae: Any, latent: Tensor, picture: Tensor, frames: int) -> dict[str, Any]:
    """As WanImageToVideo: the picture and then grey, encoded as one video, with a mask that is 0 where it is known."""
    video = torch.full((frames, *picture.shape[1:]), GREY)
    video[:1] = picture
    encoded = vae.encode(video)
    mask = torch.ones((1, 1, latent.shape[2], encoded.shape[-2], encoded.shape[-1]))
    mask[:, :, :1] = 0.0
    return {"concat_latent_image": encoded, "concat_mask": mask}


def _camera_concat(vae: Any, latent: Tensor, picture: Tensor) -> dict[str, Any]:
    """As WanCameraImageToVideo: the picture's own latent, then the latents' mean."""
    known = comfy.latent_formats.Wan21().process_out(torch.zeros_like(latent))
    known[:, :, :1] = vae.encode(picture)
    mask = torch.ones((1, 4, *latent.shape[2:]))
    mask[:, :, :1] = 0.0
    return {"concat_latent_image": known, "concat_mask": mask}


def _kept_latent(vae: Any, latent: Tensor, picture: Tensor) -> Start:
    """As Wan22ImageToVideoLatent: the first latent frame is the picture's and stays, at time 0."""
    mask = torch.ones([1, 1, *latent.shape[2:]], device=latent.device)
    mask[:, :, :1] = 0.0
    known = latent.clone()
    known[:, :, :1] = vae.encode(picture)
    known = comfy.latent_formats.Wan22().process_out(known) * mask + known * (1.0 - mask)
    return Start(known, mask)

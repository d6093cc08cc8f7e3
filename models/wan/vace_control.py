"""What VACE is told: remembered frames as references in front of the video, the known picture as its first frame."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .start import GREY, as_image, latent_frames

SCALE = 8


def vace_values(
    vae: Any, frames: int, width: int, height: int, first: NDArray[Any] | None, references: Tensor | None
) -> dict[str, Any]:
    """Conditioning values for ``frames`` pictures, as WanVaceToVideo gives them.

    Args:
        first: the first picture (H, W, 3), where it is known.
        references: latents (1, 16, K, h, w) in the VAE's space. They take K latent frames in front of the video.
    """
    video, mask = torch.full((frames, height, width, 3), GREY), torch.ones((frames, height, width, 1))
    if first is not None:
        video[:1], mask[:1] = as_image(first), 0.0
    video = video - GREY
    kept, made = (vae.encode(part + GREY) for part in (video * (1 - mask), video * mask))
    control, shown = torch.cat((kept, made), dim=1), _mask(mask, latent_frames(frames))
    if references is not None:
        nothing = comfy.latent_formats.Wan21().process_out(torch.zeros_like(references))
        control = torch.cat((torch.cat((references, nothing), dim=1).to(control), control), dim=2)
        known = torch.zeros(*shown.shape[:2], references.shape[2], *shown.shape[3:])
        shown = torch.cat((known, shown), dim=2)
    return {"vace_frames": [control], "vace_mask": [shown], "vace_strength": [1.0]}


def _mask(mask: Tensor, frames: int) -> Tensor:
    """(1, 64, frames, h, w): the 8 x 8 pixels of each place as channels, frames by the nearest."""
    length, height, width, _ = mask.shape
    small = (height // SCALE, width // SCALE)
    parts = mask.view(length, small[0], SCALE, small[1], SCALE).permute(2, 4, 0, 1, 3)
    parts = parts.reshape(1, SCALE * SCALE, length, *small)
    return F.interpolate(parts, size=(frames, *small), mode="nearest-exact")

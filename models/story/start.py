"""What an image to video model is told of a shot with remembered frames in front (StoryMem, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..wan.start import GREY, as_image, latent_frames


def concat_values(
    vae: Any, frames: int, width: int, height: int, known: NDArray[Any] | None, front: Tensor | None, told: int = 0
) -> dict[str, Any]:
    """Conditioning values of the host's image to video models.

    Args:
        frames: pictures of the shot.
        known: its first pictures (n, H, W, 3), or None.
        front: latents (1, 16, K, h, w) in the VAE's space that stand before the shot.
        told: how many of these, the last ones, are known (the mask of image to video); the others are made.
    """
    video = torch.full((frames, height, width, 3), GREY)
    count = 0 if known is None else len(known)
    for place in range(count):
        assert known is not None
        video[place : place + 1] = as_image(known[place])
    encoded = vae.encode(video)
    mask = torch.ones((1, 1, encoded.shape[2], *encoded.shape[-2:]))
    if count:
        mask[:, :, : latent_frames(count)] = 0.0
    if front is not None:
        before = torch.ones((1, 1, front.shape[2], *encoded.shape[-2:]))
        before[:, :, front.shape[2] - told :] = 0.0
        encoded, mask = torch.cat((front.to(encoded), encoded), dim=2), torch.cat((before, mask), dim=2)
    return {"concat_latent_image": encoded, "concat_mask": mask}


def grey(vae: Any, width: int, height: int) -> Tensor:
    """The latent (1, 16, 1, h, w) of a picture of which nothing is known."""
    made: Tensor = vae.encode(torch.full((1, height, width, 3), GREY))
    return made

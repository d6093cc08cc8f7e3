"""Between pictures and what the transformer sees: diffusers' Wan VAE, normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..film.model import KEPT
from ..memory.pictures.eight_bits import MOST_LATENT, eight_bits, fault_of

Pixels = NDArray[np.uint8]


class WanLatents:
    """Encodes and decodes with diffusers' Wan VAE; latents are normalised."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    @property
    def _device(self) -> torch.device:
        """Where the VAE computes; with offloading it does not lie there yet."""
        hook = getattr(self._vae, "_hf_hook", None)
        return torch.device(getattr(hook, "execution_device", None) or self._vae.device)

    @property
    def frame_stride(self) -> int:
        """Pictures to one latent frame."""
        return int(self._vae.config.scale_factor_temporal)

    @property
    def scale(self) -> int:
        """Pixels to one number of a latent, each way."""
        return int(self._vae.config.scale_factor_spatial)

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return int(self._vae.config.z_dim)

    def frames(self, pictures: int) -> int:
        """Latent frames of so many pictures: the first stands alone."""
        return (pictures - 1) // self.frame_stride + 1

    def encode(self, video: Tensor) -> Tensor:
        """Normalised latents (1, C, T, h, w) float32 of a video (1, 3, F, H, W) of -1..1: the middle, not a sample."""
        found = self._vae.encode(video.to(self._device, self._vae.dtype)).latent_dist.mode().float()
        mean, deviation = self._statistics(found)
        return (found - mean) / deviation

    def decode(self, latents: Tensor) -> Pixels:
        """Pictures (F, H, W, 3) uint8 of normalised latents (1, C, T, h, w).

        Raises ``ValueError`` where the transformer or the VAE gave no picture (NaN), and says which.
        """
        if fault := fault_of(latents, MOST_LATENT):
            raise ValueError(
                f"What the transformer made holds {fault}, which is no picture. Load it with "
                f"torch_dtype=torch.bfloat16 or torch.float32, or use less guidance. {KEPT}"
            )
        mean, deviation = self._statistics(latents)
        video = self._vae.decode((latents * deviation + mean).to(self._device, self._vae.dtype)).sample
        try:
            return eight_bits(video[0].permute(1, 2, 3, 0).float() * 0.5 + 0.5)
        except ValueError as fault:
            raise ValueError(
                f"What the VAE made holds {fault}, which is no picture; the transformer's own numbers were sound. Load "
                f"the VAE with torch_dtype=torch.float32. {KEPT}"
            ) from None

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, 1, 1, 1)
        mean, deviation = (
            torch.tensor(numbers, dtype=like.dtype, device=like.device).view(shape)
            for numbers in (self._vae.config.latents_mean, self._vae.config.latents_std)
        )
        return mean, deviation


def as_video(pictures: Pixels) -> Tensor:
    """(1, 3, F, H, W) float of -1..1 of pictures (F, H, W, 3)."""
    return torch.from_numpy(pictures.copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0

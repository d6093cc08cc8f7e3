"""The world model's VAE: its latents are pixels, so coding only moves axes and range."""

from __future__ import annotations

from typing import Any

import comfy.model_management
from torch import Tensor

from ...world.network import PATCH


class WorldVAE:
    """What stock nodes ask of a VAE, for a video model that paints pixels."""

    latent_channels = 3
    latent_dim = 3
    output_channels = 3
    downscale_ratio = 1
    upscale_ratio = 1

    def encode(self, pixels: Tensor) -> Tensor:
        """(F, H, W, C) or (B, F, H, W, C) in [0, 1] to (B, 3, F, H, W) in [-1, 1], cropped to multiples of PATCH."""
        if pixels.ndim == 4:
            pixels = pixels[None]
        height, width = (side // PATCH * PATCH for side in pixels.shape[2:4])
        top, left = (pixels.shape[2] - height) // 2, (pixels.shape[3] - width) // 2
        kept = pixels[:, :, top : top + height, left : left + width, :3]
        return kept.movedim(-1, 1).to(comfy.model_management.intermediate_device()) * 2 - 1

    def decode(self, samples: Tensor, vae_options: dict[str, Any] | None = None) -> Tensor:
        """(B, 3, F, H, W) in [-1, 1] to (B, F, H, W, 3) in [0, 1]."""
        if samples.ndim == 4:
            samples = samples.unsqueeze(2)
        pictures = samples.movedim(1, -1).to(comfy.model_management.intermediate_device())
        return ((pictures + 1) / 2).clamp(0, 1)

    def encode_tiled(self, pixels: Tensor, **_: Any) -> Tensor:
        return self.encode(pixels)

    def decode_tiled(self, samples: Tensor, **_: Any) -> Tensor:
        return self.decode(samples)

    def spacial_compression_encode(self) -> int:
        return 1

    def spacial_compression_decode(self) -> int:
        return 1

    def temporal_compression_decode(self) -> int:
        return 1

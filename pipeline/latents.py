"""Between pictures and what the transformer sees: diffusers' Wan VAE, normalised."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..memory.pictures.eight_bits import MOST_LATENT, eight_bits, fault_of
from ..memory.state.state import MemoryState

Pixels = NDArray[np.uint8]
KEPT = "Nothing of this segment is kept; what was finished before it is."
KEPT_FRAMES = 64
"""Context latents that stay in RAM from segment to segment; a 480p one takes 0.4 MB."""


class WanLatents:
    """Encodes and decodes; remembers the latents of context frames that come again."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

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

    def of_frames(self, state: MemoryState, indices: Sequence[int]) -> Tensor:
        """Normalised latents (1, C, K, h, w) of frames of a memory, on the CPU.

        Encoded one by one, because a video VAE takes several pictures for a moment that passes (Context-as-Memory,
        section 4.2).
        """
        missing = [index for index in indices if index not in self._kept]
        fresh: dict[int, Tensor] = {}
        if missing:
            for index, picture in zip(missing, state.read_frames(missing, nearest=True), strict=True):
                fresh[index] = self.encode(as_video(picture[None]))[0, :, 0].cpu()
        found = [fresh[index] if index in fresh else self._kept[index] for index in indices]
        for index, latent in zip(indices, found, strict=True):
            self._kept[index] = latent
            self._kept.move_to_end(index)
        while len(self._kept) > KEPT_FRAMES:
            self._kept.popitem(last=False)
        return torch.stack(found, dim=1)[None]

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

"""From pictures to tokens and back: convolutions at full size around the transformer."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import reproject

PATCH = 12
STEM = (32, 64)
DECIDED = 8.0


def normed(x: Tensor) -> Tensor:
    """Layer norm without scale and shift."""
    return F.layer_norm(x, x.shape[-1:])


class Stem(nn.Module):
    """From a picture and its rays to tokens: whole patches for the gist, overlapping convolutions for the detail.

    The finer steps of the convolutions are kept for the painter.
    """

    def __init__(self, dim: int, channels: int, operations: Any, make: dict[str, Any]) -> None:
        super().__init__()
        fine, middle = STEM
        self.patch = operations.Conv2d(channels, dim, PATCH, stride=PATCH, **make)
        self.first = operations.Conv2d(channels, fine, 3, stride=2, padding=1, **make)
        self.second = operations.Conv2d(fine, middle, 3, stride=2, padding=1, **make)
        self.third = operations.Conv2d(middle, dim, 5, stride=3, padding=1, **make)

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        fine = F.silu(self.first(picture))
        middle = F.silu(self.second(fine))
        return self.patch(picture) + self.third(middle), [picture, fine, middle]


class Painter(nn.Module):
    """From tokens back to a picture: whole patches, and three enlargements with the stem's detail at each size."""

    def __init__(self, dim: int, out: int, channels: int, operations: Any, make: dict[str, Any]) -> None:
        super().__init__()
        fine, middle = STEM
        self.modulation = nn.Parameter(torch.zeros(2, dim, **make))
        self.patch = operations.Conv2d(dim, out * PATCH * PATCH, 1, **make)
        self.first = operations.Conv2d(dim, 9 * middle, 1, **make)
        self.second = operations.Conv2d(2 * middle, 4 * fine, 3, padding=1, **make)
        self.third = operations.Conv2d(2 * fine, 4 * 16, 3, padding=1, **make)
        self.last = operations.Conv2d(16 + channels, out, 3, padding=1, **make)

    def forward(
        self, tokens: Tensor, modulation: Tensor, details: list[Tensor], shape: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """The picture (B, out, F, H, W), and what its last convolution saw, (B * F, 16 + channels, H, W)."""
        batch, count, rows, columns = shape
        shift, scale = (
            (modulation[:, part] + self.modulation[part].to(modulation)).to(tokens)[:, None] for part in (0, 1)
        )
        coarse = (normed(tokens) * (1 + scale) + shift).reshape(batch * count, rows, columns, -1).permute(0, 3, 1, 2)
        picture, fine, middle = details
        x = F.silu(F.pixel_shuffle(self.first(coarse), 3))
        x = F.silu(F.pixel_shuffle(self.second(torch.cat([x, middle], 1)), 2))
        x = F.silu(F.pixel_shuffle(self.third(torch.cat([x, fine], 1)), 2))
        seen = torch.cat([x, picture], 1)
        x = self.last(seen) + F.pixel_shuffle(self.patch(coarse), PATCH)
        return x.unflatten(0, (batch, count)).transpose(1, 2), seen


class Weaver(nn.Module):
    """Chooses at each pixel between what was painted and what is remembered there, and mends the seams."""

    def __init__(self, channels: int, operations: Any, make: dict[str, Any], width: int = 32) -> None:
        super().__init__()
        self.first = operations.Conv2d(channels + 3, width, 3, padding=1, **make)
        self.second = operations.Conv2d(width, width, 3, padding=1, **make)
        self.last = operations.Conv2d(width, 3 + 1 + reproject.WOVEN, 3, padding=1, **make)

    def forward(self, painted: Tensor, seen: Tensor, woven: Tensor) -> Tensor:
        """(B, 3, F, H, W) from the same, from (B * F, channels, H, W) and from (B * F, reproject.CHANNELS, H, W)."""
        batch, count = painted.shape[0], painted.shape[2]
        flat = painted.transpose(1, 2).flatten(0, 1)
        x = F.silu(self.first(torch.cat([flat, seen], 1)))
        x = self.last(F.silu(self.second(x)))
        pictures = woven[:, : 4 * reproject.WOVEN].unflatten(1, (reproject.WOVEN, 4))
        sure = pictures[:, :, 3].float()
        # Where nothing is remembered nothing can be copied; where it surely is, that is the first guess.
        wanted = x[:, 4:].float() + (sure + 1e-4).log() + 2.0
        choice = torch.cat([x[:, 3:4].float(), wanted], 1)
        mended = x[:, :3]
        if not self.training:
            # A mean of pictures that do not quite agree has the smaller error and is soft: decide for one.
            choice = choice * DECIDED
        share = choice.softmax(1).to(x)
        if not self.training:
            mended = mended * (1 - share[:, 1:].amax(1, keepdim=True))
        copied = (pictures[:, :, :3] / pictures[:, :, 3:].clamp_min(0.05) * share[:, 1:, None]).sum(1)
        out = share[:, :1] * flat + copied + mended
        return out.unflatten(0, (batch, count)).transpose(1, 2)

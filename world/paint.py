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
    """Layer norm without scale and shift. Over the last axis of (B, L, D)."""
    return F.layer_norm(x, x.shape[-1:])


def silu(x: Tensor) -> Tensor:
    """Of a fresh x: without gradients it is changed in place. Of any shape, elementwise."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Layer norm of tokens (B, L, D), stretched by 1 + scale and moved by shift, both (B, 1, D)."""
    if len(scale) == 1:
        return F.layer_norm(x, x.shape[-1:], 1 + scale[0, 0], shift[0, 0])
    return torch.addcmul(shift, normed(x), 1 + scale)


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
        """From pictures (N, channels, H, W): tokens (N, dim, H / 12, W / 12), and what the painter needs, the picture
        and its finer steps."""
        fine = silu(self.first(picture))
        middle = silu(self.second(fine))
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

    def coarse(self, tokens: Tensor, modulation: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """What tokens give by themselves, shape being N, rows and columns of the tokens.

        Returns the first enlargement (N, STEM[1], 3 * rows, 3 * columns) and whole patches (N, out, H, W).
        """
        shift, scale = (
            (modulation[:, part] + self.modulation[part].to(modulation)).to(tokens)[:, None] for part in (0, 1)
        )
        small = modulated(tokens, scale, shift).reshape(*shape, -1).permute(0, 3, 1, 2)
        return silu(F.pixel_shuffle(self.first(small), 3)), F.pixel_shuffle(self.patch(small), PATCH)

    def forward(
        self, coarse: Tensor, patches: Tensor, picture: Tensor, fine: Tensor, middle: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From `coarse` and the stem's details: pictures (N, out, H, W), and what the last convolution saw,
        (N, 16 + channels, H, W)."""
        x = silu(F.pixel_shuffle(self.second(torch.cat([coarse, middle], 1)), 2))
        x = silu(F.pixel_shuffle(self.third(torch.cat([x, fine], 1)), 2))
        seen = torch.cat([x, picture], 1)
        return self.last(seen) + patches, seen


class Weaver(nn.Module):
    """Chooses at each pixel between what was painted and what is remembered there, and mends the seams."""

    def __init__(self, channels: int, operations: Any, make: dict[str, Any], width: int = 32) -> None:
        super().__init__()
        self.first = operations.Conv2d(channels + 3, width, 3, padding=1, **make)
        self.second = operations.Conv2d(width, width, 3, padding=1, **make)
        self.last = operations.Conv2d(width, 3 + 1 + reproject.WOVEN, 3, padding=1, **make)

    def forward(self, painted: Tensor, seen: Tensor, woven: Tensor) -> Tensor:
        """(N, 3, H, W) from the same, from (N, channels, H, W) and from (N, reproject.CHANNELS, H, W)."""
        x = silu(self.first(torch.cat([painted, seen], 1)))
        x = self.last(silu(self.second(x))).contiguous()
        mended, choice = x[:, :3], x[:, 3:].float()
        pictures = woven[:, : 4 * reproject.WOVEN].unflatten(1, (reproject.WOVEN, 4))
        sure = pictures[:, :, 3]
        # Where nothing is remembered nothing can be copied; where it surely is, that is the first guess.
        choice = torch.cat([choice[:, :1], choice[:, 1:] + ((sure.float() + 1e-4).log() + 2.0)], 1)
        if not self.training:
            # A mean of pictures that do not quite agree has the smaller error and is soft: decide for one.
            choice = choice * DECIDED
        share = choice.softmax(1).to(x)
        if not self.training:
            mended = mended * (1 - share[:, 1:].amax(1, keepdim=True))
        picture = torch.addcmul(mended, share[:, :1], painted.contiguous())
        weight = share[:, 1:] / sure.clamp_min(0.05)
        for number in range(reproject.WOVEN):
            picture = torch.addcmul(picture, pictures[:, number, :3], weight[:, number, None])
        return picture

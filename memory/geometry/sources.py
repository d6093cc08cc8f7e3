"""Remembered frames made ready to be looked up: colours and depth in one tall picture each, and points to be splatted.

Depth is kept as *nearness*, one over z-depth: 0 is infinitely far, and along a flat surface it changes linearly over
the picture, so that between pixels of one surface it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.projection import pixel_middles, slopes, split

SPREAD = 24
"""Pixels of unknown depth beside a thing that may belong to it."""

MARGIN = 2
"""Pixels repeated around each picture in the tall one, so that a cubic never reaches into the next."""

JUMP = 0.04
"""Neighbours whose nearness differs by more than this share, beyond what a slope would give, are two things."""

REACH = 3
"""Pixels around a place in which a layer may lie that is asked for only roughly."""


CLEAR = 0.05
"""The share of what was ever seen that counts as hardly anything."""


@dataclass(frozen=True, eq=False)
class Sources:
    """F frames of H x W pixels, ready for lookups.

    ``colours`` (1, 3, tall, wide) 0..255, tall = F * (H + 2 * MARGIN). ``surface`` (1, 3, tall, wide): nearness, how
    far it jumps around the pixel (0 inside a surface), and by how much the nearest neighbour is nearer; NaN where
    unknown.
    ``rough`` (1, 3, tall, wide): least and most nearness within REACH and how frontal the surface is seen, 0..1.
    ``points`` (F, 4, n): slopes of the ray, 1, and nearness, of the nearest pixel of each block; nearness -1 for none.
    Hardly anything was nearer than ``clear`` (a nearness) or farther than ``farthest`` (one too).
    """

    colours: Tensor
    surface: Tensor
    rough: Tensor
    points: Tensor
    clear: float
    farthest: float
    count: int
    height: int
    width: int

    @property
    def tall(self) -> int:
        return self.count * (self.height + 2 * MARGIN)

    @property
    def wide(self) -> int:
        return self.width + 2 * MARGIN


def prepared(colours: Tensor, near: Tensor, intrinsics: Tensor, stride: int = 2) -> Sources:
    """Frames (F, 3, H, W) 0..255 with nearness (F, H, W), NaN where unknown, and intrinsics (F, 4), made ready."""
    count, height, width = near.shape
    known = near.isfinite()
    high = torch.where(known, near, -torch.inf)
    low = torch.where(known, near, torch.inf)
    most, least = _most(high, 1), -_most(-low, 1)
    jump = torch.where(_edges(near), (most - least).clamp_min(0), 0.0)
    surface = torch.stack([near, jump, (most - near).clamp_min(0)], dim=1)
    if not known.all():
        high = _spread(high)
        low = torch.where(high.isfinite(), torch.minimum(low, high), torch.inf)
    rough = torch.stack([-_most(-low, REACH), _most(high, REACH), _frontal(near, intrinsics)], dim=1)
    rough = torch.where(rough.isfinite(), rough, torch.tensor([torch.inf, -torch.inf, 0.0]).to(rough)[:, None, None])
    some = near[:, ::4, ::4]
    some = some[some > 0]
    clear, farthest = (float(torch.quantile(some, share)) if len(some) else 0.0 for share in (1 - CLEAR, CLEAR))
    return Sources(
        _tall(colours), _tall(surface), _tall(rough), _points(high, intrinsics, stride), clear, farthest / 2,
        count, height, width,
    )


def _most(values: Tensor, reach: int) -> Tensor:
    """The most of (F, H, W) within ``reach`` pixels; much quicker than pooling, which notes where it was."""
    for axis in (1, 2):
        values = values.transpose(axis, 2)
        wide = F.pad(values, (reach, reach), mode="replicate")
        done, length = 1, 2 * reach + 1
        while done < length:
            step = min(done, length - done)
            wide = torch.maximum(wide[..., : wide.shape[2] - step], wide[..., step:])
            done += step
        values = wide.transpose(axis, 2)
    return values


def _spread(high: Tensor) -> Tensor:
    """What is unknown (-inf) in (F, H, W) as near as the nearest of what is known around it, SPREAD pixels wide: it
    shows nothing, and it may hide something."""
    for _ in range(SPREAD // 4):
        high = torch.where(high.isfinite(), high, _most(high, 4))
    return high


def _edges(near: Tensor) -> Tensor:
    """(F, H, W) whether a pixel is the border of a thing before another: its colour may be a mixture of both.

    Second differences of nearness are none along a plane however steep it is.
    """
    wide = F.pad(near[:, None], (2, 2, 2, 2), mode="replicate")[:, 0]
    found = torch.zeros_like(near, dtype=torch.bool)
    middle = wide[:, 2:-2, 2:-2]
    height, width = near.shape[1:]
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        beside = wide[:, 2 + down : 2 + down + height, 2 + right : 2 + right + width]
        other = wide[:, 2 - down : 2 - down + height, 2 - right : 2 - right + width]
        # The step to the farther side is larger than the step on this side tells of the slope.
        step = (middle - beside) - (other - middle)
        found |= (step > JUMP * middle) & (middle > beside)
    return found


def _frontal(near: Tensor, intrinsics: Tensor) -> Tensor:
    """(F, H, W) cosine between the ray and the surface's normal, from the slope of nearness."""
    height, width = near.shape[1:]
    fx, fy, _, _ = split(intrinsics, 2)
    wide = F.pad(near[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) * (0.5 * width) * fx
    down = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) * (0.5 * height) * fy
    x, y = rays(intrinsics, height, width)
    ahead = near - x * across - y * down
    length = (across.square() + down.square() + ahead.square()).sqrt() * (x.square() + y.square() + 1).sqrt()
    return torch.where(length > 0, near / length, 1.0)


def rays(intrinsics: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Slopes x / z (F, 1, W) and y / z (F, H, 1) of the rays through pixels of cameras with intrinsics (F, 4)."""
    u, v = (pixel_middles(torch.arange(side, device=intrinsics.device)) for side in (width, height))
    return slopes(u[None, None], v[None, :, None], split(intrinsics, 2))


def _points(high: Tensor, intrinsics: Tensor, stride: int) -> Tensor:
    """(F, 4, n) of nearness (F, H, W), -inf where unknown: of each block the nearest, at the block's middle."""
    nearest = F.max_pool2d(high[:, None], stride, ceil_mode=True)[:, 0]
    rows, columns = nearest.shape[1:]
    height, width = high.shape[1:]
    u, v = (
        (torch.arange(number, device=high.device) + 0.5) * stride / side
        for number, side in ((columns, width), (rows, height))
    )
    x, y = slopes(u.clamp_max(1)[None, None], v.clamp_max(1)[None, :, None], split(intrinsics, 2))
    near = torch.where(nearest.isfinite(), nearest, -1.0)
    parts = [x.expand_as(near), y.expand_as(near), torch.ones_like(near), near]
    return torch.stack(parts, dim=1).flatten(2)


def _tall(pictures: Tensor) -> Tensor:
    """(F, C, H, W) as one tall picture (1, C, F * (H + 2 * MARGIN), W + 2 * MARGIN)."""
    wide = F.pad(pictures, (MARGIN,) * 4, mode="replicate")
    return wide.transpose(0, 1).flatten(1, 2)[None].contiguous()

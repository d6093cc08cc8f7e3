"""Points of remembered frames, dropped into other views: what is nearest there, and gaps between points closed.

All in torch, on whatever device the tensors are. Nearness is one over z-depth: 0 is infinitely far or nothing at all.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras.projection import pixel_middles, project, slopes, split


def pixel_rays(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Directions in camera axes with z = 1, (..., 3, height * width), of intrinsics (..., 4)."""
    x, y = (pixel_middles(torch.arange(side, device=intrinsics.device)) for side in (width, height))
    across, down = slopes(x, y[:, None], split(intrinsics, 2))
    across, down = across + torch.zeros_like(down), down + torch.zeros_like(across)
    return torch.stack([across, down, torch.ones_like(across)], dim=-3).flatten(-2)


def points(near: Tensor, poses: Tensor, intrinsics: Tensor) -> Tensor:
    """World points (3, K * H * W) of all pixels of K frames with nearness (K, H, W), poses (K, 4, 4) and intrinsics
    (K, 4)."""
    rays = pixel_rays(intrinsics, *near.shape[1:]) / near.flatten(1)[:, None].clamp_min(1e-3)
    return (torch.bmm(poses[:, :3, :3], rays) + poses[:, :3, 3:]).transpose(0, 1).flatten(1)


def splat(positions: Tensor, poses: Tensor, intrinsics: Tensor, size: torch.Size, most: float) -> Tensor:
    """Nearness (T, K, H, W) of what T views see of world points (3, K * n), frame by frame; 0 where nothing is.

    ``poses`` (T, 4, 4) and ``intrinsics`` (T, 4) are the views', ``size`` is (K, H, W): of H x W pixels each. Within a
    frame the nearest point wins. Points nearer than one over ``most`` are not seen.
    """
    count, height, width = size
    local = poses[:, :3, :3].transpose(1, 2) @ (positions - poses[:, :3, 3:])
    near = 1 / local[:, 2].clamp_min(1 / most)
    u, v = project(local[:, 0] * near, local[:, 1] * near, 1.0, split(intrinsics, 1))
    x, y = u * width - 0.5, v * height - 0.5
    inside = (local[:, 2] > 1 / most) & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    frame = torch.arange(count, device=positions.device).repeat_interleave(positions.shape[1] // count) * height
    cell = (frame + y.round().clamp(0, height - 1).long()) * width + x.round().clamp(0, width - 1).long()
    seen = torch.zeros(len(poses), count * height * width, device=positions.device)
    seen.scatter_reduce_(1, cell, near * inside, "amax")
    return seen.view(len(poses), count, height, width)


def closed(seen: Tensor) -> Tensor:
    """Close gaps in (T, H, W) where the camera has come nearer: pixels that are empty or show what lies behind.

    A pixel in the middle of nearer ones takes their mean; three of them are a straight edge, which stays where it is.
    """
    height, width = seen.shape[1:]
    for _ in range(2):
        wide = F.pad(seen, (1, 1, 1, 1))
        row = torch.maximum(torch.maximum(wide[:, :, :-2], wide[:, :, 1:-1]), wide[:, :, 2:])
        level = 0.85 * torch.maximum(torch.maximum(row[:, :-2], row[:, 1:-1]), row[:, 2:])
        count, total = torch.zeros_like(seen), torch.zeros_like(seen)
        for down, right in product(range(3), range(3)):
            neighbour = wide[:, down : down + height, right : right + width]
            nearer = (neighbour > level).to(seen)
            count += nearer
            total.addcmul_(neighbour, nearer)
        gap = (seen <= level) & (count >= torch.where(seen == 0, 3, 4))
        seen = torch.where(gap, total / count.clamp_min(1), seen)
    return seen

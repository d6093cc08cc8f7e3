"""What remembered frames show of the views to be painted: their pixels, moved to where these would see them.

Each remembered frame has a nearness (one over depth) for every pixel. All its points are dropped into the target
views, those of the frame that stood nearest win, and that gives the target's own nearness; then every target pixel
looks up its colour in the remembered frames that see the same point, the best first. Nothing here is learned or
differentiated.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ..memory.cameras.projection import pixel_middles, project, slopes, split
from .resample import Source

WOVEN = 2
"""Remembered pictures offered for each target frame, pixel by pixel the best first."""

CHANNELS = 4 * WOVEN + 1
NEAREST = 8.0
TOLERANCE, FAR_TOLERANCE = 0.08, 0.02


@torch.no_grad()
def reproject(
    frames: Tensor,
    nearness: Tensor,
    poses: Tensor,
    intrinsics: Tensor,
    target_poses: Tensor,
    target_intrinsics: Tensor,
) -> Tensor:
    """Remembered pictures as seen from other cameras.

    Args:
        frames: (B, 3, K, H, W) in [-1, 1], the oldest first where there is a choice.
        nearness: (B, K, H, W), one over z-depth.
        poses, intrinsics: (B, K, 4, 4) camera-to-world and (B, K, 4), normalised.
        target_poses, target_intrinsics: (B, F, 4, 4) and (B, F, 4).

    Returns:
        (B, F, CHANNELS, H, W) float32: WOVEN times colour (zero where unknown) and certainty in 0..1, then the target's
        nearness, zero where nothing is known.
    """
    out = []
    # Autocast would turn the products to bfloat16, too coarse for places.
    with torch.autocast(frames.device.type, enabled=False):
        for one in zip(frames, nearness, poses, intrinsics, target_poses, target_intrinsics, strict=True):
            picture, near, pose, lens, aim, aim_lens = (part.float() for part in one)
            seen = _nearest(_points(near, pose, lens), pose, aim, aim_lens, near.shape)
            out.append(_looked_up(Source(picture), near, pose, lens, seen, aim, aim_lens))
    return torch.stack(out)


def _pixel_rays(lens: Tensor, height: int, width: int) -> Tensor:
    """Directions in camera axes with z = 1, (..., 3, H * W), of lenses (..., 4)."""
    x, y = (pixel_middles(torch.arange(side, device=lens.device)) for side in (width, height))
    across, down = torch.broadcast_tensors(*slopes(x, y[:, None], split(lens, 2)))
    return torch.stack([across, down, torch.ones_like(across)], dim=-3).flatten(-2)


def _points(near: Tensor, pose: Tensor, lens: Tensor) -> Tensor:
    """World points of all pixels, (3, K * H * W)."""
    rays = _pixel_rays(lens, *near.shape[1:]) / near.flatten(1)[:, None].clamp_min(1e-3)
    return (torch.bmm(pose[:, :3, :3], rays) + pose[:, :3, 3:]).transpose(0, 1).flatten(1)


def _nearest(points: Tensor, from_poses: Tensor, poses: Tensor, lenses: Tensor, size: torch.Size) -> Tensor:
    """Nearness of what each pixel of the views shows, (F, H, W); zero where there is nothing.

    Within a remembered frame the nearest point wins; between frames the one that stood nearest to the view. A wrong
    depth moves its pixels the less the nearer it stood, and the nearest of many wrong points would always win.
    """
    count, height, width = size
    local = poses[:, :3, :3].transpose(1, 2) @ (points - poses[:, :3, 3:])
    near = 1 / local[:, 2].clamp_min(1 / NEAREST)
    u, v = project(local[:, 0] * near, local[:, 1] * near, 1.0, split(lenses, 1))
    x, y = u * width - 0.5, v * height - 0.5
    inside = (local[:, 2] > 1 / NEAREST) & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    frame = torch.arange(count, device=points.device).repeat_interleave(height * width) * height
    cell = (frame + y.round().clamp(0, height - 1).long()) * width + x.round().clamp(0, width - 1).long()
    seen = torch.zeros(len(poses), count * height * width, device=points.device)
    seen.scatter_reduce_(1, cell, near * inside, "amax")
    order = (from_poses[None, :, :3, 3] - poses[:, None, :3, 3]).norm(dim=2).argsort(dim=1, stable=True)
    maps = seen.view(len(poses), count, height, width)
    maps = maps.gather(1, order[:, :, None, None].expand_as(maps))
    found = maps[:, 0]
    for number in range(1, count):
        found = torch.where(found > 0, found, maps[:, number])
    return _filled(found)


def _filled(seen: Tensor) -> Tensor:
    """Close gaps in (F, H, W) where the camera has come nearer: pixels that are empty or show what lies behind.

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


def _looked_up(
    source: Source, near: Tensor, pose: Tensor, lens: Tensor, seen: Tensor, views: Tensor, view_lenses: Tensor
) -> Tensor:
    """(F, CHANNELS, H, W) of target views that see `seen` (F, H, W)."""
    count, height, width = near.shape
    rays = _pixel_rays(view_lenses, height, width) / seen.flatten(1)[:, None].clamp_min(1e-3)
    place = views[:, :3, :3] @ rays + views[:, :3, 3:]
    local = pose[:, :3, :3].transpose(1, 2) @ (place[:, None] - pose[:, :3, 3:])
    depth = local[:, :, 2].clamp_min(1e-3)
    x, y = project(local[:, :, 0] / depth, local[:, :, 1] / depth, 1.0, split(lens, 1))
    grid = torch.stack([2 * x - 1, 2 * y - 1], dim=-1).unflatten(2, (height, width))
    every = near.expand(len(views), count, height, width).reshape(-1, 1, height, width)
    depths = F.grid_sample(every, grid.flatten(0, 1), "bilinear", "border", align_corners=False)
    wanted = (1 / depth).unflatten(2, (height, width))
    inside = (local[:, :, 2] > 0.05) & (x > 0) & (x < 1) & (y > 0) & (y < 1) & (seen.flatten(1)[:, None] > 0)
    misfit = (depths.view_as(wanted) - wanted) / (TOLERANCE * wanted + FAR_TOLERANCE)
    sure = torch.exp(-misfit.square()) * inside.view_as(wanted)
    # From where it stood nearest it shows most; the older picture is the copy of fewer copies, and one of the very
    # same view needs no moving at all.
    away = (pose[None, :, :3, 3] - views[:, None, :3, 3]).norm(dim=2)
    same = (away < 0.02) & ((views[:, :3, 2] @ pose[:, :3, 2].T) > 0.9999)
    liking = torch.exp(-0.5 * away) * (1 + 0.2 * same - 0.1 * torch.arange(count, device=away.device) / count)
    order = (sure * liking[:, :, None, None]).topk(min(WOVEN, count), dim=1).indices
    colours, chosen = source.sampled(grid, order), sure.gather(1, order)
    offered = torch.cat([colours * chosen[:, :, None], chosen[:, :, None]], dim=2)
    if count < WOVEN:
        offered = F.pad(offered, (0, 0, 0, 0, 0, 0, 0, WOVEN - count))
    return torch.cat([offered.flatten(1, 2), seen[:, None]], dim=1)

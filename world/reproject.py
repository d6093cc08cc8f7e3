"""What remembered frames show of the views to be painted: their pixels, moved to where these would see them.

Each remembered frame has a nearness (one over depth) for every pixel. All its points are dropped into the target
views, those of the frame that stood nearest win, and that gives the target's own nearness; then every target pixel
looks up its colour in the remembered frames that see the same point, the best first. Nothing here is learned or
differentiated.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..memory.cameras.projection import project, split
from ..memory.geometry.splat import closed, pixel_rays, points, splat
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
            seen = _nearest(splat(points(near, pose, lens), aim, aim_lens, near.shape, NEAREST), pose, aim)
            out.append(_looked_up(Source(picture), near, pose, lens, seen, aim, aim_lens))
    return torch.stack(out)


def _nearest(seen: Tensor, from_poses: Tensor, poses: Tensor) -> Tensor:
    """Nearness of what each pixel of the views shows, (F, H, W), from that of each frame, (F, K, H, W); zero where
    there is nothing.

    Between frames the one that stood nearest to the view wins. A wrong depth moves its pixels the less the nearer it
    stood, and the nearest of many wrong points would always win.
    """
    order = (from_poses[None, :, :3, 3] - poses[:, None, :3, 3]).norm(dim=2).argsort(dim=1, stable=True)
    maps = seen.gather(1, order[:, :, None, None].expand_as(seen))
    found = maps[:, 0]
    for number in range(1, maps.shape[1]):
        found = torch.where(found > 0, found, maps[:, number])
    return closed(found)


def _looked_up(
    source: Source, near: Tensor, pose: Tensor, lens: Tensor, seen: Tensor, views: Tensor, view_lenses: Tensor
) -> Tensor:
    """(F, CHANNELS, H, W) of target views that see `seen` (F, H, W)."""
    count, height, width = near.shape
    rays = pixel_rays(view_lenses, height, width) / seen.flatten(1)[:, None].clamp_min(1e-3)
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

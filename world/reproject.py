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
            points = _points(near, pose, lens)
            source = Source(picture)
            for view, view_lens in zip(aim, aim_lens, strict=True):
                seen = _nearest(points, pose, view, view_lens, near.shape)
                out.append(_looked_up(source, near, pose, lens, seen, view, view_lens))
    return torch.stack(out).unflatten(0, target_poses.shape[:2])


def _pixel_rays(lens: Tensor, height: int, width: int) -> Tensor:
    """Directions in camera axes with z = 1, (..., 3, H * W), of lenses (..., 4)."""
    x = (torch.arange(width, device=lens.device) + 0.5) / width
    y = (torch.arange(height, device=lens.device) + 0.5) / height
    fx, fy, cx, cy = (part[..., None] for part in lens.unbind(-1))
    across = ((x - cx) / fx)[..., None, :].expand(*lens.shape[:-1], height, width)
    down = ((y - cy) / fy)[..., :, None].expand(*lens.shape[:-1], height, width)
    return torch.stack([across, down, torch.ones_like(across)], dim=-3).flatten(-2)


def _points(near: Tensor, pose: Tensor, lens: Tensor) -> Tensor:
    """World points of all pixels, (3, K * H * W)."""
    rays = _pixel_rays(lens, *near.shape[1:]) / near.flatten(1)[:, None].clamp_min(1e-3)
    return (torch.bmm(pose[:, :3, :3], rays) + pose[:, :3, 3:]).transpose(0, 1).flatten(1)


def _nearest(points: Tensor, from_poses: Tensor, pose: Tensor, lens: Tensor, size: torch.Size) -> Tensor:
    """Nearness of what each pixel of a view shows, (H, W); zero where there is nothing.

    Within a remembered frame the nearest point wins; between frames the one that stood nearest to the view. A wrong
    depth moves its pixels the less the nearer it stood, and the nearest of many wrong points would always win.
    """
    count, height, width = size
    local = pose[:3, :3].T @ (points - pose[:3, 3:])
    near = 1 / local[2].clamp_min(1 / NEAREST)
    x = (local[0] * near * lens[0] + lens[2]) * width - 0.5
    y = (local[1] * near * lens[1] + lens[3]) * height - 0.5
    inside = (local[2] > 1 / NEAREST) & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    index = torch.nonzero(inside).squeeze(1)
    x, y, near = x[index], y[index], near[index]
    seen = torch.zeros(count * height * width, device=points.device)
    frame = index.div(height * width, rounding_mode="floor")
    cell = (frame * height + y.round().long()) * width + x.round().long()
    seen.scatter_reduce_(0, cell, near, "amax")
    maps = seen.view(count, height, width)
    order = (from_poses[:, :3, 3] - pose[:3, 3]).norm(dim=1).argsort(stable=True)
    found = maps[order[0]]
    for number in order[1:]:
        found = torch.where(found > 0, found, maps[number])
    return _filled(found)


def _filled(seen: Tensor) -> Tensor:
    """Close gaps that open where the camera has come nearer: pixels that are empty, or that show what lies behind.

    A pixel in the middle of nearer ones takes their mean; three of them are a straight edge, which stays where it is.
    """
    for _ in range(2):
        around = F.unfold(seen[None, None], 3, padding=1)[0]
        nearest = around.amax(0).view_as(seen)
        same = around > 0.85 * nearest.flatten()
        count = same.sum(0).view_as(seen)
        mean = ((around * same).sum(0) / same.sum(0).clamp_min(1)).view_as(seen)
        gap = (seen <= 0.85 * nearest) & (count >= torch.where(seen == 0, 3, 4))
        seen = torch.where(gap, mean, seen)
    return seen


def _looked_up(
    source: Source, near: Tensor, pose: Tensor, lens: Tensor, seen: Tensor, view: Tensor, view_lens: Tensor
) -> Tensor:
    """(CHANNELS, H, W) of one target view."""
    count, height, width = near.shape
    rays = _pixel_rays(view_lens, height, width) / seen.flatten().clamp_min(1e-3)
    place = view[:3, :3] @ rays + view[:3, 3:]
    local = torch.einsum("kji,kjn->kin", pose[:, :3, :3], place - pose[:, :3, 3:])
    depth = local[:, 2].clamp_min(1e-3)
    x = local[:, 0] / depth * lens[:, :1] + lens[:, 2:3]
    y = local[:, 1] / depth * lens[:, 1:2] + lens[:, 3:4]
    grid = torch.stack([2 * x - 1, 2 * y - 1], dim=-1).view(count, height, width, 2)
    depths = F.grid_sample(near[:, None], grid, "bilinear", "border", align_corners=False)[:, 0]
    inside = (local[:, 2] > 0.05) & (x > 0) & (x < 1) & (y > 0) & (y < 1) & (seen.flatten() > 0)
    wanted = (1 / depth).view(count, height, width)
    misfit = (depths - wanted) / (TOLERANCE * wanted + FAR_TOLERANCE)
    sure = torch.exp(-misfit.square()) * inside.view(count, height, width)
    # From where it stood nearest it shows most; the older picture is the copy of fewer copies, and one of the very
    # same view needs no moving at all.
    away = (pose[:, :3, 3] - view[:3, 3]).norm(dim=1)
    same = (away < 0.02) & ((pose[:, :3, 2] @ view[:3, 2]) > 0.9999)
    liking = torch.exp(-0.5 * away) * (1 + 0.2 * same - 0.1 * torch.arange(count, device=away.device) / count)
    order = (sure * liking[:, None, None]).topk(min(WOVEN, count), dim=0).indices
    colours = source.sampled(grid, order)
    chosen_sure = sure.gather(0, order)
    chosen = torch.cat([colours * chosen_sure[:, None], chosen_sure[:, None]], dim=1)
    if count < WOVEN:
        chosen = F.pad(chosen, (0, 0, 0, 0, 0, 0, 0, WOVEN - count))
    return torch.cat([chosen.flatten(0, 1), seen[None]])

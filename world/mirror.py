"""What may lie beyond the edges of what is remembered: its mirror image, as a first guess that the painter may change.

A remembered picture, flipped and seen by a camera that is reflected in the upright plane through its left or right
edge, goes on where the picture ends: the same walls at the same height, the same colours and patterns, no seam. It is
one room that could be, where a mean of all rooms is none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..memory.cameras.projection import split
from .reproject import WOVEN, reproject

SURE = 0.5
"""Certainty of what is only mirrored, over that of what is remembered."""

NEVER_SEEN = 0.05
"""Certainty below which nothing is remembered."""


def mirrored(
    frames: Tensor, nearness: Tensor, poses: Tensor, intrinsics: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures beyond the right and the left edge of K pictures, with nearness and cameras.

    From (B, 3, K, H, W), (B, K, H, W), (B, K, 4, 4) and (B, K, 4): the same with 2 K for K, the right ones first.
    """
    fx, _, cx, _ = split(intrinsics)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], device=poses.device))
    cameras, lens = [], intrinsics.clone()
    lens[..., 2] = 1 - cx
    for edge in (1.0, 0.0):
        along = poses[..., :3, 0] * ((edge - cx) / fx)[..., None] + poses[..., :3, 2]
        normal = torch.stack([along[..., 2], torch.zeros_like(along[..., 0]), -along[..., 0]], -1)
        normal = normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-6)
        turned = poses[..., :3, :3] - 2 * normal[..., :, None] * (normal[..., None, :] @ poses[..., :3, :3])
        camera = poses.clone()
        camera[..., :3, :3] = turned @ flip
        cameras.append(camera)
    double = (torch.cat([part, part], axis) for part, axis in ((frames.flip(-1), 2), (nearness.flip(-1), 1)))
    return (*double, torch.cat(cameras, 1), torch.cat([lens, lens], 1))  # type: ignore[return-value]


@torch.no_grad()
def beyond(
    woven: Tensor,
    frames: Tensor,
    nearness: Tensor,
    poses: Tensor,
    intrinsics: Tensor,
    target_poses: Tensor,
    target_intrinsics: Tensor,
) -> Tensor:
    """What `reproject` gave, (B, F, CHANNELS, H, W), filled where nothing is remembered with what may be there.

    Only the remembered picture that looks most where the middle target looks is mirrored: at its edge ends what is
    known, so there is no seam. The other arguments are those of `reproject`.
    """
    with torch.autocast(frames.device.type, enabled=False):
        aim = target_poses[:, target_poses.shape[1] // 2, :3, 2].float()
        best = (poses[..., :3, 2].float() @ aim[..., None])[..., 0].argmax(1)
        rows = torch.arange(len(best), device=best.device)
        one = (frames[rows, :, best][:, :, None], nearness[rows, best][:, None], poses[rows, best][:, None],
               intrinsics[rows, best][:, None])  # fmt: skip
        guess = reproject(*mirrored(*(part.float() for part in one)), target_poses, target_intrinsics)
    guess[:, :, : 4 * WOVEN] *= SURE
    return torch.where(woven[:, :, 3:4] < NEVER_SEEN, guess, woven)

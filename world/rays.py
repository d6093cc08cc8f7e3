"""Camera conditioning of the network: rays per pixel, and rotary phases (RoPE) per token.

All cameras of a segment are first moved so that the segment's first frame stands at the origin with yaw 0. The
vertical stays vertical, so gravity keeps its meaning, while the position and heading in the world drop out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..memory.cameras.projection import pixel_middles, slopes, split

# Rotary wave numbers: yaw is periodic, so its are whole numbers; lengths are in scene units.
YAW_WAVES = (1, 2, 4, 8, 16, 32, 64, 128)
PITCH_WAVES = (1, 2, 4, 8, 16, 32, 64)
GROUND_WAVELENGTHS = (32.0, 16.0, 8.0, 4.0, 2.0, 1.0)
HEIGHT_WAVELENGTHS = (16.0, 8.0, 4.0, 2.0, 1.0)
PHASES = len(YAW_WAVES) + len(PITCH_WAVES) + 2 * len(GROUND_WAVELENGTHS) + len(HEIGHT_WAVELENGTHS)

MOMENT_SCALE = 0.25


def levelled(poses: Tensor, reference: Tensor) -> Tensor:
    """Move poses (..., 4, 4) so that `reference` (..., 4, 4) stands at the origin with yaw 0, gravity unchanged. The
    result has the shape of the poses."""
    forward = reference[..., :3, 2]
    yaw = torch.atan2(forward[..., 0], forward[..., 2])
    cos, sin, zero, one = torch.cos(yaw), torch.sin(yaw), torch.zeros_like(yaw), torch.ones_like(yaw)
    turn = torch.stack([cos, zero, -sin, zero, one, zero, sin, zero, cos], dim=-1).reshape(*yaw.shape, 3, 3)
    moved = poses.clone()
    moved[..., :3, :3] = (turn[..., :, :, None] * poses[..., None, :3, :3]).sum(-2)
    moved[..., :3, 3] = (turn * (poses[..., :3, 3] - reference[..., :3, 3])[..., None, :]).sum(-1)
    return moved


def ray_directions(poses: Tensor, intrinsics: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit ray directions in the world through the centres of a grid of pixels: x, y and z, each (..., rows, columns).

    Args:
        poses: (..., 4, 4) camera-to-world, OpenCV axes.
        intrinsics: (..., 4) fx fy cx cy, normalised by width and height.
    """
    x, y = (pixel_middles(torch.arange(side, device=poses.device, dtype=poses.dtype)) for side in (columns, rows))
    across, down = slopes(x, y[:, None], split(intrinsics, 2))
    ahead = (across.square() + down.square() + 1.0).rsqrt()
    camera = across * ahead, down * ahead, ahead
    turn = poses[..., None, None, :3, :3]
    # Sums of products, not matmul: autocast would turn that to bfloat16, too coarse for rays.
    return _along(turn[..., 0, :], camera), _along(turn[..., 1, :], camera), _along(turn[..., 2, :], camera)


def _along(row: Tensor, camera: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """One coordinate in the world of vectors in the camera's axes."""
    return torch.addcmul(torch.addcmul(row[..., 0] * camera[0], row[..., 1], camera[1]), row[..., 2], camera[2])


def plucker_maps(poses: Tensor, intrinsics: Tensor, rows: int, columns: int) -> Tensor:
    """Direction and moment of each pixel's ray, (..., 6, rows, columns)."""
    x, y, z = ray_directions(poses, intrinsics, rows, columns)
    px, py, pz = (MOMENT_SCALE * poses[..., axis, 3, None, None] for axis in range(3))
    return torch.stack([x, y, z, py * z - pz * y, pz * x - px * z, px * y - py * x], dim=-3)


def rotary_phases(poses: Tensor, intrinsics: Tensor, rows: int, columns: int) -> Tensor:
    """Rotary phases of each token, (..., rows * columns, PHASES) in radians: yaw, pitch, x, z, y of its ray."""
    right, down, ahead = ray_directions(poses, intrinsics, rows, columns)
    yaw = torch.atan2(right, ahead)
    pitch = torch.asin((-down).clamp(-1, 1))
    x, y, z = (poses[..., axis, 3, None, None].expand_as(yaw) for axis in range(3))
    turn = 2 * torch.pi

    def waves(value: Tensor, numbers: tuple[float, ...]) -> Tensor:
        return value[..., None] * torch.tensor(numbers, device=value.device, dtype=value.dtype)

    ground = tuple(turn / length for length in GROUND_WAVELENGTHS)
    upward = tuple(turn / length for length in HEIGHT_WAVELENGTHS)
    phases = torch.cat(
        [waves(yaw, YAW_WAVES), waves(pitch, PITCH_WAVES), waves(x, ground), waves(z, ground), waves(y, upward)], dim=-1
    )
    return phases.flatten(-3, -2)

"""A camera path as Wan's Fun-Camera models take it: a Pluecker ray for each pixel, four frames to a latent frame.

The rays are those of Sitzmann et al. 2021, packed as VideoX-Fun does. For equal cameras the numbers are those of
ComfyUI's own WanCameraEmbedding, bit for bit.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...memory.cameras.camera import FloatArray
from ...memory.cameras.projection import slopes, split
from ...memory.cameras.trajectory import Trajectory
from .options import STRIDE

SIDE = 16
"""The model works on squares of 16 pixels."""


def wan_camera_embedding(trajectory: Trajectory, width: int, height: int, *, square_pixels: bool = True) -> Tensor:
    """Rays (1, 24, T, height, width) float32 of a trajectory of F = 4 T - 3 frames, seen from its first camera.

    Channel 4 p + s holds Pluecker number p (origin x direction, then direction) of frame 4 t - 3 + s of latent frame t;
    latent frame 0 holds frame 0 four times. ``square_pixels`` takes the trajectory's intrinsics for those of a camera
    with square pixels, cropped about its centre to the picture; otherwise they are taken as they are.

    Raises ``ValueError`` for a size or a number of frames that the models cannot take.
    """
    for name, side in (("width", width), ("height", height)):
        if side < SIDE or side % SIDE:
            raise ValueError(f"{name} is {side}: Wan needs a multiple of {SIDE}. Use 832 x 480.")
    if len(trajectory) % STRIDE != 1:
        near = len(trajectory) // STRIDE * STRIDE + 1
        raise ValueError(
            f"The camera path has {len(trajectory)} frames: Wan needs 4 n + 1. Re-time it to {near} or {near + STRIDE}."
        )
    intrinsics = cropped(trajectory.intrinsics, width / height) if square_pixels else trajectory.intrinsics
    pixels = torch.as_tensor((intrinsics * np.array([width, height, width, height])).astype(np.float32))
    poses = torch.as_tensor(trajectory.relative().poses.astype(np.float32))
    result = torch.empty((1, 6 * STRIDE, len(trajectory) // STRIDE + 1, height, width))
    for frame in range(len(trajectory)):
        rays = pluecker_rays(poses[frame : frame + 1], pixels[frame : frame + 1], width, height)[0]
        if frame == 0:
            result[0, :, 0] = rays.repeat_interleave(STRIDE, dim=0)
        else:
            result[0, (frame - 1) % STRIDE :: STRIDE, (frame + STRIDE - 1) // STRIDE] = rays
    return result


def pluecker_rays(poses: Tensor, pixels: Tensor, width: int, height: int) -> Tensor:
    """Rays (F, 6, height, width) through the middle of each pixel: origin x direction, then the unit direction.

    ``poses`` (F, 4, 4) camera-to-world, ``pixels`` (F, 4) fx fy cx cy in pixels, in the type of the result.
    """
    x = torch.linspace(0, width - 1, width, dtype=poses.dtype) + 0.5
    y = torch.linspace(0, height - 1, height, dtype=poses.dtype) + 0.5
    across, down = torch.broadcast_tensors(*slopes(x, y[:, None], split(pixels, 2)))
    directions = torch.stack((across, down, torch.ones_like(across)), dim=-1).flatten(1, 2)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    directions = directions @ poses[:, :3, :3].transpose(-1, -2)
    moments = torch.linalg.cross(poses[:, None, :3, 3].expand_as(directions), directions, dim=-1)
    return torch.cat([moments, directions], dim=-1).reshape(-1, height, width, 6).movedim(-1, 1)


def cropped(intrinsics: FloatArray, aspect: float) -> FloatArray:
    """Intrinsics (F, 4) of cameras with square pixels, cropped about the centre to another width / height."""
    result: FloatArray = intrinsics.copy()
    own = intrinsics[:, 1] / intrinsics[:, 0]
    wider, narrower = own > aspect, own <= aspect
    result[wider, 0] = intrinsics[wider, 1] / aspect
    result[wider, 2] = 0.5 + (intrinsics[wider, 2] - 0.5) * own[wider] / aspect
    result[narrower, 1] = intrinsics[narrower, 0] * aspect
    result[narrower, 3] = 0.5 + (intrinsics[narrower, 3] - 0.5) * aspect / own[narrower]
    return result

"""LingBot-World and MemoBench: poses.npy with intrinsics.npy beside it."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .intrinsics import from_pixels
from .layout import Layout, ReadOptions, Recorded
from .npy import is_npy, is_one_pose, npy_array, npy_shape
from .poses import rigid_poses
from .source import Source


def recognises(source: Source) -> bool:
    return is_npy(source) and (npy_shape(source)[1:] in ((4, 4), (3, 4)) or is_one_pose(source))


def is_second(source: Source) -> bool:
    return (
        is_npy(source)
        and not is_one_pose(source)
        and (npy_shape(source)[-1:] == (4,) or npy_shape(source)[-2:] == (3, 3))
    )


def read(source: Source, options: ReadOptions) -> Recorded:
    poses = npy_array(source)
    if is_one_pose(source):
        poses = poses[None]
    if poses.shape[-1:] == (4,) and poses.ndim < 3:
        source.refuse(
            f"its shape is {poses.shape}, which is that of intrinsics",
            "Choose the file of poses; this one is found beside it",
        )
    matrices = rigid_poses(source, poses)
    intrinsics = None if options.intrinsics is None else _intrinsics(options.intrinsics, len(matrices))
    return Recorded(matrices, intrinsics)


def _intrinsics(source: Source, frames: int) -> FloatArray:
    """Normalised intrinsics (F, 4) from one [fx, fy, cx, cy] or 3x3 matrix in pixels for all frames, or for each."""
    values = npy_array(source)
    if values.shape[-2:] == (3, 3) and values.ndim in (2, 3):
        values = values.reshape(-1, 3, 3)[:, (0, 1, 0, 1), (0, 1, 2, 2)]
    if values.shape[-1:] != (4,) or values.ndim > 2:
        source.refuse(f"its shape is {values.shape}, expected ({frames}, 4)", "Write fx fy cx cy for each pose")
    values = values.reshape(-1, 4)
    if len(values) not in (1, frames):
        source.refuse(f"{len(values)} intrinsics for {frames} poses", "Choose the intrinsics that belong to the poses")
    return np.broadcast_to(from_pixels(source, values, lambda index: f"row {index}"), (frames, 4))


LAYOUT = Layout(
    "LingBot",
    "poses.npy of LingBot-World and MemoBench: camera-to-world matrices [frames, 4, 4], or a single one, with OpenCV "
    "axes, and beside it intrinsics.npy: fx fy cx cy in pixels. The picture's size is twice cx, cy, in whole pixels. "
    "It holds no times.",
    recognises,
    read,
    intrinsics=("poses", "intrinsics"),
    is_second=is_second,
)

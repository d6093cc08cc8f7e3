"""How one segment goes on from another: the camera path over the seam, and the seed of each segment."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from ..memory.cameras.trajectory import Trajectory
from ..memory.state.state import MemoryState

LARGEST = 2.0
"""Steps of the path's own largest size; a longer way from the newest camera is a cut."""


def continues(state: MemoryState, path: Trajectory) -> bool:
    """Whether a camera path goes on from the newest frame of a memory, or is a cut to another place."""
    if not state.frames or len(path) == 1:
        return state.frames > 0
    poses = np.concatenate([state.last_pose[None], path.poses])
    moved = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turned = np.linalg.norm(np.diff(poses[:, :3, :3], axis=0), axis=(1, 2))
    return all(bool(steps[0] <= LARGEST * steps[1:].max() + 1e-6) for steps in (moved, turned))


def whole_path(state: MemoryState, path: Trajectory, overlap: int, frames: int) -> Trajectory:
    """Cameras of all ``frames`` that a model makes: ``overlap`` newest ones, the path, and its last one held."""
    surplus = frames - overlap - len(path)
    if not (overlap or surplus):
        return path
    poses, intrinsics = [path.poses], [path.intrinsics]
    if overlap:
        known = state.cameras(range(state.frames - overlap, state.frames))
        poses, intrinsics = [known[0], *poses], [known[1], *intrinsics]
    poses += [path.poses[-1:]] * surplus
    intrinsics += [path.intrinsics[-1:]] * surplus
    return replace(path, poses=np.concatenate(poses), intrinsics=np.concatenate(intrinsics))


def segment_seed(seed: int, first_frame: int) -> int:
    """A seed for the segment that begins at a frame: the same film position and seed give the same noise."""
    digest = hashlib.sha256(f"{seed}:{first_frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big")

"""How a camera path becomes segments, and how one goes on from another without a frame twice in the film."""

from __future__ import annotations

import hashlib

import numpy as np

from ..memory.cameras.trajectory import Trajectory
from ..memory.state.state import MemoryState

LARGEST = 2.0
"""Steps of the path's own largest size; a longer way from the newest camera is a cut."""

OVERLAP = 1
"""Frames with which a segment that goes on begins again; they are cut off."""


def continues(state: MemoryState, path: Trajectory) -> bool:
    """Whether a camera path goes on from the newest frame of a memory, or is a cut to another place."""
    if not state.frames or len(path) == 1:
        return state.frames > 0
    poses = np.concatenate([state.last_pose[None], path.poses])
    moved = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turned = np.linalg.norm(np.diff(poses[:, :3, :3], axis=0), axis=(1, 2))
    return all(bool(steps[0] <= LARGEST * steps[1:].max() + 1e-6) for steps in (moved, turned))


def new_frames(frames: int, segment: int, stride: int, goes_on: bool) -> list[int]:
    """New frames of each segment of a shot, where ``segment`` frames are made at a time.

    Raises ValueError where the model cannot make so many at a time.
    """
    if segment < 1 or segment % stride != 1 % stride:
        use = max(0, segment - 1) // stride * stride + 1
        raise ValueError(
            f"segment_frames is {segment}: the model makes {stride}n+1 frames at a time. Use {use} or {use + stride}."
        )
    if segment <= OVERLAP and frames > segment:
        raise ValueError(f"segment_frames is {segment}: a film of {frames} frames needs more. Use 81.")
    lengths: list[int] = []
    while frames > 0:
        lengths.append(min(frames, segment - OVERLAP * (goes_on or bool(lengths))))
        frames -= lengths[-1]
    return lengths


def made_for(frames: int, stride: int) -> int:
    """Frames that the model makes where so many are asked for; what is too many at the end is left out."""
    return -(-(frames - 1) // stride) * stride + 1


def segment_seed(seed: int, first_frame: int) -> int:
    """A seed for the segment that begins at a frame: the same film position and seed give the same noise."""
    digest = hashlib.sha256(f"{seed}:{first_frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big")

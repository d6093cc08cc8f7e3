"""HY-WorldPlay's pose JSON: a camera-to-world matrix and K for each latent."""

from __future__ import annotations

from .intrinsics import from_pixels
from .keyed import field_of_frames, first_frame, found_frames, frames_in_order
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import rigid_poses
from .source import Source

LATENT_RATE = 6.0
"""Latents a second: one for 4 frames, of which the model makes 24 a second."""


def recognises(source: Source) -> bool:
    first = first_frame(source.document) if source.is_json else None
    return isinstance(first, dict) and "extrinsic" in first


def read(source: Source, options: ReadOptions) -> Recorded:
    frames, where = found_frames(source, *frames_in_order(source, source.document), names=("extrinsic", "K"))
    matrices = json_array(source, field_of_frames(source, frames, "extrinsic", where), (4, 4), "the extrinsic", where)
    cameras = json_array(source, field_of_frames(source, frames, "K", where), (3, 3), "K", where)
    poses = rigid_poses(source, matrices, where)
    intrinsics = from_pixels(source, cameras[:, (0, 1, 0, 1), (0, 1, 2, 2)], where)
    return Recorded(poses, intrinsics, fps=LATENT_RATE, where=where)


LAYOUT = Layout(
    "HY-WorldPlay",
    "Pose JSON of HY-WorldPlay: for each latent a camera-to-world matrix (4x4, OpenCV axes) and K in pixels (3x3). A "
    "latent is 4 frames of 24 a second, so the file has 6 poses a second: set fps to 24 to have the frames between.",
    recognises,
    read,
)

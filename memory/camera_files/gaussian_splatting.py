"""cameras.json of 3D Gaussian Splatting: a list of cameras with a position and a 3x3 rotation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cameras.camera import FloatArray
from .intrinsics import from_pixels
from .keyed import field_of_frames
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array, natural_order
from .poses import Where, rigid_poses
from .source import MAX_POSES, Source


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    first = document[0] if isinstance(document, list) and document else None
    if not isinstance(first, dict) or not isinstance(first.get("position"), list):
        return False
    turn = first.get("rotation")
    return isinstance(turn, list) and len(turn) == 3 and all(isinstance(row, list) and len(row) == 3 for row in turn)


def read(source: Source, options: ReadOptions) -> Recorded:
    cameras = source.document
    if not isinstance(cameras, list) or not cameras:
        source.refuse("it is no list of cameras", "Choose cameras.json of a trained 3DGS model, or another layout")
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    order = _order(cameras)

    def where(index: int) -> str:
        return f"camera {order[index]}"

    cameras = [cameras[index] for index in order]
    turns = json_array(source, field_of_frames(source, cameras, "rotation", where), (3, 3), "the rotation", where)
    positions = json_array(source, field_of_frames(source, cameras, "position", where), (3,), "the position", where)
    poses = rigid_poses(source, np.concatenate([turns, positions[:, :, None]], axis=2), where)
    intrinsics = None if options.fov and options.aspect else _intrinsics(source, cameras, where)
    return Recorded(poses, intrinsics, where=where)


def _order(cameras: list[object]) -> list[int]:
    """By the pictures' names, if all have one: the file has those kept for testing first."""
    names = [camera["img_name"] for camera in cameras
             if isinstance(camera, dict) and isinstance(camera.get("img_name"), str)]  # fmt: skip
    return natural_order(names) if len(names) == len(cameras) else list(range(len(cameras)))


def _intrinsics(source: Source, cameras: Sequence[object], where: Where) -> FloatArray | None:
    """Normalised intrinsics (F, 4); the axis is in the middle of the picture, as the program has it."""
    names = ("fx", "fy", "width", "height")
    if not any(isinstance(camera, dict) and ("fx" in camera or "fy" in camera) for camera in cameras):
        return None
    fx, fy, width, height = (
        json_array(source, field_of_frames(source, list(cameras), name, where), (), name, where) for name in names
    )
    size = np.stack([width, height], axis=1)
    return from_pixels(source, np.concatenate([np.stack([fx, fy], axis=1), size / 2.0], axis=1), where, size)


LAYOUT = Layout(
    "3DGS",
    "cameras.json of 3D Gaussian Splatting and of viewers that take it: for each picture a position, a camera-to-world "
    "rotation (3x3, row by row, OpenCV axes), width, height and fx fy in pixels. Cameras go in the order of the "
    "pictures' names. It holds no times.",
    recognises,
    read,
)

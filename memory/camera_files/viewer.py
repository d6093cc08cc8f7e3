"""Cameras of 3-D viewers whose world has y up and whose cameras look along -z: three.js, PlayCanvas and their like."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from .keyed import field_of_frames
from .numbers import json_array
from .poses import FLIP_YZ, Where, quaternion_poses, refuse_numbers, rigid_poses
from .source import Source

TO_OURS = (1.0, -1.0, -1.0)
"""Places of a world with y up and z back in ours."""


def vectors(source: Source, cameras: list[object], name: str, letters: str, where: Where) -> FloatArray:
    """Vectors (F, n) that are written as {"x": ...} or as a list."""
    values = field_of_frames(source, cameras, name, where)
    rows = [[*map(value.get, letters)] if isinstance(value, dict) else value for value in values]
    return json_array(source, rows, (len(letters),), f"the {name}", where)


def numbers(source: Source, cameras: list[object], name: str, usual: float, where: Where) -> FloatArray:
    """Numbers (F,), ``usual`` where a camera has none."""
    values = [camera.get(name) if isinstance(camera, dict) else None for camera in cameras]
    result = json_array(source, [usual if value is None else value for value in values], (), name, where)
    refuse_numbers(source, result[:, None], where)
    return result


def looking(
    source: Source, positions: FloatArray, targets: FloatArray, where: Where, roll: FloatArray | None = None
) -> FloatArray:
    """Our poses (F, 4, 4) of cameras at ``positions`` (F, 3) that look at ``targets`` (F, 3), of the viewer's world.

    Upright, or turned about their line of sight by ``roll`` (F,) degrees as three.js turns about a camera's own z:
    above 0 its right side rises.
    """
    refuse_numbers(source, np.concatenate([positions, targets], axis=1), where)
    offset = (targets - positions) * TO_OURS
    distance = np.linalg.norm(offset, axis=1)
    if (distance <= 1e-9).any():
        index = int(np.argmax(distance <= 1e-9))
        source.refuse("the camera stands at its target, so it looks nowhere", "Move the target", where(index))
    forward = offset / distance[:, None]
    right = np.cross((0.0, 1.0, 0.0), forward)
    length = np.linalg.norm(right, axis=1)
    right[length < 1e-12] = (1.0, 0.0, 0.0)
    right /= np.linalg.norm(right, axis=1)[:, None]
    columns = [right, np.cross(forward, right), forward, positions * TO_OURS]
    poses = rigid_poses(source, np.stack(columns, axis=2), where)
    if roll is not None and roll.any():
        about = Rotation.from_rotvec(np.outer(-np.radians(roll), (0.0, 0.0, 1.0)))
        poses[:, :3, :3] = poses[:, :3, :3] @ about.as_matrix()
    return poses


def turned(source: Source, positions: FloatArray, quaternions: FloatArray, where: Where) -> FloatArray:
    """Our poses (F, 4, 4) of cameras at ``positions`` (F, 3) with ``quaternions`` (F, 4), w last, of the viewer."""
    return np.asarray(FLIP_YZ @ quaternion_poses(source, positions, quaternions, where) @ FLIP_YZ, dtype=np.float64)


def upright_lenses(source: Source, fov: FloatArray, zoom: FloatArray, aspect: FloatArray, where: Where) -> FloatArray:
    """Normalised intrinsics (F, 4) from the vertical field of view in degrees, zoom and width / height, all (F,)."""
    values = np.stack([fov, zoom, aspect], axis=1)
    wrong = ~((values > 0.0).all(axis=1) & (values[:, 0] < 180.0) & (values < 1e6).all(axis=1))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(f"fov, zoom and aspect are {values[index].tolist()}, expected degrees below 180 and numbers "
                      "above 0", "Repair that camera", where(index))  # fmt: skip
    focal = 0.5 / np.tan(np.radians(fov) / 2.0) * zoom
    half = np.full(len(values), 0.5)
    return np.stack([focal / aspect, focal, half, half], axis=1)


def is_flat(camera: dict[str, object]) -> bool:
    """Whether a camera says that it is orthographic: it has no field of view, so no path can be filmed with it."""
    return any(str(camera.get(name, "")).lower().startswith("ortho") for name in ("cameraType", "camera_type", "type"))


def refuse_flat(source: Source, location: str) -> None:
    source.refuse("the camera is orthographic", "Switch the 3D view to a perspective camera", location)

"""Cameras of ComfyUI's 3D nodes (LOAD3D_CAMERA) in this pack's convention.

They are three.js cameras: right-handed, y up, looking along -z. Ours look along z with y down, so a half turn about x
takes one into the other, the scene and the camera alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ...memory.cameras.camera import FloatArray, intrinsics_from_fov, look_at, pose

_FLIP = np.diag([1.0, -1.0, -1.0])
MOST_UNITS = 1e6
LEAST_FOV, MOST_FOV = 0.1, 179.0
USUAL_FOV = 35.0
"""Vertical field of view in degrees that the stock nodes take where a camera says none."""


@dataclass(frozen=True, eq=False)
class Camera3D:
    """A camera of a 3D node: its ``pose`` (4, 4) in our axes, the ``distance`` in scene units to what it looks at, and
    its vertical field of view ``fov`` in degrees, the zoom worked in."""

    pose: FloatArray
    distance: float
    fov: float

    def intrinsics(self, aspect: float) -> FloatArray:
        """Intrinsics (4,) for pictures of an ``aspect``, width / height."""
        across = math.degrees(2.0 * math.atan(math.tan(math.radians(self.fov) / 2.0) * aspect))
        return intrinsics_from_fov(across, aspect)


def camera_from_3d(info: object, name: str) -> Camera3D:
    """A camera from what a 3D node gives: position, target, quaternion (where there is one), fov and zoom.

    ``name`` names it in the error. Raises ``ValueError`` for a node that has shown no camera yet, a parallel
    projection, a missing part and numbers that are no camera.
    """
    if not isinstance(info, Mapping):
        raise ValueError(
            f"{name} holds no camera (it is {type(info).__name__}). Open the 3D node so that it shows its "
            "model, then queue again; or use Create Camera Info."
        )
    if info.get("cameraType", "perspective") != "perspective":
        raise ValueError(
            f"{name} is a camera of the type {info.get('cameraType')!r}: a video model needs a perspective "
            "one. Switch the camera in the 3D node to perspective."
        )
    position = _numbers(info.get("position"), "xyz", f"{name}: position") @ _FLIP
    target = _numbers(info.get("target"), "xyz", f"{name}: target") @ _FLIP
    given = info.get("quaternion")
    if given is None:
        stands = look_at(position, target)
    else:
        turn = _numbers(given, "xyzw", f"{name}: quaternion")
        if float(np.linalg.norm(turn)) < 1e-6:
            raise ValueError(f"{name}: the quaternion is 0 and names no rotation. Use 0, 0, 0, 1 to look along -z.")
        stands = pose(position, _FLIP @ Rotation.from_quat(turn).as_matrix() @ _FLIP)
    fov = _number(info.get("fov") or USUAL_FOV, f"{name}: fov")
    zoom = _number(info.get("zoom", 1.0), f"{name}: zoom")
    if not (LEAST_FOV <= fov <= MOST_FOV and zoom > 0.0):
        raise ValueError(
            f"{name}: the field of view is {fov:g} degrees and the zoom {zoom:g}: expected {LEAST_FOV:g} to "
            f"{MOST_FOV:g}, and a zoom above 0. Use 35 and 1."
        )
    seen = math.degrees(2.0 * math.atan(math.tan(math.radians(fov) / 2.0) / zoom))
    distance = float(np.linalg.norm(target - position))
    return Camera3D(stands, distance if distance > 1e-6 else 1.0, seen)


def _numbers(given: object, keys: Sequence[str], what: str) -> FloatArray:
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{what} is {type(given).__name__}: expected {', '.join(keys)}. Connect the camera of a 3D "
            "node or of Create Camera Info."
        )
    return np.array([_number(given.get(key), f"{what}: {key}") for key in keys])


def _number(given: object, what: str) -> float:
    right = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not right or not abs(value := float(given)) <= MOST_UNITS:  # type: ignore[arg-type]
        raise ValueError(
            f"{what} is {given!r}: expected a number of at most {MOST_UNITS:g}. Set the camera of the 3D node anew."
        )
    return value

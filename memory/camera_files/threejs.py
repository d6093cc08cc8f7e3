"""Cameras of three.js: ComfyUI's LOAD3D_CAMERA, one or a list of them, and PerspectiveCamera's own JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from .keyed import field_of_frames
from .layout import Given, Layout, Recorded
from .lens import DEFAULT_ASPECT
from .numbers import json_array
from .poses import FLIP_YZ, Where, frame, quaternion_poses, refuse_numbers, rigid_poses
from .source import MAX_POSES, Source
from .times import among, timed

LISTS = ("cameras", "keyframes", "frames")
WRAPS = ("camera", "camera_info", "object")
_TICK = 1e-6


def recognises(source: Source) -> bool:
    if not source.is_json:
        return False
    first = next(iter(_listed(source.document)), None)
    if not isinstance(first, dict):
        return False
    camera = _plain(first)
    return isinstance(camera, dict) and ("matrix" in camera or ("position" in camera and (
        "target" in camera or "quaternion" in camera)))  # fmt: skip


def read(source: Source, given: Given) -> Recorded:
    cameras = _listed(source.document)
    if any(name in camera for camera in cameras if isinstance(camera, dict) for name in WRAPS):
        cameras = [_plain(camera) for camera in cameras]
    if not cameras:
        source.refuse("it has no cameras", "Write one camera, or a list of them")
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    for index, camera in enumerate(cameras):
        if not isinstance(camera, dict):
            source.refuse("it is no camera", "Write position with target or quaternion", frame(index))
        if str(camera.get("cameraType", camera.get("type", ""))).lower().startswith("ortho"):
            source.refuse("the camera is orthographic", "Switch the 3D view to a perspective camera", frame(index))
    times: FloatArray | None = None
    where: Where = frame
    if all(isinstance(camera, dict) and "time" in camera for camera in cameras):
        stamps = json_array(source, field_of_frames(source, cameras, "time", frame), (), "time", frame)
        chosen, times, _ = timed(source, stamps, stamps[:, None], "seconds", frame)
        cameras, where = [cameras[index] for index in chosen], among(frame, chosen)
    return Recorded(_poses(source, cameras, where), _lenses(source, cameras, given), times, _TICK, where=where)


def _listed(document: object) -> list[object]:
    """The cameras of a document: a list, an object with a list, or one camera."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        for name in LISTS:
            if isinstance(document.get(name), list):
                return list(document[name])
    return [document]


def _plain(value: object) -> object:
    """A camera without what it may be wrapped in: a keyframe's "camera", or the "object" of three.js."""
    if isinstance(value, dict):
        for name in WRAPS:
            if isinstance(value.get(name), dict):
                return {**value[name], **({"time": value["time"]} if "time" in value else {})}
    return value


def _poses(source: Source, cameras: list[object], where: Where) -> FloatArray:
    """Poses (F, 4, 4) in our axes; three.js has y up and looks along -z, right-handed."""
    if isinstance(cameras[0], dict) and "matrix" in cameras[0]:
        columns = json_array(source, field_of_frames(source, cameras, "matrix", where), (16,), "the matrix", where)
        matrices = columns.reshape(-1, 4, 4).transpose(0, 2, 1)
        return np.asarray(FLIP_YZ @ rigid_poses(source, matrices, where) @ FLIP_YZ)
    places = _vectors(source, cameras, "position", "xyz", where)
    turned = np.array([isinstance(camera, dict) and bool(camera.get("quaternion")) for camera in cameras])
    result = np.empty((len(cameras), 4, 4))
    for chosen in (np.flatnonzero(turned), np.flatnonzero(~turned)):
        if len(chosen):
            some = [cameras[index] for index in chosen]
            place = _Place(where, chosen)
            if turned[chosen[0]]:
                turns = _vectors(source, some, "quaternion", "xyzw", place)
                result[chosen] = FLIP_YZ @ quaternion_poses(source, places[chosen], turns, place) @ FLIP_YZ
            else:
                targets = _vectors(source, some, "target", "xyz", place)
                result[chosen] = _looking(source, places[chosen] * (1, -1, -1), targets * (1, -1, -1), place)
    return result


@dataclass(frozen=True)
class _Place:
    """Where those of the cameras stand that were ``chosen``."""

    where: Where
    chosen: NDArray[np.int64]

    def __call__(self, index: int) -> str:
        return self.where(int(self.chosen[index]))


def _vectors(source: Source, cameras: list[object], name: str, letters: str, where: Where) -> FloatArray:
    """Vectors (F, n) that are written as {"x": ...} or as a list."""
    values = field_of_frames(source, cameras, name, where)
    rows = [[*map(value.get, letters)] if isinstance(value, dict) else value for value in values]
    return json_array(source, rows, (len(letters),), f"the {name}", where)


def _looking(source: Source, places: FloatArray, targets: FloatArray, where: Where) -> FloatArray:
    """Upright poses (F, 4, 4) at places (F, 3) that look at targets (F, 3), both in our axes: `camera.look_at`."""
    refuse_numbers(source, np.concatenate([places, targets], axis=1), where)
    offset = targets - places
    distance = np.linalg.norm(offset, axis=1)
    if (distance <= 1e-9).any():
        index = int(np.argmax(distance <= 1e-9))
        source.refuse("the camera stands at its target, so it looks nowhere", "Move the target", where(index))
    forward = offset / distance[:, None]
    right = np.cross((0.0, 1.0, 0.0), forward)
    length = np.linalg.norm(right, axis=1)
    right[length < 1e-12] = (1.0, 0.0, 0.0)
    right /= np.linalg.norm(right, axis=1)[:, None]
    return rigid_poses(source, np.stack([right, np.cross(forward, right), forward, places], axis=2), where)


def _lenses(source: Source, cameras: list[object], given: Given) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from the vertical field of view, zoom and aspect; None if no camera has a fov."""
    known = [camera if isinstance(camera, dict) else {} for camera in cameras]
    if not all(camera.get("fov") for camera in known):
        return None
    wanted: list[object] = [
        [camera["fov"], camera.get("zoom") or 1.0, camera.get("aspect") or given.aspect or DEFAULT_ASPECT]
        for camera in known
    ]
    values = json_array(source, wanted, (3,), "fov, zoom and aspect", frame)
    wrong = ~((values > 0.0).all(axis=1) & (values[:, 0] < 180.0) & (values < 1e6).all(axis=1))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(f"fov, zoom and aspect are {values[index].tolist()}, expected degrees below 180 and numbers "
                      "above 0", "Repair that camera", frame(index))  # fmt: skip
    focal = 0.5 / np.tan(np.radians(values[:, 0]) / 2.0) * values[:, 1]
    half = np.full(len(values), 0.5)
    return np.stack([focal / values[:, 2], focal, half, half], axis=1)


LAYOUT = Layout(
    "three.js",
    "JSON of three.js cameras: one camera of ComfyUI's 3D nodes (position with target or quaternion, vertical fov, "
    "zoom, aspect), a list of them, or PerspectiveCamera's own JSON. World with y up, camera looking along -z; both "
    'become ours. A "time" in seconds on each is kept.',
    recognises,
    read,
)

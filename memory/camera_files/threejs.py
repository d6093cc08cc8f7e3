"""Cameras of three.js: ComfyUI's LOAD3D_CAMERA, one or a list of them, PerspectiveCamera's own JSON, and scenes.

Of a scene the tree is walked, and the matrices of parents and children are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..cameras.camera import FloatArray
from . import flashworld, supersplat
from .intrinsics import DEFAULT_ASPECT
from .keyed import field_of_frames, first_found, found_frames
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import FLIP_YZ, Where, frame, rigid_poses
from .source import MAX_POSES, Source
from .times import LONGEST, among, timed
from .viewer import is_flat, looking, numbers, refuse_flat, turned, upright_lenses, vectors

Node = dict[str, object]


def scene_cameras(source: Source) -> list[object] | None:
    """The perspective cameras of a scene, each with its ``matrix`` in the world; None for any other file."""
    document = source.document
    root = document.get("object", document) if isinstance(document, dict) else None
    if not isinstance(root, dict) or not (isinstance(root.get("children"), list) or root.get("type") == "Scene"):
        return None
    found: list[object] = []
    flat = 0
    for node, matrix in _walked(source, root):
        kind = str(node.get("type", ""))
        flat += kind == "OrthographicCamera"
        if kind == "PerspectiveCamera":
            found.append({**node, "matrix": _unscaled(matrix).T.reshape(16).tolist()})
    if not found:
        source.refuse(
            f"the scene has {'only orthographic cameras' if flat else 'no camera'}",
            "Add a PerspectiveCamera to it, or export the camera itself",
        )
    animations = [one.get("animations") for one in (document, root) if isinstance(one, dict)]
    if any(isinstance(one, list) and one for one in animations):
        source.refuse(
            "the scene is moved by animations, which are not read", "Bake the camera's movement to a list of cameras"
        )
    if len(found) > 1:
        source.note(f"The scene has {len(found)} cameras: each is a frame, in their order. Name one to have it alone.")
    return found


def _walked(source: Source, root: Node) -> Iterator[tuple[Node, FloatArray]]:
    """Every object below and with ``root``, parents first, and its matrix (4, 4) in the world."""
    waiting: list[tuple[Node, FloatArray]] = [(root, np.eye(4))]
    seen = 0
    while waiting:
        node, above = waiting.pop()
        seen += 1
        if seen > MAX_POSES:
            source.refuse(f"it has more than {MAX_POSES} objects", "Export the camera alone")
        matrix = above @ _local(source, node)
        yield node, matrix
        children = node.get("children")
        for child in reversed(children if isinstance(children, list) else []):
            if isinstance(child, dict):
                waiting.append((child, matrix))


def _local(source: Source, node: Node) -> FloatArray:
    if "matrix" not in node:
        return np.eye(4)
    name = str(node.get("name") or node.get("type") or "object")[:40]
    columns = json_array(source, [node["matrix"]], (16,), "the matrix", lambda _: name)
    return np.ascontiguousarray(columns.reshape(4, 4).T)


def _unscaled(matrix: FloatArray) -> FloatArray:
    """A camera does not see the scale of what it is in: only the directions of its axes."""
    length = np.linalg.norm(matrix[:3, :3], axis=0)
    result: FloatArray = matrix.copy()
    result[:3, :3] /= np.where(length > 0.0, length, 1.0)
    return result


LISTS = ("cameras", "keyframes", "frames")
WRAPS = ("camera", "camera_info", "object")
MOMENTS = ("frame", "time")
_TICK = 1e-6
_SPARSE = 0.2
"""Seconds from one camera to the next, on average, from which they are keyframes."""
_PINHOLE = ("fx", "fy", "cx", "cy")


def recognises(source: Source) -> bool:
    if not source.is_json or is_track(source.document):
        return False
    document = source.document
    if flashworld.recognises(source) or supersplat.recognises(source) or _is_of_nerfstudio(document):
        return False
    first = first_found(listed(document))
    if not isinstance(first, dict):
        return False
    camera = plain(first)
    return isinstance(camera, dict) and ("matrix" in camera or "children" in camera or is_placed(camera))


def is_placed(camera: dict[str, object]) -> bool:
    """Whether an object says where a camera is and where it looks."""
    return "position" in camera and ("target" in camera or "quaternion" in camera)


def is_track(document: object) -> bool:
    """Whether the cameras of a document are keyframes: each has a frame, or a time in a list of keyframes."""
    first = None if _is_of_nerfstudio(document) else first_found(listed(document))
    camera = plain(first)
    if not isinstance(first, dict) or not isinstance(camera, dict) or not (is_placed(camera) or "matrix" in camera):
        return False
    keyframes = isinstance(document, dict) and isinstance(document.get("keyframes"), list)
    return "frame" in first or ("time" in first and (keyframes or _are_sparse(listed(document))))


def _is_of_nerfstudio(document: object) -> bool:
    """Whether it is a path of nerfstudio's viewer, whose keyframes have a matrix as well."""
    return isinstance(document, dict) and "camera_path" in document


def _are_sparse(cameras: list[object]) -> bool:
    """Whether cameras with times are too far apart to be the frames of a film."""
    times = [camera.get("time") for camera in cameras if isinstance(camera, dict)]
    known = [time for time in times if isinstance(time, (int, float))]
    return len(known) > 1 and _SPARSE <= (max(known) - min(known)) / (len(known) - 1) <= LONGEST


def read(source: Source, options: ReadOptions) -> Recorded:
    if is_track(source.document):
        source.refuse("its cameras are keyframes", "Choose the layout Keyframe track, or auto")
    scene = scene_cameras(source)
    cameras = listed(source.document) if scene is None else scene
    if any(name in camera for camera in cameras if isinstance(camera, dict) for name in WRAPS):
        cameras = [plain(camera) for camera in cameras]
    if not cameras:
        source.refuse("it has no cameras", "Write one camera, or a list of them")
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    cameras = _named(source, cameras, options.camera)
    cameras, where = found_frames(source, cameras, frame, ("matrix", "position"))
    check(source, cameras)
    times: FloatArray | None = None
    if all(isinstance(camera, dict) and "time" in camera for camera in cameras):
        stamps = json_array(source, field_of_frames(source, cameras, "time", where), (), "time", where)
        chosen, times, _ = timed(source, stamps, stamps[:, None], "seconds", where)
        cameras, where = [cameras[index] for index in chosen], among(where, chosen)
    return Recorded(poses_of(source, cameras, where), _intrinsics(source, cameras, options), times, _TICK, where=where)


def listed(document: object) -> list[object]:
    """The cameras of a document: a list, an object with a list, or one camera."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        for name in LISTS:
            if isinstance(document.get(name), list):
                return list(document[name])
    return [document]


def plain(value: object) -> object:
    """A camera without what it may be wrapped in: a keyframe's "camera", or the "object" of three.js."""
    if isinstance(value, dict):
        for name in WRAPS:
            if isinstance(value.get(name), dict):
                return {**value[name], **{moment: value[moment] for moment in MOMENTS if moment in value}}
    return value


def _named(source: Source, cameras: list[object], name: str) -> list[object]:
    """The cameras with the name that was asked for, or all; several of a scene become frames, and that is told."""
    if not name:
        return cameras
    chosen: list[object] = [
        camera for camera in cameras if isinstance(camera, dict) and name in (camera.get("name"), camera.get("uuid"))
    ]
    if not chosen:
        known = [str(camera["name"]) for camera in cameras if isinstance(camera, dict) and camera.get("name")]
        source.refuse(f"it has no camera {name!r}",
                      f"Use one of: {', '.join(known[:12])}" if known else "Leave camera empty")  # fmt: skip
    return chosen


def check(source: Source, cameras: list[object]) -> None:
    for index, camera in enumerate(cameras):
        if not isinstance(camera, dict):
            source.refuse("it is no camera", "Write position with target or quaternion", frame(index))
        if is_flat(camera):
            refuse_flat(source, frame(index))
        kind = camera.get("type")
        if "matrix" in camera and isinstance(kind, str) and not kind.lower().endswith(("camera", "perspective")):
            source.refuse(
                f"it is a {kind[:40]}, no camera", "Export the camera, or the whole scene with it", frame(index)
            )
        if isinstance(camera.get("quaternion"), list) and any(name in camera for name in _PINHOLE):
            source.refuse(
                "its quaternion is a list beside fx, fy, cx, cy, so it does not say whether w is its first or its last "
                "number", 'Write it as {"x": ..., "y": ..., "z": ..., "w": ...}, or add "resolution": [frames, height, '
                "width] as FlashWorld has it, where w is the first", frame(index),
            )  # fmt: skip


def poses_of(source: Source, cameras: list[object], where: Where) -> FloatArray:
    """Poses (F, 4, 4) in our axes of cameras with a matrix, or a position with a quaternion or a target and a roll."""
    if isinstance(cameras[0], dict) and "matrix" in cameras[0]:
        columns = json_array(source, field_of_frames(source, cameras, "matrix", where), (16,), "the matrix", where)
        matrices = columns.reshape(-1, 4, 4).transpose(0, 2, 1)
        return np.asarray(FLIP_YZ @ rigid_poses(source, matrices, where) @ FLIP_YZ)
    positions = vectors(source, cameras, "position", "xyz", where)
    by_turn = np.array([isinstance(camera, dict) and bool(camera.get("quaternion")) for camera in cameras])
    result = np.empty((len(cameras), 4, 4))
    for chosen in (np.flatnonzero(by_turn), np.flatnonzero(~by_turn)):
        if len(chosen):
            some = [cameras[index] for index in chosen]
            where_chosen = among(where, chosen)
            if by_turn[chosen[0]]:
                turns = vectors(source, some, "quaternion", "xyzw", where_chosen)
                result[chosen] = turned(source, positions[chosen], turns, where_chosen)
            else:
                targets = vectors(source, some, "target", "xyz", where_chosen)
                roll = numbers(source, some, "roll", 0.0, where_chosen)
                result[chosen] = looking(source, positions[chosen], targets, where_chosen, roll)
    return result


def _intrinsics(source: Source, cameras: list[object], options: ReadOptions) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from the vertical field of view, zoom and aspect; None if no camera has a fov."""
    known = [camera if isinstance(camera, dict) else {} for camera in cameras]
    if not any(camera.get("fov") for camera in known):
        return None
    wanted: list[object] = [
        [camera.get("fov"), camera.get("zoom") or 1.0, camera.get("aspect") or options.aspect or DEFAULT_ASPECT]
        for camera in known
    ]
    values = json_array(source, wanted, (3,), "fov, zoom and aspect", frame)
    return upright_lenses(source, values[:, 0], values[:, 1], values[:, 2], frame)


LAYOUT = Layout(
    "three.js",
    "JSON of three.js cameras: one camera of ComfyUI's 3D nodes (position with target or quaternion, vertical fov, "
    "zoom, aspect), a list of them, PerspectiveCamera's own JSON, or a whole scene, whose cameras are found and can be "
    "picked by name. World with y up, camera looking along -z; both become ours. A time in seconds on each is kept.",
    recognises,
    read,
    cameras=True,
)

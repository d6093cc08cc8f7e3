"""camera_path.json of nerfstudio's viewer: the path that it renders, a camera for each frame."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .intrinsics import DEFAULT_ASPECT
from .keyed import field_of_frames
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import FLIP_YZ, FROM_Z_UP, frame, rigid_poses
from .source import MAX_POSES, Source
from .viewer import upright_lenses

FLAT = ("perspective", "")


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    cameras = document.get("camera_path") if isinstance(document, dict) else None
    return (
        isinstance(cameras, list) and bool(cameras) and isinstance(cameras[0], dict) and "camera_to_world" in cameras[0]
    )


def read(source: Source, options: ReadOptions) -> Recorded:
    document = source.document
    cameras = document.get("camera_path") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(cameras, list) or not cameras:
        source.refuse(
            'it has no list "camera_path"',
            "Save it with Render, Generate Command in nerfstudio's viewer; keyframes alone are no path",
        )
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    matrices = field_of_frames(source, cameras, "camera_to_world", frame)
    length = len(matrices[0]) if isinstance(matrices[0], list) else 16
    rows = 3 if length in (3, 12) else 4
    shape = (rows, 4) if length in (3, 4) else (rows * 4,)
    native = json_array(source, matrices, shape, "camera_to_world", frame).reshape(-1, rows, 4)
    poses = FROM_Z_UP @ rigid_poses(source, native, frame) @ FLIP_YZ
    intrinsics = None if options.fov and options.aspect else _intrinsics(source, document, cameras, options)
    return Recorded(poses, intrinsics, fps=_rate(source, document, len(cameras)))


def _intrinsics(
    source: Source, document: dict[str, object], cameras: list[object], options: ReadOptions
) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from the vertical field of view; the shape is that of the rendered pictures."""
    kind = str(document.get("camera_type") or "").lower()
    if kind not in FLAT and not options.fov:
        source.refuse(f"its camera_type {kind!r} is no flat picture's", "Set fov, or render it as perspective")
    if kind not in FLAT or not any(isinstance(camera, dict) and camera.get("fov") for camera in cameras):
        return None
    width, height = _size(document.get("render_width")), _size(document.get("render_height"))
    rendered = width / height if width and height else 0.0
    wanted: list[object] = [
        [camera.get("fov"), rendered or _size(camera.get("aspect")) or options.aspect or DEFAULT_ASPECT]
        for camera in cameras
        if isinstance(camera, dict)
    ]
    values = json_array(source, wanted, (2,), "fov and aspect", frame)
    return upright_lenses(source, values[:, 0], np.ones(len(values)), values[:, 1], frame)


def _rate(source: Source, document: dict[str, object], frames: int) -> float:
    """Frames a second: the file's ``fps`` if it fits its ``seconds``, else what fills them, as nerfstudio renders."""
    fps, seconds = _size(document.get("fps")), _size(document.get("seconds"))
    if not seconds or (fps and abs(fps * seconds - frames) <= 1.5):
        return fps if fps < 1e6 else 0.0
    rate = frames / seconds
    if fps:
        source.note(f"Its fps of {fps:g} does not fit its {seconds:g} seconds: it runs at {rate:g}, as in nerfstudio.")
    return rate if rate < 1e6 else 0.0


def _size(value: object) -> float:
    """A number above 0; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value) if 0.0 < value < 1e9 else 0.0


LAYOUT = Layout(
    "nerfstudio camera path",
    "camera_path.json that nerfstudio's viewer renders: a camera-to-world matrix for each frame (16 numbers or 4x4, "
    "row by row, OpenGL axes) in a world with z up, which is turned to ours; the vertical field of view, the pictures' "
    "shape, fps and seconds. Its keyframes are passed over.",
    recognises,
    read,
)

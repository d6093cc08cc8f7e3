"""transforms.json of nerfstudio, instant-ngp and the Blender scenes of NeRF."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .keyed import field_of_frames
from .layout import Given, Layout, Recorded, Size
from .lens import DEFAULT_ASPECT, from_pixels
from .natural import natural_order
from .numbers import json_array
from .poses import FLIP_YZ, FROM_Z_UP, Where, rigid_poses
from .source import MAX_POSES, Source

DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    frames = document.get("frames") if isinstance(document, dict) else None
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "transform_matrix" in frames[0]


def read(source: Source, given: Given) -> Recorded:
    document = source.document
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(frames, list) or not frames:
        source.refuse('it has no list "frames"', "Choose a transforms.json, or another layout")
    if len(frames) > MAX_POSES:
        source.refuse(f"it has {len(frames)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    order = _order(frames)

    def where(index: int) -> str:
        return f"frame {order[index]}"

    frames = [frames[index] for index in order]
    matrices = field_of_frames(source, frames, "transform_matrix", where)
    rows = 3 if isinstance(matrices[0], list) and len(matrices[0]) == 3 else 4
    native = rigid_poses(source, json_array(source, matrices, (rows, 4), "transform_matrix", where), where)
    poses = FROM_Z_UP @ native @ FLIP_YZ
    lenses = None if given.fov and given.aspect else _lenses(source, document, frames, given, where)
    fps = document.get("fps")
    stated = float(fps) if isinstance(fps, (int, float)) and 0.0 < fps < 1e6 else 0.0
    return Recorded(poses, lenses, fps=stated, where=where)


def _order(frames: list[object]) -> list[int]:
    """Frames in the order of their pictures' names, if all have one; numbers may be missing or out of order."""
    names = [frame["file_path"] for frame in frames
             if isinstance(frame, dict) and isinstance(frame.get("file_path"), str)]  # fmt: skip
    return natural_order(names) if len(names) == len(frames) else list(range(len(frames)))


def _lenses(
    source: Source, document: dict[str, object], frames: list[object], given: Given, where: Where
) -> FloatArray | None:
    """Normalised intrinsics (F, 4) or (4,) from the entries of each frame or of the whole file; None if it has none."""
    model = str(document.get("camera_model", ""))
    wide = "FISHEYE" in model.upper() or "EQUIRECTANGULAR" in model.upper() or document.get("is_fisheye") is True
    if wide and not given.fov:
        source.refuse(f"its camera_model {model or 'fisheye'} is no flat picture's", "Set fov, or undistort the "
                      "pictures")  # fmt: skip
    if any(document.get(name) not in (None, 0, 0.0) for name in DISTORTION):
        source.tell("Its lens distortion is left out.")
    entry = _entries(source, document, frames, where)
    focal = entry("fl_x")
    width, height = entry("w"), entry("h")
    if focal is None:
        angle = entry("camera_angle_x")
        if angle is None:
            return None
        if not ((angle > 0.0) & (angle < math.pi)).all():
            index = int(np.argmin((angle > 0.0) & (angle < math.pi)))
            source.refuse(f"camera_angle_x is {angle[index]:g}, expected radians between 0 and pi",
                          "Write the horizontal field of view in radians", where(index))  # fmt: skip
        shape = width / height if width is not None and height is not None else given.aspect or DEFAULT_ASPECT
        wanted = 0.5 / np.tan(angle / 2.0)
        return np.stack([wanted, wanted * shape, np.full_like(angle, 0.5), np.full_like(angle, 0.5)], axis=1)
    focal_y = entry("fl_y")
    middle = [axis if axis is not None else size / 2.0 if size is not None else None
              for axis, size in ((entry("cx"), width), (entry("cy"), height))]  # fmt: skip
    if middle[0] is None or middle[1] is None:
        source.refuse("it has fl_x but neither cx cy nor w h", "Add w and h, the size of the pictures in pixels")
    pixels = np.stack([focal, focal if focal_y is None else focal_y, middle[0], middle[1]], axis=1)
    size = None if width is None or height is None else np.stack([width, height], axis=1)
    return from_pixels(source, pixels, where, size)


def _entries(
    source: Source, document: dict[str, object], frames: list[object], where: Where
) -> Callable[[str], FloatArray | None]:
    """Looks an entry up in every frame, then in the file: (F,) numbers, or None if neither has it."""

    own = set().union(*(frame for frame in frames if isinstance(frame, dict)))

    def entry(name: str) -> FloatArray | None:
        common = document.get(name)
        if name in own:
            values = [frame.get(name, common) if isinstance(frame, dict) else common for frame in frames]
            return json_array(source, values, (), name, where)
        if common is None:
            return None
        return np.repeat(json_array(source, [common], (), name, lambda _: "the whole file"), len(frames))

    return entry


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    width, height = size
    pixels = trajectory.intrinsics * (width, height, width, height)
    names = ("fl_x", "fl_y", "cx", "cy")
    same = bool((pixels == pixels[0]).all())
    head: dict[str, object] = {"camera_model": "OPENCV", "w": width, "h": height, "fps": trajectory.fps}
    if same:
        head.update(zip(names, pixels[0].tolist(), strict=True))
    matrices = (FROM_Z_UP.T @ trajectory.poses @ FLIP_YZ).tolist()
    frames = []
    for number, (matrix, lens) in enumerate(zip(matrices, pixels.tolist(), strict=True), 1):
        frame: dict[str, object] = {"file_path": f"images/frame_{number:06d}.png"}
        if not same:
            frame.update(zip(names, lens, strict=True))
        frames.append(json.dumps({**frame, "transform_matrix": matrix}))
    text = json.dumps(head, indent=1)
    return {path: f'{text[:-2]},\n "frames": [\n  ' + ",\n  ".join(frames) + "\n ]\n}\n"}


LAYOUT = Layout(
    "nerfstudio",
    "transforms.json of nerfstudio, instant-ngp and Blender's NeRF scenes: camera-to-world matrices with OpenGL axes "
    "(x right, y up, z back) in a world with z up, which is turned to ours. Cameras go in the order of the pictures' "
    "names; gaps stay. Lens distortion is left out. Times are not in it, except fps where a writer adds it.",
    recognises,
    read,
    write,
)

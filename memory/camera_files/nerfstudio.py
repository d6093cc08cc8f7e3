"""transforms.json of nerfstudio, instant-ngp and the Blender scenes of NeRF."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..cameras.camera import FloatArray, horizontal_fov, intrinsics_from_fov
from ..cameras.trajectory import Trajectory
from .intrinsics import DEFAULT_ASPECT, DEFAULT_FOV, from_pixels
from .keyed import field_of_frames, first_found, found_frames
from .layout import Layout, ReadOptions, Recorded, Size
from .numbers import json_array, natural_order
from .poses import FLIP_YZ, FROM_Z_UP, Where, rigid_poses
from .source import MAX_POSES, Source

_ALIKE = 0.05
"""How far two focal lengths may be apart, as a share, to be the same but for rounding."""
DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    frames = document.get("frames") if isinstance(document, dict) else None
    first = first_found(frames) if isinstance(frames, list) else None
    return isinstance(first, dict) and "transform_matrix" in first


def read(source: Source, options: ReadOptions) -> Recorded:
    document = source.document
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(frames, list) or not frames:
        source.refuse('it has no list "frames"', "Choose a transforms.json, or another layout")
    if len(frames) > MAX_POSES:
        source.refuse(f"it has {len(frames)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    order = _order(frames)

    def in_file(index: int) -> str:
        return f"frame {order[index]}"

    frames, where = found_frames(source, [frames[index] for index in order], in_file, ("transform_matrix",))
    matrices = field_of_frames(source, frames, "transform_matrix", where)
    rows = 3 if isinstance(matrices[0], list) and len(matrices[0]) == 3 else 4
    native = rigid_poses(source, json_array(source, matrices, (rows, 4), "transform_matrix", where), where)
    poses = FROM_Z_UP @ native @ FLIP_YZ
    intrinsics = None if options.fov and options.aspect else _intrinsics(source, document, frames, options, where)
    fps = document.get("fps")
    stated = float(fps) if isinstance(fps, (int, float)) and 0.0 < fps < 1e6 else 0.0
    return Recorded(poses, intrinsics, fps=stated, where=where)


def _order(frames: list[object]) -> list[int]:
    """Frames in the order of their pictures' names, if all have one; numbers may be missing or out of order."""
    names = [frame["file_path"] for frame in frames
             if isinstance(frame, dict) and isinstance(frame.get("file_path"), str)]  # fmt: skip
    return natural_order(names) if len(names) == len(frames) else list(range(len(frames)))


def _intrinsics(
    source: Source, document: dict[str, object], frames: list[object], options: ReadOptions, where: Where
) -> FloatArray | None:
    """Normalised intrinsics (F, 4) or (4,) from the entries of each frame or of the whole file; None if it has none."""
    model = str(document.get("camera_model", ""))
    wide = "FISHEYE" in model.upper() or "EQUIRECTANGULAR" in model.upper() or document.get("is_fisheye") is True
    if wide and not options.fov:
        source.refuse(f"its camera_model {model or 'fisheye'} is no flat picture's", "Set fov, or undistort the "
                      "pictures")  # fmt: skip
    if any(document.get(name) not in (None, 0, 0.0) for name in DISTORTION):
        source.note("Its lens distortion is left out.")
    entry = _entries(source, document, frames, where)
    width, height = entry("w"), entry("h")
    size = None if width is None or height is None else np.stack([width, height], axis=1)
    angles = _of_angles(source, entry, size, options, where)
    focal, focal_y = entry("fl_x"), entry("fl_y")
    if focal is None and focal_y is None:
        if angles is None and size is not None and not options.fov:
            intrinsics = np.stack([intrinsics_from_fov(DEFAULT_FOV, float(wide / high)) for wide, high in size])
            source.note(f"It says nothing of the lens: {DEFAULT_FOV:g} degrees are taken for the shape of w and h.")
            return intrinsics
        return angles
    name = "fl_y" if focal is None else "fl_x"
    focal = focal_y if focal is None else focal
    focal_y = focal if focal_y is None else focal_y
    middle = [axis if axis is not None else side / 2.0 if side is not None else None
              for axis, side in ((entry("cx"), width), (entry("cy"), height))]  # fmt: skip
    if focal is None or focal_y is None or middle[0] is None or middle[1] is None:
        source.refuse(f"it has {name} but neither cx cy nor w h", "Add w and h, the size of the pictures in pixels")
    intrinsics = from_pixels(source, np.stack([focal, focal_y, middle[0], middle[1]], axis=1), where, size)
    if angles is not None and not options.fov:
        _compare(source, intrinsics, angles)
    return intrinsics


def _of_angles(
    source: Source, entry: Callable[[str], FloatArray | None], size: FloatArray | None, options: ReadOptions,
    where: Where,
) -> FloatArray | None:
    """Normalised intrinsics (F, 4) of the fields of view; None if there are none. Pixels are square if it has one."""
    focals: list[FloatArray | None] = []
    for name, degrees in (("camera_angle_x", "x_fov"), ("camera_angle_y", "y_fov")):
        angle, unit, whole = entry(name), "radians between 0 and pi", math.pi
        if angle is None:
            name, angle, unit, whole = degrees, entry(degrees), "degrees between 0 and 180", 180.0
        if angle is not None and not ((angle > 0.0) & (angle < whole)).all():
            index = int(np.argmin((angle > 0.0) & (angle < whole)))
            source.refuse(f"{name} is {angle[index]:g}, expected {unit}",
                          f"Write the field of view in {unit.split()[0]}", where(index))  # fmt: skip
        focals.append(None if angle is None else 0.5 / np.tan(angle * (math.pi / whole) / 2.0))
    wide, high = focals
    shape = size[:, 0] / size[:, 1] if size is not None else options.aspect or DEFAULT_ASPECT
    if wide is None and high is None:
        return None
    wide = high / shape if wide is None and high is not None else wide
    high = wide * shape if high is None and wide is not None else high
    assert wide is not None and high is not None
    middle = [np.full_like(wide, 0.5), np.full_like(wide, 0.5)]
    if size is not None:
        for axis, name in enumerate(("cx", "cy")):
            at = entry(name)
            middle[axis] = middle[axis] if at is None else at / size[:, axis]
    return np.stack([wide, high, *middle], axis=1)


def _compare(source: Source, intrinsics: FloatArray, angles: FloatArray) -> None:
    """Tells where the focal length and the field of view of a file contradict each other."""
    off = np.abs(np.log(intrinsics[:, 0] / angles[:, 0]))
    worst = int(np.argmax(off))
    if off[worst] > _ALIKE:
        said, other = (horizontal_fov(one[worst]) for one in (intrinsics, angles))
        source.note(f"Its focal length makes {said:.1f} degrees and its camera_angle or fov {other:.1f}: the focal "
                    "length is taken, set fov for another lens.")  # fmt: skip


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
    for number, (matrix, intrinsics) in enumerate(zip(matrices, pixels.tolist(), strict=True), 1):
        frame: dict[str, object] = {"file_path": f"images/frame_{number:06d}.png"}
        if not same:
            frame.update(zip(names, intrinsics, strict=True))
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

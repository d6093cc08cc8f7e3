"""Our own JSON: everything a trajectory has, to the last bit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from ..cameras.trajectory import Trajectory
from .intrinsics import check_normalised
from .layout import Layout, ReadOptions, Recorded, Size
from .numbers import json_array
from .poses import frame, rigid_poses
from .source import Source

FORMAT, VERSION = "scene-memory trajectory", 1


def recognises(source: Source) -> bool:
    return source.is_json and isinstance(source.document, dict) and source.document.get("format") == FORMAT


def read(source: Source, options: ReadOptions) -> Recorded:
    document = source.document
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        source.refuse(f'it does not say "format": "{FORMAT}"', "Choose another layout, or auto")
    version = document.get("version")
    if version != VERSION:
        source.refuse(f"its version is {version!r}, this one reads {VERSION}", "Update SceneMemory")
    fps = document.get("fps")
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not (math.isfinite(fps) and fps > 0.0):
        source.refuse(f"fps is {fps!r}, expected a number above 0", "Write the frames a second, for instance 24")
    name = document.get("name", "")
    if not isinstance(name, str):
        source.refuse(f"name is {name!r}, expected text", "Put it in quotation marks")
    poses = json_array(source, document.get("poses"), (12,), "the pose", frame)
    intrinsics = json_array(source, document.get("intrinsics"), (4,), "the intrinsics", frame)
    if len(intrinsics) not in (1, len(poses)):
        source.refuse(f"{len(intrinsics)} intrinsics for {len(poses)} poses", "Write one for each pose, or one for all")
    check_normalised(source, intrinsics, frame)
    return Recorded(
        rigid_poses(source, poses.reshape(-1, 3, 4)),
        np.broadcast_to(intrinsics, (len(poses), 4)),
        fps=float(fps),
        name=name,
    )


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    intrinsics = trajectory.intrinsics
    same = bool((intrinsics == intrinsics[0]).all())
    rows = (intrinsics[:1] if same else intrinsics).tolist()
    poses = trajectory.poses[:, :3].reshape(-1, 12).tolist()
    head = json.dumps({"format": FORMAT, "version": VERSION, "name": trajectory.name, "fps": trajectory.fps}, indent=1)
    return {path: f"{head[:-2]},\n {_listed('intrinsics', rows)},\n {_listed('poses', poses)}\n}}\n"}


def _listed(name: str, rows: list[list[float]]) -> str:
    return f'"{name}": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]"


LAYOUT = Layout(
    "SceneMemory JSON",
    "This pack's own file: name, frames a second, camera-to-world poses (3x4, row by row, OpenCV axes: x right, y "
    "down, z forward) and normalised intrinsics. Nothing is lost: choose it to keep a path.",
    recognises,
    read,
    write,
)

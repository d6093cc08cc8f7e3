"""FlashWorld's JSON: cameras with quaternions whose w is first, and intrinsics in pixels of the stated resolution."""

from __future__ import annotations

import numpy as np

from .intrinsics import from_pixels
from .keyed import field_of_frames
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import frame
from .source import MAX_POSES, Source
from .viewer import turned

LENS = ("fx", "fy", "cx", "cy")


def recognises(source: Source) -> bool:
    document = source.document if source.is_json else None
    cameras = document.get("cameras") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(cameras, list) or not cameras:
        return False
    first = cameras[0]
    named = isinstance(first, dict) and isinstance(first.get("quaternion"), list) and "position" in first
    return named and "fx" in first and isinstance(document.get("resolution"), list)


def read(source: Source, options: ReadOptions) -> Recorded:
    if not recognises(source):
        source.refuse('it has no "cameras" with a quaternion and fx, and no "resolution"', "Choose another layout")
    document = source.document if isinstance(source.document, dict) else {}
    cameras = document["cameras"]
    if len(cameras) > MAX_POSES:
        source.refuse(f"it has {len(cameras)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    size = json_array(source, [document["resolution"][-2:]], (2,), "the resolution", lambda _: "the whole file")
    if document["resolution"][:-2] not in ([], [len(cameras)]):
        source.note(f"Its resolution says {document['resolution'][0]} pictures, and there are {len(cameras)} cameras.")
    positions = json_array(source, field_of_frames(source, cameras, "position", frame), (3,), "the position", frame)
    turns = json_array(source, field_of_frames(source, cameras, "quaternion", frame), (4,), "the quaternion", frame)
    poses = turned(source, positions, turns[:, (1, 2, 3, 0)], frame)
    columns = [json_array(source, field_of_frames(source, cameras, name, frame), (), name, frame) for name in LENS]
    intrinsics = from_pixels(source, np.stack(columns, axis=1), frame, np.repeat(size[:, ::-1], len(cameras), axis=0))
    if poses[:, 1, 1].mean() < 0.0:
        source.note("Its cameras stand upside down: its world has y down. Begin where the film stands to put it right.")
    return Recorded(poses, intrinsics)


LAYOUT = Layout(
    "FlashWorld",
    "JSON of FlashWorld: resolution [pictures, height, width] and for each picture a camera-to-world quaternion (w "
    "first), a position and fx fy cx cy in pixels. World with y up, camera looking along -z, as in three.js; both "
    "become ours. It holds no times.",
    recognises,
    read,
)

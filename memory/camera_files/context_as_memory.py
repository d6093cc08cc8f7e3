"""The JSON of the Context-as-Memory data set: Unreal's position and rotator for each frame."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .keyed import field_of_frames, first_frame, found_frames, frames_in_order
from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import FROM_UNREAL, refuse_numbers, rigid_poses
from .recammaster import CENTIMETRE
from .source import Source


def recognises(source: Source) -> bool:
    if not source.is_json or not isinstance(source.document, dict) or not source.document:
        return False
    first = first_frame(source.document) or first_frame(next(iter(source.document.values())))
    return isinstance(first, dict) and isinstance(first.get("position"), list) and "rotation" in first


def read(source: Source, options: ReadOptions) -> Recorded:
    listed = frames_in_order(source, _actor(source, options.camera))
    frames, where = found_frames(source, *listed, names=("position", "rotation"))
    positions = json_array(source, field_of_frames(source, frames, "position", where), (3,), "the position", where)
    angles = json_array(source, field_of_frames(source, frames, "rotation", where), (3,), "the rotation", where)
    refuse_numbers(source, angles, where)
    matrices = np.concatenate([rotator(angles), positions[:, :, None]], axis=2)
    poses = FROM_UNREAL @ rigid_poses(source, matrices, where) @ FROM_UNREAL.T
    poses[:, :3, 3] *= CENTIMETRE
    return Recorded(poses, where=where)


def rotator(angles: FloatArray) -> FloatArray:
    """Unreal's rotation (F, 3, 3) from roll, pitch, yaw (F, 3) in degrees; columns forward, right, up.

    Yaw > 0 turns right, pitch > 0 looks up, roll > 0 turns clockwise, as in Unreal's own FRotator. In its left-handed
    world that makes pitch and roll turn against the usual formula.
    """
    (sr, sp, sy), (cr, cp, cy) = np.sin(np.radians(angles)).T, np.cos(np.radians(angles)).T
    forward = np.stack([cp * cy, cp * sy, sp], axis=1)
    right = np.stack([sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, -sr * cp], axis=1)
    up = np.stack([-(cr * sp * cy + sr * sy), sr * cy - cr * sp * sy, cr * cp], axis=1)
    return np.stack([forward, right, up], axis=2)


def _actor(source: Source, camera: str) -> object:
    """The frames of the camera asked for; a file may put them under the camera's name, or have only one's."""
    document = source.document
    if not isinstance(document, dict) or not document:
        source.refuse("it is no object with cameras", "Choose another layout, or auto")
    if first_frame(document) is not None:
        if camera:
            source.refuse(f"it has one camera without a name, and {camera!r} was asked for", "Leave camera empty")
        return document
    if camera and camera not in document:
        source.refuse(f"it has no camera {camera!r}", f"Use one of: {', '.join(list(document)[:12])}")
    return document[camera or next(iter(document))]


LAYOUT = Layout(
    "Context-as-Memory",
    "JSON of the Context-as-Memory data set: for each frame an Unreal position (centimetres) and rotation [roll, "
    "pitch, yaw] in degrees; they become our axes and metres. It holds neither times nor a lens.",
    recognises,
    read,
    cameras=True,
)

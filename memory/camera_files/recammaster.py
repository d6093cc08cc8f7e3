"""ReCamMaster's camera_extrinsics.json: ten cameras a frame, as Unreal's matrices of row vectors, in centimetres."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .keyed import first_frame, frames_in_order
from .layout import Layout, ReadOptions, Recorded
from .numbers import numbers_of
from .poses import FROM_UNREAL, Where, refuse_numbers, rigid_poses
from .source import Source

CENTIMETRE = 0.01


def recognises(source: Source) -> bool:
    first = first_frame(source.document) if source.is_json else None
    return isinstance(first, dict) and bool(first) and isinstance(next(iter(first.values())), str)


def read(source: Source, options: ReadOptions) -> Recorded:
    frames, where = frames_in_order(source, source.document)
    camera = options.camera
    texts = []
    for index, cameras in enumerate(frames):
        if not isinstance(cameras, dict) or not cameras:
            source.refuse("it has no cameras", "Complete that frame or leave it out", where(index))
        camera = camera or next(iter(cameras))
        text = cameras.get(camera)
        if not isinstance(text, str):
            source.refuse(f"it has no camera {camera!r}", f"Use one of: {', '.join(list(cameras)[:12])}", where(index))
        texts.append(text)
    rows = [text.replace("[", " ").replace("]", " ").split() for text in texts]
    values = numbers_of(source, rows, 16, "ReCamMaster", where).reshape(-1, 4, 4)
    refuse_numbers(source, values.reshape(-1, 16), where)
    poses = _poses(source, values.transpose(0, 2, 1), where)
    poses[:, :3, 3] *= CENTIMETRE
    return Recorded(poses, name=f"{source.path.stem} {camera}", where=where)


def _poses(source: Source, matrices: FloatArray, where: Where) -> FloatArray:
    """Poses (F, 4, 4) from matrices whose columns are forward, right, up and the position.

    In Unreal's left-handed world such axes are a rotation. Where they mirror in every frame, the world is a
    right-handed one of another program: only the camera's axes are changed, and the world stays as it is.
    """
    if (np.linalg.det(matrices[:, :3, :3]) < 0.0).all():
        source.note("Its world is right-handed, not Unreal's: it stays as it is.")
        return rigid_poses(source, matrices[:, :, (1, 2, 0, 3)] * (1.0, -1.0, 1.0, 1.0), where)
    return np.asarray(FROM_UNREAL @ rigid_poses(source, matrices, where) @ FROM_UNREAL.T)


LAYOUT = Layout(
    "ReCamMaster",
    "camera_extrinsics.json of ReCamMaster and its data set: several cameras (cam01 to cam10) in each frame; choose "
    "one by name, else it is the first. Unreal's axes (left-handed, x forward, z up) and centimetres become ours and "
    "metres; a right-handed world, as some programs write it, stays as it is. It holds neither times nor a lens.",
    recognises,
    read,
    cameras=True,
)

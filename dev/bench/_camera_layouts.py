"""A small file of every layout, and of COLMAP's binary models, as cases of `_camera_cases`."""

from __future__ import annotations

from ...memory.cameras.camera import intrinsics_from_fov
from ._camera_cases import ANYTHING, Case
from ._camera_samples import SAMPLES, WITHOUT_LENS, colmap_binary, known_cameras


def layout_cases() -> dict[str, Case]:
    """By "layout" and its name: the cameras that the file was made from, which must come back in auto."""
    poses, lens = known_cameras(25)
    silent = intrinsics_from_fov(70.0, 16 / 9)
    made = {name: make(poses, lens) for name, make in SAMPLES.items()} | {"COLMAP, binary": colmap_binary(poses, lens)}
    return {
        f"layout {name}": Case(
            files,
            poses,
            silent if name in WITHOUT_LENS else lens,
            told=ANYTHING,
            settings={"camera": "cam02"} if name == "ReCamMaster" else {},
        )
        for name, files in made.items()
    }

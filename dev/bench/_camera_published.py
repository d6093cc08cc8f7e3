"""Published camera files, and what they say, worked out from each one's own documentation with numpy alone.

The files are others' and are not kept here: SCENEMEMORY_CAMERA_SAMPLES names their folder, else it is looked for
beside this checkout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...memory.camera_files import CameraFileError, read_trajectory

Array = np.ndarray[Any, Any]
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data" / "trajectories"
FOLDER = Path(os.environ.get("SCENEMEMORY_CAMERA_SAMPLES", BESIDE))


def realestate10k(file: Path) -> tuple[Array, Array]:
    """World-to-camera 3x4 after a time, the lens and two zeros."""
    rows = np.loadtxt(file, skiprows=1)
    return np.linalg.inv(_squares(rows[:, 7:])), rows[:, 1:5]


def motionctrl(file: Path) -> tuple[Array, None]:
    return np.linalg.inv(_squares(np.array(json.loads(file.read_text())))), None


def lingbot(file: Path) -> tuple[Array, Array]:
    pixels = np.load(file.with_name(file.name.replace("poses", "intrinsics"))).astype(float)
    return np.load(file).astype(float), pixels / (832, 480, 832, 480)


def spatia(file: Path) -> tuple[Array, Array]:
    views = np.array([json.loads(line) for line in file.read_text().splitlines()])
    words = file.with_name(file.name.replace("w2c", "intrinsics")).read_text().strip("[] \n").split()
    return np.linalg.inv(views), np.array(words, dtype=float)


def recammaster(file: Path) -> tuple[Array, None]:
    """The first camera, as its own code reads it: transposed, columns 1 2 0 3, the second negated, centimetres; from
    the first frame on."""
    document = json.loads(file.read_text())
    matrices = []
    for frame in range(len(document)):
        words = document[f"frame{frame}"]["cam01"].replace("[", "").replace("]", "").split()
        matrix = np.array(words, dtype=float).reshape(4, 4).T[:, [1, 2, 0, 3]]
        matrix[:3, 1] *= -1.0
        matrix[:3, 3] /= 100.0
        matrices.append(matrix)
    return np.linalg.inv(matrices[0]) @ np.array(matrices), None


Meaning = Callable[[Path], tuple[Array, Array | None]]
PUBLISHED: dict[str, Meaning] = {
    "realestate10k_0bf152ef84195293.txt": realestate10k,
    "realestate10k_3f79dc32d575bcdc.txt": realestate10k,
    "motionctrl_spin_cw_60.json": motionctrl,
    "recammaster_camera_extrinsics.json": recammaster,
    "lingbot_03_poses.npy": lingbot,
    "spatia_case2_w2c.txt": spatia,
}
NO_PATHS = ("README.md", "lingbot_03_intrinsics.npy", "spatia_case2_intrinsics.txt")


def wrong(folder: Path = FOLDER) -> dict[str, str]:
    """The files there that are not read as they are meant, and how far off each is; empty where there are none."""
    found: dict[str, str] = {}
    for name, meaning in PUBLISHED.items():
        if not (folder / name).is_file():
            continue
        try:
            path = read_trajectory(folder / name)
        except CameraFileError as refusal:
            found[name] = str(refusal)
            continue
        poses, lens = meaning(folder / name)
        if meaning is recammaster:
            path = path.relative()
        if len(path) != len(poses):
            found[name] = f"{len(path)} frames instead of {len(poses)}"
            continue
        # Every other step of the clips of RealEstate10K is longer, so that they are made even: no camera moves far.
        near = 0.2 * float(np.abs(np.diff(poses[:, :3], axis=0)).max()) if meaning is realestate10k else 1e-5
        off = float(np.abs(path.poses - poses).max())
        if off > near or (lens is not None and np.abs(path.intrinsics - lens).max() > 1e-6):
            found[name] = f"off by {off:g}"
    for name in NO_PATHS:
        if (folder / name).is_file():
            try:
                found[name] = f"read as {len(read_trajectory(folder / name))} frames"
            except CameraFileError:
                pass
    return found


def _squares(rows: Array) -> Array:
    result = np.tile(np.eye(4), (len(rows), 1, 1))
    result[:, :3] = rows.reshape(-1, 3, 4)
    return result

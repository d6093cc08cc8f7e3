"""Published camera paths, read and compared with what their pictures are known to do.

The files are others' and are not kept here: SCENEMEMORY_CAMERA_SAMPLES names the folder they lie in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.camera_files import read_trajectory
from scene_memory.memory.camera_files.layouts import recognised
from scene_memory.memory.camera_files.source import CameraFileError, Source
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import pose

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data" / "trajectories"
FOLDER = Path(os.environ.get("SCENEMEMORY_CAMERA_SAMPLES", BESIDE))

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no published camera paths here: SCENEMEMORY_CAMERA_SAMPLES names their folder"
)


@pytest.mark.parametrize(
    ("file", "layout"),
    [
        ("realestate10k_0bf152ef84195293.txt", "RealEstate10K"),
        ("realestate10k_3f79dc32d575bcdc.txt", "RealEstate10K"),
        ("motionctrl_spin_cw_60.json", "MotionCtrl"),
        ("recammaster_camera_extrinsics.json", "ReCamMaster"),
        ("lingbot_03_poses.npy", "LingBot"),
        ("spatia_case2_w2c.txt", "Spatia"),
    ],
)
def test_each_is_recognised_and_has_proper_rotations(file: str, layout: str):
    assert recognised(Source(FOLDER / file)).name == layout
    path = read_trajectory(FOLDER / file)
    assert np.allclose(np.linalg.det(path.poses[:, :3, :3]), 1.0, atol=1e-12)
    assert np.abs(path.poses[:, :3, :3] @ path.poses[:, :3, :3].transpose(0, 2, 1) - np.eye(3)).max() < 1e-9


def test_what_lies_beside_them_is_no_path():
    for file, words in {
        "README.md": "layout is not recognised",
        "lingbot_03_intrinsics.npy": "the lens of LingBot",
        "spatia_case2_intrinsics.txt": "the lens of Spatia",
    }.items():
        with pytest.raises(CameraFileError, match=words):
            read_trajectory(FOLDER / file)


@pytest.mark.parametrize("clip", ["0bf152ef84195293", "3f79dc32d575bcdc"])
def test_realestate10k(clip: str):
    """Every other step of these clips is 9 frames of 30 a second instead of 8, so they become even."""
    file = FOLDER / f"realestate10k_{clip}.txt"
    rows = np.loadtxt(file, skiprows=1)
    views = np.tile(np.eye(4), (len(rows), 1, 1))
    views[:, :3] = rows[:, 7:].reshape(-1, 3, 4)
    expected = np.linalg.inv(views)
    path = read_trajectory(file)
    assert len(path) == len(rows) == 16 and np.allclose(path.intrinsics, rows[:, 1:5])
    assert path.fps == pytest.approx(15e6 / (rows[-1, 0] - rows[0, 0]))
    assert np.allclose(path.poses[[0, -1]], expected[[0, -1]], atol=1e-7)
    step = np.abs(np.diff(expected[:, :3, 3], axis=0)).max()
    assert np.abs(path.poses[:, :3, 3] - expected[:, :3, 3]).max() < 0.2 * step


def test_motionctrl_spins_clockwise():
    """60 degrees in 16 steps, of which the last frame is the fifteenth."""
    path = read_trajectory(FOLDER / "motionctrl_spin_cw_60.json")
    assert len(path) == 16 and np.allclose(path.poses[0], np.eye(4))
    matrix = np.eye(4)
    matrix[:3] = np.array(json.loads((FOLDER / "motionctrl_spin_cw_60.json").read_text())[-1]).reshape(3, 4)
    assert np.allclose(path.poses[-1], np.linalg.inv(matrix))
    assert np.allclose(path.poses[-1], pose([0, 0, 0], rotation(roll=15 * 60 / 16)), atol=1e-6)


RECAMMASTER = {
    "cam01": (rotation(yaw=19.874), (0, 0, 0)),
    "cam02": (rotation(yaw=-19.874), (0, 0, 0)),
    "cam03": (rotation(pitch=9.938), (0, 0, 0)),
    "cam04": (rotation(pitch=-9.938), (0, 0, 0)),
    "cam05": (np.eye(3), (0, 0, 1.9876)),
    "cam06": (np.eye(3), (0, 0, -1.9876)),
    "cam07": (rotation(pitch=-13.953), (0, -0.99379, 0)),
    "cam08": (rotation(pitch=13.953), (0, 0.99379, 0)),
    "cam09": (rotation(yaw=29.821), (-1.9876, 0, 0.5326)),
    "cam10": (rotation(yaw=-29.821), (1.9876, 0, 0.5326)),
}
"""The ten moves: pan right, left; tilt up, down; zoom in, out; rise, sink facing the scene; arc left, right."""


@pytest.mark.parametrize("camera", RECAMMASTER)
def test_recammaster_does_what_its_cameras_are_called(camera: str):
    path = read_trajectory(FOLDER / "recammaster_camera_extrinsics.json", camera=camera)
    turn, place = RECAMMASTER[camera]
    assert len(path) == 81 and np.allclose(path.poses[0], pose([13.8, -2.4, 33.9], np.eye(3)))
    assert np.allclose(path.relative().poses[-1], pose(place, turn), atol=1e-4)


def test_recammaster_is_relative_as_its_own_code_has_it():
    """Transposed, columns 1 2 0 3, the second of them negated, centimetres, seen from the first camera."""
    text = json.loads((FOLDER / "recammaster_camera_extrinsics.json").read_text())
    for camera in ("cam03", "cam10"):
        matrices = []
        for i in range(81):
            words = text[f"frame{i}"][camera].replace("[", "").replace("]", "").split()
            matrix = np.array(words, dtype=float).reshape(4, 4).T[:, [1, 2, 0, 3]]
            matrix[:3, 1] *= -1
            matrix[:3, 3] /= 100
            matrices.append(matrix)
        own = np.linalg.inv(matrices[0]) @ matrices
        path = read_trajectory(FOLDER / "recammaster_camera_extrinsics.json", camera=camera)
        assert np.allclose(path.relative().poses, own, atol=1e-5)


def test_lingbot():
    poses = np.load(FOLDER / "lingbot_03_poses.npy").astype(float)
    pixels = np.load(FOLDER / "lingbot_03_intrinsics.npy").astype(float)
    path = read_trajectory(FOLDER / "lingbot_03_poses.npy")
    assert len(path) == 269 and np.allclose(path.poses, poses, atol=2e-6)
    assert np.allclose(path.intrinsics, pixels / (832, 480, 832, 480))


def test_spatia_turns_away_and_nearly_comes_back():
    lines = (FOLDER / "spatia_case2_w2c.txt").read_text().splitlines()
    path = read_trajectory(FOLDER / "spatia_case2_w2c.txt")
    assert len(path) == len(lines) == 193
    assert np.allclose(path.poses, np.linalg.inv([json.loads(line) for line in lines]), atol=1e-9)
    words = (FOLDER / "spatia_case2_intrinsics.txt").read_text().strip("[] \n").split()
    assert np.allclose(path.intrinsics, np.array(words, dtype=float))
    looks = path.poses[:, :3, 2]
    turned = np.degrees(np.arccos(np.clip(looks @ looks[0], -1.0, 1.0)))
    assert turned.max() == pytest.approx(32.6, abs=0.1) and turned[-1] == pytest.approx(5.6, abs=0.1)

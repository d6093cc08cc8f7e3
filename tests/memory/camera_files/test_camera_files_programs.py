"""Files of single programs against their public definitions: every number here is made by numpy, not by our writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.dev.bench._camera_samples import (
    SAMPLES,
    Files,
    gaussian_splatting,
    known_cameras,
    nerfstudio_camera_path,
    npz,
    unreal,
    z_up,
)
from scene_memory.memory.camera_files import CameraFileError, read_trajectory
from scene_memory.memory.camera_files.layouts import recognised
from scene_memory.memory.camera_files.source import Source
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose

POSES, LENS = known_cameras(9)
Put = Callable[[Files], Path]


def viewer(**changed: Any) -> Files:
    """camera_path.json with some entries changed; None takes one out."""
    document = json.loads(nerfstudio_camera_path(POSES, LENS)["camera_path.json"])
    document.update(changed)
    kept = {name: value for name, value in document.items() if value is not None}
    return {"camera_path.json": json.dumps(kept).encode()}


def cameras_of(change: Callable[[dict[str, Any], int], None]) -> list[dict[str, Any]]:
    cameras: list[dict[str, Any]] = json.loads(nerfstudio_camera_path(POSES, LENS)["camera_path.json"])["camera_path"]
    for index, camera in enumerate(cameras):
        change(camera, index)
    return cameras


@pytest.mark.parametrize("shape", [(16,), (4, 4), (3, 4), (12,)])
def test_nerfstudios_camera_path_in_each_form_of_its_matrix(put: Put, shape: tuple[int, ...]):
    rows = 3 if shape in ((3, 4), (12,)) else 4
    matrices = z_up(POSES)[:, :rows].reshape(-1, *shape).tolist()
    cameras = cameras_of(lambda camera, index: camera.update(camera_to_world=matrices[index]))
    path = read_trajectory(put(viewer(camera_path=cameras)))
    assert np.abs(path.poses - POSES).max() < 1e-12 and path.fps == 30.0


def test_a_viewer_camera_at_the_identity_looks_down_in_a_world_with_z_up(put: Put):
    cameras = [{"camera_to_world": np.eye(4).reshape(-1).tolist(), "fov": 90, "aspect": 2.0}]
    path = read_trajectory(put({"p.json": json.dumps({"camera_path": cameras, "seconds": 1}).encode()}))
    assert np.allclose(path.poses[0], pose([0, 0, 0], rotation(pitch=-90)))
    assert np.allclose(path.intrinsics[0], [0.25, 0.5, 0.5, 0.5]) and path.fps == 1.0


def test_the_viewers_field_of_view_is_vertical_and_may_change(put: Put):
    """nerfstudio takes the focal length from the height of the rendered picture: fx = fy = h/2 / tan(fov/2)."""
    cameras = cameras_of(lambda camera, index: camera.update(fov=40.0 + index))
    path = read_trajectory(put(viewer(camera_path=cameras, render_width=1000, render_height=500)))
    focal = 250 / np.tan(np.radians(40.0 + np.arange(9)) / 2)
    assert np.allclose(path.intrinsics[:, 0], focal / 1000) and np.allclose(path.intrinsics[:, 1], focal / 500)
    own = read_trajectory(put(viewer(camera_path=cameras, render_width=None, render_height=None)))
    assert np.allclose(own.intrinsics[:, 1] / own.intrinsics[:, 0], 832 / 480), "the aspect of the camera"


@pytest.mark.parametrize(
    ("pace", "fps"),
    [
        ({"fps": 24, "seconds": 9 / 24}, 24.0),
        ({"fps": 24, "seconds": 8 / 24}, 24.0),
        ({"fps": 24, "seconds": 3.0}, 3.0),
        ({"fps": None, "seconds": 0.5}, 18.0),
        ({"fps": 12, "seconds": None}, 12.0),
        ({"fps": None, "seconds": None}, 24.0),
        ({"fps": "fast", "seconds": -1}, 24.0),
    ],
)
def test_the_viewers_path_lasts_its_seconds(put: Put, pace: dict[str, Any], fps: float):
    path = read_trajectory(put(viewer(**pace)))
    assert len(path) == 9 and path.fps == pytest.approx(fps)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"camera_type": "equirectangular"}, "camera_type 'equirectangular' is no flat picture's. Set fov"),
        (
            {"camera_path": cameras_of(lambda camera, index: camera.update(fov=190 if index == 4 else 50))},
            "frame 4: fov, zoom and aspect",
        ),
        (
            {"camera_path": cameras_of(lambda camera, index: index == 3 and camera.pop("fov"))},
            "frame 3: fov, zoom and aspect",
        ),
        (
            {"camera_path": cameras_of(lambda camera, index: index == 2 and camera.pop("camera_to_world"))},
            "frame 2: it has no 'camera_to_world'",
        ),
        (
            {
                "camera_path": cameras_of(
                    lambda camera, index: camera.update(camera_to_world=np.diag([1, -1, 1, 1.0]).reshape(-1).tolist())
                )
            },
            "frame 0: the rotation is improper",
        ),
    ],
)
def test_a_viewers_path_that_is_wrong_is_refused(put: Put, changed: dict[str, Any], words: str):
    with pytest.raises(CameraFileError, match=words):
        read_trajectory(put(viewer(**changed)))


def test_a_fisheye_of_the_viewer_is_read_with_a_lens_of_ones_own(put: Put):
    path = read_trajectory(put(viewer(camera_type="fisheye")), fov=80.0)
    assert np.allclose(path.intrinsics, intrinsics_from_fov(80.0, 16 / 9))


def test_3dgs_cameras_go_by_the_names_of_their_pictures(put: Put):
    """The program's own order has the pictures for testing first, then those for training."""
    document = json.loads(gaussian_splatting(POSES, LENS)["cameras.json"])
    assert [camera["img_name"] for camera in document[:3]] == ["frame_1", "frame_9", "frame_2"]
    path = read_trajectory(put({"cameras.json": json.dumps(document).encode()}))
    assert np.abs(path.poses - POSES).max() < 1e-12
    for camera in document:
        del camera["img_name"]
    path = read_trajectory(put({"cameras.json": json.dumps(document).encode()}))
    assert np.abs(path.poses - POSES[[0, 8, *range(1, 8)]]).max() < 1e-12


def test_3dgs_cameras_of_several_sizes_keep_their_lenses(put: Put):
    document = json.loads(gaussian_splatting(POSES, LENS)["cameras.json"])
    for camera in document:
        number = int(camera["img_name"][6:])
        camera.update(width=1000 + number, height=500, fx=700.0, fy=650.0)
    path = read_trajectory(put({"cameras.json": json.dumps(document).encode()}))
    assert np.allclose(path.intrinsics, [[700 / (1001 + i), 650 / 500, 0.5, 0.5] for i in range(9)])
    for camera in document:
        del camera["fx"], camera["fy"]
    path = read_trajectory(put({"cameras.json": json.dumps(document).encode()}))
    assert np.allclose(path.intrinsics, intrinsics_from_fov(70.0, 16 / 9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda camera: camera.pop("rotation"), "camera 4: it has no 'rotation'"),
        (lambda camera: camera.update(rotation=[[1, 0, 0], [0, 1, 0]]), "camera 4: the rotation has 2x3 numbers"),
        (
            lambda camera: camera.update(rotation=[[1, 0, 0], [0, 1, 0], [0, 0, -1]]),
            "camera 4: the rotation is improper",
        ),
        (lambda camera: camera.update(fx=0), "camera 4: the intrinsics are fx fy cx cy"),
        (lambda camera: camera.pop("fy"), "camera 4: it has no 'fy'"),
    ],
)
def test_a_wrong_camera_of_3dgs_is_refused_by_its_place_in_the_file(put: Put, change: Any, words: str):
    document = json.loads(gaussian_splatting(POSES, LENS)["cameras.json"])
    change(document[4])
    with pytest.raises(CameraFileError, match=words):
        read_trajectory(put({"cameras.json": json.dumps(document).encode()}))


def test_vipes_folders_are_found_beside_each_other(tmp_path: Path):
    pixels = LENS * (832, 480, 832, 480)
    for folder, data in {"pose": POSES, "intrinsics": np.tile(pixels, (9, 1))}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "walk.npz").write_bytes(npz(data=data.astype(np.float32), inds=np.arange(9)))
    path = read_trajectory(tmp_path / "pose" / "walk.npz")
    assert np.abs(path.poses - POSES).max() < 1e-6 and np.allclose(path.intrinsics, LENS) and path.name == "walk"
    with pytest.raises(CameraFileError, match="it holds the lens of ViPE, not the path of the camera"):
        read_trajectory(tmp_path / "intrinsics" / "walk.npz")


def test_frames_that_vipe_lost_come_back_between_their_neighbours(put: Put):
    """A camera that goes and turns evenly; frames 3, 4 and 6 are gone and the rest is out of order."""
    even = np.stack([pose([0.5 * i, 0, 1.0 - i], rotation(yaw=10.0 * i)) for i in range(9)])
    there = np.array([7, 0, 1, 2, 5, 8])
    lens = np.array([[400.0 + i, 400.0 + i, 416, 240] for i in range(9)])
    files = {"a_pose.npz": npz(data=even[there], inds=there + 100)}
    lenses = {"a_intrinsics.npz": npz(data=lens[there], inds=there + 100)}
    path = read_trajectory(put({**files, **lenses}))
    assert len(path) == 9 and np.abs(path.poses - even).max() < 1e-6
    assert np.allclose(path.intrinsics[:, 0], (400.0 + np.arange(9)) / 832)


def test_vipes_intrinsics_are_found_by_the_number_of_the_frame(put: Put):
    pixels = np.array([[300.0 + i, 300.0 + i, 416, 240] for i in range(12)])
    files = {"a_pose.npz": npz(data=POSES, inds=np.arange(9) + 2)}
    lens = {"a_intrinsics.npz": npz(data=pixels[::-1], inds=np.arange(12)[::-1])}
    path = read_trajectory(put({**files, **lens}))
    assert np.allclose(path.intrinsics[:, 0], (302.0 + np.arange(9)) / 832)
    one = {"a_intrinsics.npz": npz(data=pixels[:1], inds=np.arange(1))}
    assert np.allclose(read_trajectory(put({**files, **one})).intrinsics[:, 0], 300 / 832)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"p.npz": npz(data=POSES, inds=np.zeros(9))}, "name a frame twice"),
        ({"p.npz": npz(data=POSES, inds=np.arange(9) + 0.5)}, "not all whole numbers"),
        ({"p.npz": npz(data=POSES, inds=np.arange(9) * 10**6)}, "from 0 to 8000000, at most 1000000 frames"),
        ({"p.npz": npz(data=POSES, inds=np.arange(8))}, r"shape \(8,\) for 9 poses"),
        ({"p.npz": npz(data=POSES * 2, inds=np.arange(9))}, "the last row of the matrix"),
        ({"p.npz": npz(data=POSES, inds=np.arange(9))[:-400]}, "it is no whole archive"),
        ({"p.npz": npz(poses=POSES)}, "it has no array 'data', only poses"),
        ({"p.npz": npz(data=np.array(3.0), inds=np.arange(9))}, r"its poses have the shape \(\)"),
        ({"p.npz": b"PK\x03\x04"}, "it is no whole archive"),
        ({"p.npz": POSES.tobytes()}, "it is no .npz file"),
        (
            {
                "a_pose.npz": npz(data=POSES, inds=np.arange(9)),
                "a_intrinsics.npz": npz(data=np.ones((9, 5)), inds=np.arange(9)),
            },
            r"a_intrinsics.npz: its shape is \(9, 5\), .* no flat picture's. Set fov",
        ),
        (
            {
                "a_pose.npz": npz(data=POSES, inds=np.arange(9)),
                "a_intrinsics.npz": npz(data=np.ones((5, 4)), inds=np.arange(5)),
            },
            "it has no intrinsics of frame 5",
        ),
    ],
)  # fmt: skip
def test_a_wrong_file_of_vipe_is_refused(put: Put, files: Files, words: str):
    with pytest.raises(CameraFileError, match=words):
        read_trajectory(put(files), layout="ViPE")


def test_objects_in_an_npz_are_never_opened(put: Put):
    class Trap:
        def __reduce__(self) -> Any:
            return print, ("opened",)

    data = np.empty(1, dtype=object)
    data[0] = Trap()
    with pytest.raises(CameraFileError, match="it holds object, expected plain numbers"):
        read_trajectory(put({"p.npz": npz(data=data, inds=np.arange(1))}), layout="ViPE")


def test_sixteen_numbers_a_line_are_a_matrix_row_by_row(put: Put):
    columns = POSES.transpose(0, 2, 1).reshape(-1, 16)
    text = "\n".join(" ".join(map(repr, row)) for row in columns.tolist())
    with pytest.raises(CameraFileError, match="traj.txt, line 1: .*last row of the matrix .*may be transposed"):
        read_trajectory(put({"traj.txt": text.encode()}), layout="Replica")
    separated = SAMPLES["Replica"](POSES, LENS)["traj.txt"].replace(b" ", b", ")
    assert np.abs(read_trajectory(put({"traj.csv": separated})).poses - POSES).max() < 1e-12


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_a_single_matrix_of_npy_is_one_camera(put: Put, kind: type):
    matrix = np.array([[0, 0, 1, 3], [0, 1, 0, 4], [-1, 0, 0, 5], [0, 0, 0, 1]])
    path = read_trajectory(put({"c2w.npy": SAMPLES["LingBot"](matrix.astype(kind), LENS)["poses.npy"]}))
    assert len(path) == 1 and np.allclose(path.poses[0], matrix)


@pytest.mark.parametrize("camera", ["cam01", "cam02"])
def test_recammaster_in_a_right_handed_world(put: Put, camera: str):
    """y of Unreal's world negated, so that each matrix mirrors; read as ReCamMaster's own code reads any."""
    matrices = unreal(POSES)
    matrices[:, 1] *= -1.0
    assert (np.linalg.det(matrices[:, :3, :3]) < 0).all()
    rows = {f"frame{i}": {"cam01": _rows(matrices[8 - i]), "cam02": _rows(matrices[i])} for i in range(9)}
    path = read_trajectory(put({"cameras.json": json.dumps(rows).encode()}), camera=camera)
    expected = (matrices[::-1] if camera == "cam01" else matrices)[:, :, [1, 2, 0, 3]]
    expected[:, :, 1] *= -1.0
    expected[:, :3, 3] /= 100.0
    assert np.abs(path.poses - expected).max() < 1e-12
    own = POSES[::-1] if camera == "cam01" else POSES
    # Seen from its first frame it does what the same camera does in Unreal's own world.
    assert np.allclose(path.relative().poses, np.linalg.inv(own[0]) @ own)
    rows["frame4"][camera] = _rows(unreal(POSES)[4])
    with pytest.raises(CameraFileError, match="frame 0: the rotation is improper"):
        read_trajectory(put({"cameras.json": json.dumps(rows).encode()}), camera=camera)


def _rows(matrix: np.ndarray) -> str:
    return " ".join(f"[{' '.join(map(repr, row))}]" for row in matrix.T.tolist()) + " "


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_of_every_layout_is_no_other_ones(put: Put, name: str):
    assert recognised(Source(put(SAMPLES[name](POSES, LENS)))).name == name

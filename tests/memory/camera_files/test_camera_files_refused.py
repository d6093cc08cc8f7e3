"""Files that are no camera paths: each is refused with its name, the place, the value and what to do."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench._camera_samples import SAMPLES, Files, known_cameras
from scene_memory.memory.camera_files import CameraFileError, read_trajectory, source

POSES, LENS = known_cameras(6)
Put = Callable[[Files], Path]


def changed(layout: str, find: str, replace: str, file: int = 0) -> Files:
    """A sample with the first match of the pattern ``find`` replaced."""
    files = SAMPLES[layout](POSES, LENS)
    name = list(files)[file]
    text = files[name].decode()
    new = re.sub(find, replace, text, count=1, flags=re.MULTILINE)
    assert new != text
    return {**files, name: new.encode()}


def document(layout: str, change: Callable[[dict], object]) -> Files:
    """A JSON sample with ``change`` applied to its document."""
    ((name, data),) = SAMPLES[layout](POSES, LENS).items()
    value = json.loads(data)
    change(value)
    return {name: json.dumps(value).encode()}


def npy(array: np.ndarray, **more: np.ndarray) -> Files:
    files = {}
    for name, values in {"poses": array, **more}.items():
        file = io.BytesIO()
        np.save(file, values, allow_pickle=True)
        files[f"{name}.npy"] = file.getvalue()
    return files


def kitti(matrix: np.ndarray, at: int = 3) -> Files:
    """A KITTI file whose line ``at`` has ``matrix``."""
    poses = POSES.copy()
    poses[at - 1] = matrix
    return SAMPLES["KITTI"](poses, LENS)


MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])
SHEAR = np.eye(4) + np.eye(4, k=1) * 0.02
HEAD = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (%s, 4, 4), }"
WRONG: dict[str, tuple[str, Files, str]] = {
    "nothing": ("auto", {"a.txt": b" \n "}, "a.txt is empty. Choose a file with a camera path."),
    "prose": (
        "auto",
        {"a.txt": b"Once upon a time\nthere was 1 camera."},
        "layout is not recognised: it is text like 'Once upon a time'. It can be one of: SceneM",
    ),
    "a picture": ("auto", {"a.png": b"\x89PNG\r\n\x1a\n\0\0\0"}, "it is binary, and neither .npy, .npz nor a"),
    "a picture by name": (
        "TUM",
        {"a.png": b"\x89PNG\r\n\x1a\n\0\0\0"},
        "a.png: it is no text in UTF-8 or UTF-16. Save it",
    ),
    "half a JSON": ("auto", {"a.json": b'{"frames": [1, 2'}, "a.json: line 1, column 17 is no JSON"),
    "text by a JSON name": (
        "MotionCtrl",
        {"a.txt": b"1 2 3"},
        "a.txt: it is no JSON. Choose the JSON file, or another",
    ),
    "JSON with NaN": (
        "auto",
        {"a.json": b"[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, NaN]]"},
        "it holds NaN, which is no num",
    ),
    "nested deep": ("auto", {"a.json": b"[" * 100_000}, "its lists are nested too deep. Repair the JSON"),
    "the lens of LingBot": (
        "auto",
        {"i.npy": SAMPLES["LingBot"](POSES, LENS)["intrinsics.npy"]},
        "it holds the lens of LingBot, not the path of the camera. Choose the file with the came",
    ),
    "the lens of LingBot by name": (
        "LingBot",
        {"i.npy": SAMPLES["LingBot"](POSES, LENS)["intrinsics.npy"]},
        "its shape is (6, 4), which is that of intrinsics. Choose the file of poses",
    ),
    "the lens of Spatia": ("auto", {"i.txt": b"[0.7 1.2 0.5 0.5]"}, "it holds the lens of Spatia, not the path"),
    "the lens of COLMAP": ("auto", {"c.txt": b"# Camera list\n1 PINHOLE 8 4 9 9 4 2\n"}, "it holds the lens of COLMAP"),
    # Text, one camera a line
    "18 numbers": (
        "auto",
        changed("RealEstate10K", r"\A(.*\n.*\n.*) \S+\n", r"\1\n"),
        "walk.txt, line 3: 18 values, expected 19 for RealEstate10K",
    ),
    "a word": (
        "KITTI",
        changed("KITTI", r"\A(.*\n.*\n)\S+", r"\1one"),
        "00.txt, line 3: 'one' is no number. KITTI has",
    ),
    "too few": (
        "TUM",
        changed("TUM", r" \S+\n(.*)\Z", r"\n\1"),
        "walk.tum, line 7: 7 values, expected 8 for TUM. Compl",
    ),
    "nan": (
        "auto",
        changed("KITTI", r"\A(.*\n)\S+", r"\1nan"),
        "00.txt, line 2: nan is not a finite number. Repair or",
    ),
    "infinity": ("auto", changed("KITTI", r"\A(.*\n)\S+", r"\1-inf"), "00.txt, line 2: -inf is not a finite number"),
    "very far": ("auto", changed("KITTI", r"\S+$", "1e12"), "00.txt, line 1: 1e+12 is farther than 1e+09. Move or sc"),
    "mirrored": ("auto", kitti(MIRROR), "00.txt, line 3: the rotation is improper: its determinant is -1, expected +1"),
    "sheared": (
        "auto",
        kitti(SHEAR),
        "00.txt, line 3: the rotation is off orthonormal by 0.02, expected at most 0.002",
    ),
    "scaled": ("auto", kitti(np.eye(4) * 1.5), "line 3: the rotation is off orthonormal by 1.2"),
    "no rotation": ("auto", kitti(np.zeros((4, 4))), "line 3: the rotation is off orthonormal by 1,"),
    "zero quaternion": (
        "auto",
        {"a.txt": b"0 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 0\n"},
        "a.txt, line 2: the quaternion [0.0, 0.0, "
        "0.0, 0.0] (x y z w) has the length 0, expected 1. Check the order of the columns",
    ),
    "lens in pixels": (
        "auto",
        changed("RealEstate10K", r"0\.5 0\.5 0\.0", "416.0 240.0 0.0"),
        "walk.txt, line 2: the intrinsics are fx fy cx cy = [0.625, 1.08333",
    ),
    "lens of nothing": (
        "auto",
        changed("RealEstate10K", r" 0\.625 ", " 0 "),
        "expected finite numbers, fx and fy above 0",
    ),
    # COLMAP
    "COLMAP, a short line": (
        "auto",
        changed("COLMAP", r"^5 .*$", "5 1 0 0 0"),
        "images.txt, line 3: 5 values, expected "
        "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME. Each image has two lines, of which",
    ),
    "COLMAP, no images": (
        "auto",
        {"images.txt": b"# IMAGE_ID, QW\n"},
        "images.txt: it has no images. Choose images.txt",
    ),
    "COLMAP, quaternion": (
        "auto",
        {"images.txt": b"1 0.5 0 0 0 1 2 3 1 a.png\n\n"},
        "line 1: the quaternion [0.0, 0.0, 0.0, 0.5] (x y z w) has the length 0.5, expected 1",
    ),
    "COLMAP, other camera": (
        "auto",
        changed("COLMAP", "^3 OPENCV", "4 OPENCV", 1),
        "cameras.txt: it has no camera '3'",
    ),
    "COLMAP, fisheye": (
        "auto",
        changed("COLMAP", "OPENCV", "OPENCV_FISHEYE", 1),
        "cameras.txt, line 2: the camera model "
        "OPENCV_FISHEYE is a fisheye, which no flat picture has. Set fov, or undistort",
    ),
    "COLMAP, model": (
        "auto",
        changed("COLMAP", "OPENCV", "MAGIC", 1),
        "the camera model 'MAGIC' is not known. Use one of",
    ),
    "COLMAP, params": (
        "auto",
        changed("COLMAP", "520.0.*", "520.0", 1),
        "expected CAMERA_ID MODEL WIDTH HEIGHT and numb",
    ),
    # JSON
    "MotionCtrl, 11 numbers": (
        "auto",
        {"a.json": json.dumps([[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], [1] * 11]).encode()},
        "a.json, frame 1: the matrix has 11 numbers, expected 12. Repair or leave out that camera",
    ),
    "MotionCtrl, a word": (
        "auto",
        {"a.json": json.dumps([[1] * 12, [1] * 11 + ["x"]]).encode()},
        "a.json, frame 1: the matrix is [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 'x'], expected 12 numbers",
    ),
    "MotionCtrl, null": (
        "auto",
        {"a.json": json.dumps([[None] * 12]).encode()},
        "a.json, frame 0: nan is not a finite",
    ),
    "MotionCtrl, huge": (
        "auto",
        {"a.json": json.dumps([[10**400] * 12]).encode()},
        "a.json, frame 0: the matrix is [1000",
    ),
    "ReCamMaster, no matrix": (
        "auto",
        document("ReCamMaster", lambda d: d["frame4"].update(cam01="[1 0 0]")),
        "camera_extrinsics.json, frame 4: 3 values, expected 16 for ReCamMaster",
    ),
    "ReCamMaster, camera gone": (
        "auto",
        document("ReCamMaster", lambda d: d["frame2"].pop("cam01")),
        "frame 2: it has no camera 'cam01'. Use one of: cam02",
    ),
    "ReCamMaster, transposed": (
        "auto",
        document("ReCamMaster", lambda d: d["frame1"].update(cam01="[1 0 0 5] [0 1 0 0] [0 0 1 0] [0 0 0 1]")),
        "frame 1: the last row of the matrix is [5.0, 0.0, 0.0, 1.0]",
    ),
    "Context-as-Memory, a key": (
        "auto",
        document("Context-as-Memory", lambda d: d["CineCameraActor"].update(end={})),
        "scene.json: 'end' is no frame number. Name the frames",
    ),
    "Context-as-Memory, no place": (
        "auto",
        document("Context-as-Memory", lambda d: d["CineCameraActor"]["3"].pop("position")),
        "scene.json, frame 3: it has no 'position'. Complete that frame or leave it out",
    ),
    "Context-as-Memory, 2 angles": (
        "auto",
        document("Context-as-Memory", lambda d: d["CineCameraActor"]["3"].update(rotation=[0, 1])),
        "scene.json, frame 3: the rotation has 2 numbers, expected 3",
    ),
    "HY-WorldPlay, mirrored": (
        "auto",
        document("HY-WorldPlay", lambda d: d["2"].update(extrinsic=MIRROR.tolist())),
        "pose.json, frame 2: the rotation is improper: its determinant is -1",
    ),
    "HY-WorldPlay, no lens": (
        "auto",
        document("HY-WorldPlay", lambda d: d["2"].update(K=np.zeros((3, 3)).tolist())),
        "pose.json, frame 2: the intrinsics are fx fy cx cy = [0.0, 0.0, 0.0, 0.0] for a picture",
    ),
    "nerfstudio, transposed": (
        "auto",
        document(
            "nerfstudio", lambda d: d["frames"][0].update(transform_matrix=(np.eye(4) + np.eye(4, k=-3)).tolist())
        ),
        "frame 0: the last row of the matrix is [1.0, 0.0, 0.",
    ),
    "nerfstudio, no matrix": (
        "auto",
        document("nerfstudio", lambda d: d["frames"][2].pop("transform_matrix")),
        "transforms.json, frame 2: it has no 'transform_matrix'",
    ),
    "nerfstudio, fisheye": (
        "auto",
        document("nerfstudio", lambda d: d.update(camera_model="OPENCV_FISHEYE")),
        "camera_model OPENCV_FISHEYE is no flat picture's. Set fov, or undistort the pictures",
    ),
    "nerfstudio, no size": (
        "auto",
        document("nerfstudio", lambda d: [d.pop(name) for name in ("w", "h", "cx")]),
        "it has fl_x but neither cx cy nor w h. Add w and h, the size of the pictures in pixels",
    ),
    "nerfstudio, no frames": (
        "nerfstudio",
        {"a.json": b'{"frames": []}'},
        'it has no list "frames". Choose a transforms',
    ),
    "three.js, orthographic": (
        "auto",
        {"a.json": json.dumps({"position": {}, "target": {}, "cameraType": "orthographic"}).encode()},
        "a.json, frame 0: the camera is orthographic. Switch the 3D view to",
    ),
    "three.js, at its target": (
        "auto",
        {"a.json": b'{"position": [1, 2, 3], "target": [1, 2, 3]}'},
        "a.json, frame 0: the camera stands at its target, so it looks nowhere. Move the target",
    ),
    "three.js, no y": (
        "auto",
        {"a.json": b'{"position": {"x": 1, "z": 3}, "target": [1, 2, 3]}'},
        "frame 0: nan is not",
    ),
    "three.js, fov": (
        "auto",
        {"a.json": b'{"position": [1, 2, 3], "target": [0, 0, 0], "fov": 200}'},
        "frame 0: fov, zoom and aspect are [200.0, 1.0, 1.77777",
    ),
    "ours, newer": (
        "auto",
        document("SceneMemory JSON", lambda d: d.update(version=2)),
        "its version is 2, this one reads",
    ),
    "ours, no fps": (
        "auto",
        document("SceneMemory JSON", lambda d: d.update(fps=0)),
        "fps is 0, expected a number above 0",
    ),
    "ours, lenses": (
        "auto",
        document("SceneMemory JSON", lambda d: d["intrinsics"].append([1, 1, 0.5, 0.5])),
        "walk.json: 2 intrinsics for 6 poses. Write one for each pose, or one for all",
    ),
    "ours, no poses": (
        "auto",
        document("SceneMemory JSON", lambda d: d.update(poses=[])),
        "the pose is no list with an en",
    ),
    # Two files
    "Spatia, a line": (
        "auto",
        changed("Spatia", r"\A(.*\n.*\n)\[", r"\1"),
        "w2c.txt, line 3: the matrix is no JSON (line 1",
    ),
    "Spatia, a row less": (
        "auto",
        changed("Spatia", r"\A(.*\n)(.*), \[.*\]\]\n", r"\1\2]\n"),
        "line 2: the matrix has 3x4 numbers, expected 4x4",
    ),
    "Spatia, lenses": (
        "auto",
        changed("Spatia", r"\]", "]\n[1 1 1 1]", 1),
        "intrinsics.txt: 2 intrinsics for 6 cameras",
    ),
    "npy of objects": (
        "auto",
        npy(np.array([[[{}] * 4] * 4])),
        "poses.npy: it holds object, expected plain numbers. Save it as float32 or float64; objects are not read",
    ),
    "npy of four lenses": ("LingBot", npy(np.full((4, 4), 400.0)), "its shape is (4, 4), which is that of intrinsics"),
    "npy cut off": (
        "auto",
        {"a.npy": npy(POSES)["poses.npy"][:-8]},
        "takes 768 bytes, and 760 are there. The file is cut",
    ),
    "npy that lies": (
        "auto",
        {"a.npy": (HEAD % b"999999999999").ljust(127) + b"\n"},
        "at most 1000000 cameras are read",
    ),
    "npy, no head": ("LingBot", {"a.npy": b"\x93NUMPY\x01\x00\x10\x00{'shape': ().."}, "its head cannot be read"),
    "npz": (
        "LingBot",
        {"a.npz": b"PK\x03\x04"},
        "a.npz: it is no .npy file. Choose the .npy file; take it out of an .npz",
    ),
    "npy, nan": (
        "auto",
        npy(POSES * np.where(np.arange(6) == 4, np.nan, 1)[:, None, None]),
        "frame 4: nan is not a finit",
    ),
    "npy, other lens": ("auto", npy(POSES, intrinsics=np.ones((5, 4))), "intrinsics.npy: 5 intrinsics for 6 poses"),
    "npy, lens of 0": (
        "auto",
        npy(POSES, intrinsics=np.zeros((6, 4))),
        "intrinsics.npy, row 0: the intrinsics are fx fy ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_in_these_words(put: Put, case: str):
    layout, files, words = WRONG[case]
    file = put(files)
    with warnings.catch_warnings(), pytest.raises(CameraFileError) as refusal:
        warnings.simplefilter("error")
        read_trajectory(file, layout=layout)
    said = str(refusal.value)
    assert words in said and said.endswith(".") and len(said) < 500
    assert said.startswith(tuple(files))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"fps": -1.0}, "fps is -1.0: it must be above 0, or 0 for what the file says"),
        ({"fov": float("nan")}, "fov is nan: it must be above 0"),
        ({"fov": 180.0}, "fov is 180.0: it must be below 180 degrees"),
        ({"aspect": float("inf")}, "aspect is inf"),
        ({"camera": "cam03"}, "a file of KITTI has one camera, and 'cam03' was asked for. Leave camera empty."),
        (
            {"intrinsics": Path("i.npy")},
            "KITTI has no second file, and i.npy was given for intrinsics. Leave intrinsics",
        ),
        ({"layout": "VHS"}, "There is no layout 'VHS'. Use one of: SceneMemory JSON, RealEstate10K"),
        ({"fps": 1e9}, "at 1e\\+09 frames a second it would have more than 1000000 frames"),
    ],
)
def test_a_wrong_setting_is_refused_in_these_words(put: Put, more: dict, words: str):
    file = put({"00.txt": SAMPLES["KITTI"](POSES, LENS)["00.txt"]})
    if "fps" in more and more["fps"] > 1:
        file = put(SAMPLES["RealEstate10K"](POSES, LENS))
    with pytest.raises(ValueError, match=words):
        read_trajectory(file, **more)


def test_a_camera_that_is_not_there_is_refused_with_those_that_are(put: Put):
    with pytest.raises(CameraFileError, match="frame 0: it has no camera 'cam99'. Use one of: cam01, cam02"):
        read_trajectory(put(SAMPLES["ReCamMaster"](POSES, LENS)), camera="cam99")
    with pytest.raises(CameraFileError, match="it has no camera 'Hero'. Use one of: CineCameraActor"):
        read_trajectory(put(SAMPLES["Context-as-Memory"](POSES, LENS)), camera="Hero")
    with pytest.raises(CameraFileError, match="no image of the camera '9'. Use one of these CAMERA_IDs: 3"):
        read_trajectory(put(SAMPLES["COLMAP"](POSES, LENS)), camera="9")


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path, put: Put):
    with pytest.raises(CameraFileError, match="gone.txt is no file. Choose a file with a camera path."):
        read_trajectory(tmp_path / "gone.txt")
    with pytest.raises(CameraFileError, match="is no file"):
        read_trajectory(tmp_path)
    with pytest.raises(CameraFileError, match="gone.npy is no file"):
        read_trajectory(put(SAMPLES["LingBot"](POSES, LENS)), intrinsics=tmp_path / "gone.npy")


def test_files_are_bounded_before_they_are_parsed(put: Put, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "MAX_BYTES", 500)
    with pytest.raises(CameraFileError, match="00.txt has more than 500 bytes, the most that is read"):
        read_trajectory(put(SAMPLES["KITTI"](POSES, LENS)))
    monkeypatch.setattr(source, "MAX_BYTES", 10**6)
    monkeypatch.setattr(source, "MAX_JSON_BYTES", 400)
    with pytest.raises(CameraFileError, match="it has more than 400 bytes of JSON"):
        read_trajectory(put(SAMPLES["MotionCtrl"](POSES, LENS)))
    monkeypatch.setattr(source, "MAX_JSON_BYTES", 10**6)
    monkeypatch.setattr(source, "MAX_PARSED_BYTES", 500)
    with pytest.raises(CameraFileError, match="its 72 values are more than 1000000 cameras can need"):
        read_trajectory(put(SAMPLES["MotionCtrl"](POSES, LENS)))


def test_a_gap_in_time_does_not_become_millions_of_frames(put: Put):
    rows = "0 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n9e8 0 0 0 0 0 0 1\n"
    with pytest.raises(CameraFileError, match="frames, at most 1000000 are read. Choose a lower fps, or cut the file"):
        read_trajectory(put({"a.txt": rows.encode()}), fps=24.0)

"""A file of no layout is refused with the reason of the layout that it comes nearest to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.dev.bench._camera_samples import SAMPLES, Files, known_cameras, npz
from scene_memory.memory.camera_files import LAYOUTS, CameraFileError, read_trajectory
from scene_memory.memory.camera_files.layouts import COLUMNS, NAMES, nearest
from scene_memory.memory.camera_files.source import Source

POSES, LENS = known_cameras(4)
Put = Callable[[Files], Path]


def as_json(value: Any) -> Files:
    return {"a.json": json.dumps(value).encode()}


def rows(count: int, title: str = "", separator: str = " ") -> Files:
    line = separator.join(["0.5"] * count)
    return {"a.txt": f"{title}\n{line}\n{line}\n{line}\n".encode()}


UNRECOGNISED: dict[str, tuple[Files, str, str]] = {
    "a title over TUM": (rows(8, "my own path, walked in June"), "TUM", "line 1: 6 values, expected 8 for TUM"),
    "no times": (rows(7), "TUM", "line 2: 7 values, expected 8 for TUM"),
    "a column too many": (rows(13), "KITTI", "line 2: 13 values, expected 12 for KITTI"),
    "a number short": (rows(18), "RealEstate10K", "18 values, expected 19 for RealEstate10K"),
    "columns of numbers first": (
        {"a.txt": b"".join(b"1 0 0 0 0 1 0 0 0 0 1 0 %d 5 6 1\n" % i for i in range(3))},
        "Replica",
        "line 1: the last row of the matrix is [0.0, 5.0, 6.0, 1.0]",
    ),
    "angles in a table": (
        rows(7, "t,x,y,z,roll,pitch,yaw", ","),
        "CSV",
        "names the columns of one place (x, y, z) and one quaternion (qx, qy, qz, qw). Write them over the columns",
    ),
    "keyframes without a path": (
        as_json({"keyframes": [{"matrix": "[]", "fov": 50}], "camera_path": [], "render_width": 8}),
        "nerfstudio camera path",
        'it has no list "camera_path". Save it with Render',
    ),
    "no matrices": (
        as_json({"camera_angle_x": 0.7, "frames": [{"file_path": "a.png"}]}),
        "nerfstudio",
        "frame 0: it has no 'transform_matrix'",
    ),
    "rotation as angles": (
        as_json([{"img_name": "a", "position": [0, 0, 0], "rotation": [0, 90, 0], "fx": 5}]),
        "3DGS",
        "camera 0: the rotation has 3 numbers, expected 3x3",
    ),
    "eleven numbers": (as_json([[1.0] * 11] * 3), "MotionCtrl", "frame 0: the matrix has 11 numbers, expected 12"),
    "another's arrays": ({"a.npz": npz(cam_c2w=POSES)}, "ViPE", "it has no array 'data', only cam_c2w"),
    "five numbers a camera": ({"a.npy": SAMPLES["LingBot"](np.ones((3, 5)), LENS)["poses.npy"]}, "LingBot", "(3, 5)"),
}


@pytest.mark.parametrize("case", UNRECOGNISED)
def test_the_reason_of_the_nearest_layout_is_told(put: Put, case: str):
    files, layout, words = UNRECOGNISED[case]
    file = put(files)
    with pytest.raises(CameraFileError) as refusal:
        read_trajectory(file)
    said = str(refusal.value)
    assert said.startswith(f"{file.name}: its layout is not recognised. It is most like {layout}, but ")
    assert words in said and said.endswith(".") and said.count(file.name) == 1 and len(said) < 500
    with pytest.raises(CameraFileError) as named:
        read_trajectory(file, layout=layout)
    assert words in str(named.value), "the same that choosing it by name tells"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (as_json({"nodes": [], "links": [], "version": 0.4}), "it is JSON with 'nodes', 'links', 'version'. It can be"),
        (as_json([1, 2, 3]), "it is JSON without names."),
        ({"a.txt": b"# only\n# words\n"}, "it is text with comments only."),
        ({"a.txt": b"\xd6sterreich \xff\xfe"}, "it is binary, and neither .npy, .npz nor a model of COLMAP."),
        (rows(3), "it is text like '0.5 0.5 0.5'."),
    ],
)
def test_a_file_like_none_is_described(put: Put, files: Files, words: str):
    with pytest.raises(CameraFileError) as refusal:
        read_trajectory(put(files))
    assert f"its layout is not recognised: {words}" in str(refusal.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_of_a_layout_is_nearest_to_that_layout(put: Put, name: str):
    """So that a file of it which is not recognised, for one thing or another, is told why."""
    source = Source(put(SAMPLES[name](POSES, LENS)))
    assert nearest(source) == name or name == "Spatia", "whose lines are no one JSON"
    assert set(NAMES) | set(COLUMNS) <= set(LAYOUTS)


def test_a_file_that_can_be_read_all_the_same_says_how(put: Put):
    """Cameras of three.js beside the name of nerfstudio's path: not taken for one in silence."""
    camera = {"position": [0, 1, 0], "target": [0, 0, -3], "fov": 50, "aspect": 1.5, "zoom": 1}
    file = put(as_json({"cameras": [camera], "camera_path": "a/b.json"}))
    with pytest.raises(CameraFileError, match="most like three.js, though not in all: choose that layout by name"):
        read_trajectory(file)
    assert len(read_trajectory(file, layout="three.js")) == 1

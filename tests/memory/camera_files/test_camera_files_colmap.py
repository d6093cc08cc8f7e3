"""COLMAP's models: the same cameras from text and from binary, and no image lost between the lines."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench._camera_samples import Files, colmap, colmap_rows, known_cameras
from scene_memory.memory.camera_files import CameraFileError, read_trajectory
from scene_memory.memory.camera_files.layouts import recognised
from scene_memory.memory.camera_files.source import Source

POSES, LENS = known_cameras(7)
Put = Callable[[Files], Path]
POINTS = "100.5 200.25 -1 0 0 1 318.75 12 44 7 8 9"


def text_of(names: Sequence[str], points: Sequence[str | None], comment: str = "") -> Files:
    """images.txt of the known cameras; ``points`` is the second line of each, None where there is none."""
    lines = [comment] if comment else []
    for index, (row, name) in enumerate(zip(colmap_rows(POSES), names, strict=True)):
        lines.append(f"{index + 1} {' '.join(map(repr, row))} 1 {name}")
        if points[index % len(points)] is not None:
            lines.append(str(points[index % len(points)]))
    return {"images.txt": ("\n".join(lines) + "\n").encode()}


def binary(model: int = 1, parameters: Sequence[float] = (520.0, 520.0, 416.0, 240.0), points: int = 2) -> Files:
    """The definition of COLMAP's own reader: number, then records without gaps, names that end in a zero."""
    images = struct.pack("<Q", len(POSES))
    for index, row in enumerate(colmap_rows(POSES)):
        images += struct.pack("<I", index + 1) + struct.pack("<7d", *row) + struct.pack("<I", 3)
        images += f"shot/pic {len(POSES) - index}é.png".encode() + b"\0" + struct.pack("<Q", points)
        images += struct.pack("<2dq", 1.5, 2.5, -1) * points
    cameras = struct.pack("<Q", 2) + struct.pack("<iiQQ3d", 9, 0, 100, 50, 40.0, 50.0, 25.0)
    cameras += struct.pack("<iiQQ", 3, model, 832, 480) + struct.pack(f"<{len(parameters)}d", *parameters)
    return {"images.bin": images, "cameras.bin": cameras}


DIGITS = [f"{i:06d}" for i in range(7)]
NAMES = {
    "pictures": [f"a{i}.png" for i in range(7)],
    "digits": DIGITS,
    "digits with a space": [f"{i} 0{i}" for i in range(7)],
    "two spaces": [f"{i} 2 3" for i in range(7)],
    "a word and digits": [f"shot {i}" for i in range(7)],
}


@pytest.mark.parametrize(
    "points", [[None], [""], [POINTS], ["", None], [POINTS, None, ""], ["1 2 3"], [" ".join([POINTS] * 5)]]
)
@pytest.mark.parametrize("names", NAMES)
def test_every_image_is_read_whatever_the_second_lines_and_the_names_are(
    put: Put, names: str, points: list[str | None]
):
    files = text_of(NAMES[names], points, "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME")
    path = read_trajectory(put(files))
    assert len(path) == 7 and np.abs(path.poses - POSES).max() < 1e-9


@pytest.mark.parametrize("points", [[None], [""], [POINTS]])
@pytest.mark.parametrize("names", ["pictures", "digits", "a word and digits"])
def test_it_is_recognised_without_its_comment(put: Put, names: str, points: list[str | None]):
    source = Source(put(text_of(NAMES[names], points)))
    assert recognised(source).name == "COLMAP" and len(read_trajectory(source.path)) == 7


def test_an_image_that_is_damaged_is_not_taken_for_points(put: Put):
    files = text_of(NAMES["pictures"], [None])
    lines = files["images.txt"].decode().splitlines()
    words = lines[2].split()
    for broken in (" ".join([*words[:4], "o.5", *words[5:]]), " ".join(words[:8] + words[9:])):
        text = "\n".join([*lines[:2], broken, *lines[3:]])
        with pytest.raises(CameraFileError, match="images.txt, line 3: "):
            read_trajectory(put({"images.txt": text.encode()}))


@pytest.mark.parametrize("points", [0, 3])
def test_binary_gives_what_the_text_gives(put: Put, points: int):
    path = read_trajectory(put(binary(points=points)))
    assert len(path) == 7 and np.abs(path.poses - POSES[::-1]).max() < 1e-12
    assert np.allclose(path.intrinsics, [0.625, 520 / 480, 0.5, 0.5]) and path.fps == 24.0
    names = [f"shot/pic {7 - i}é.png" for i in range(7)]
    text = text_of(names, [""])["images.txt"].replace(b" 1 shot", b" 3 shot")
    cameras = b"9 SIMPLE_PINHOLE 100 50 40 50 25\n3 PINHOLE 832 480 520.0 520.0 416.0 240.0\n"
    same = read_trajectory(put({"images.txt": text, "cameras.txt": cameras}))
    assert np.array_equal(same.poses, path.poses) and np.array_equal(same.intrinsics, path.intrinsics)
    assert len(read_trajectory(put(binary()), camera="3")) == 7
    with pytest.raises(CameraFileError, match="no image of the camera '9'. Use one of these CAMERA_IDs: 3"):
        read_trajectory(put(binary()), camera="9")


@pytest.mark.parametrize(
    ("model", "parameters", "lens"),
    [
        (0, [500, 400, 250], [500 / 832, 500 / 480, 400 / 832, 250 / 480]),
        (2, [500, 400, 250, 0.1], [500 / 832, 500 / 480, 400 / 832, 250 / 480]),
        (3, [500, 400, 250, 0.1, 0.2], [500 / 832, 500 / 480, 400 / 832, 250 / 480]),
        (4, [500, 510, 400, 250, 0.1, 0, 0, 0], [500 / 832, 510 / 480, 400 / 832, 250 / 480]),
        (6, [500, 510, 400, 250, *[0.0] * 8], [500 / 832, 510 / 480, 400 / 832, 250 / 480]),
    ],
)
def test_the_models_of_flat_cameras_are_known_by_number(
    put: Put, model: int, parameters: list[float], lens: list[float]
):
    assert np.allclose(read_trajectory(put(binary(model, parameters))).intrinsics, lens)


def test_fisheyes_and_unknown_models_are_refused_in_binary_too(put: Put):
    with pytest.raises(CameraFileError, match="cameras.bin, camera 2 of 2: .* OPENCV_FISHEYE is a fisheye.*Set fov"):
        read_trajectory(put(binary(5, [500, 500, 416, 240, 0, 0, 0, 0])))
    with pytest.raises(CameraFileError, match="the camera model 40 is not known. Write the model as text"):
        read_trajectory(put(binary(40, [])))


@pytest.mark.parametrize("file", ["images.bin", "cameras.bin"])
def test_binary_that_is_cut_off_anywhere_is_refused(put: Put, file: str):
    files = binary()
    for end in range(0, len(files[file]), 7):
        cut = {**files, file: files[file][:end]}
        with pytest.raises(CameraFileError, match=f"{file}[:, ]"):
            read_trajectory(put(cut), layout="COLMAP")
    with pytest.raises(CameraFileError, match="3 bytes follow after the last of its"):
        read_trajectory(put({**files, file: files[file] + b"abc"}))


def test_the_cameras_chosen_by_mistake_are_named(put: Put):
    files = binary()
    with pytest.raises(CameraFileError, match="cameras.bin: it holds the lens of COLMAP, not the path of the camera"):
        read_trajectory(put({"cameras.bin": files["cameras.bin"], "images.bin": files["images.bin"]}))


@pytest.mark.parametrize("inside", [".", "sparse/0", "sparse", "0"])
@pytest.mark.parametrize("make", [binary, lambda: colmap(POSES, LENS)], ids=["binary", "text"])
def test_the_folder_of_a_model_or_a_project_is_read(tmp_path: Path, make: Callable[[], Files], inside: str):
    folder = tmp_path / "project" / inside
    folder.mkdir(parents=True)
    for name, data in make().items():
        (folder / name).write_bytes(data)
    path = read_trajectory(tmp_path / "project")
    assert len(path) == 7 and np.allclose(path.intrinsics, [0.625, 520 / 480, 0.5, 0.5])
    with pytest.raises(CameraFileError, match="is no file"):
        read_trajectory(tmp_path)

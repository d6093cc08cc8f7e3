"""COLMAP text: images.txt, two lines an image, with cameras.txt beside it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .layout import Given, Layout, Recorded, Size
from .lens import from_pixels
from .natural import natural_order
from .numbers import is_number, numbers_of
from .poses import inverse, quaternion_poses
from .realestate10k import rate_line, stated_rate
from .source import MAX_POSES, Source, sibling

FOCAL_TWICE = {"PINHOLE", "OPENCV", "FULL_OPENCV"}
"""Camera models that begin fx fy cx cy; the others of `FOCAL_ONCE` begin f cx cy."""
FOCAL_ONCE = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}
WIDE = {"OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE",
        "FOV"}  # fmt: skip

_log = logging.getLogger(__name__)


def recognises(source: Source) -> bool:
    if not source.is_table:
        return False
    for line in source.lines:
        if line.lstrip().startswith("#"):
            if "IMAGE_ID" in line and "QW" in line:
                return True
        elif line.strip():
            return _is_image(line.split(None, 9))
    return False


def is_second(source: Source) -> bool:
    rows = [line.split() for line in source.lines if not line.startswith("#")] if source.is_table else []
    return any(len(row) > 6 and row[1] in FOCAL_TWICE | FOCAL_ONCE | WIDE for row in rows[:3])


def read(source: Source, given: Given) -> Recorded:
    rows, numbers = _image_lines(source)

    def where_in_file(index: int) -> str:
        return f"line {numbers[index]}"

    values = numbers_of(source, [row[:8] for row in rows], 8, "COLMAP's images", where_in_file)
    if given.camera:
        chosen = [index for index, row in enumerate(rows) if row[8] == given.camera]
        if not chosen:
            known = ", ".join(sorted({row[8] for row in rows})[:12])
            source.refuse(f"it has no image of the camera {given.camera!r}", f"Use one of these CAMERA_IDs: {known}")
    else:
        chosen = list(range(len(rows)))
    names = [rows[index][9] for index in chosen]
    order = [chosen[index] for index in natural_order(names)]

    def where(index: int) -> str:
        return where_in_file(order[index])

    values = values[order]
    poses = inverse(quaternion_poses(source, values[:, 5:8], values[:, (2, 3, 4, 1)], where))
    lenses = None
    if given.intrinsics is not None and not (given.fov and given.aspect):
        lenses = _lenses(given.intrinsics, [rows[index][8] for index in order], given)
    return Recorded(poses, lenses, fps=stated_rate(source.lines[0].split()), where=where)


def _image_lines(source: Source) -> tuple[list[list[str]], list[int]]:
    """The ten words of each image's line, and its number. The line after it, of points, may be empty or missing."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    points = False
    for number, line in enumerate(source.lines, 1):
        if line.startswith("#"):
            continue
        words = line.split(None, 9)
        if points and not _is_image(words):
            points = False
        elif words:
            if len(words) < 10:
                source.refuse(
                    f"{len(words)} values, expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME",
                    "Each image has two lines, of which the second may be empty",
                    f"line {number}",
                )
            rows.append([*words[:9], words[9].rstrip()])
            numbers.append(number)
            points = True
    if not rows:
        source.refuse("it has no images", "Choose images.txt of a model with images")
    if len(rows) > MAX_POSES:
        source.refuse(f"it has {len(rows)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    return rows, numbers


def _is_image(words: list[str]) -> bool:
    """Whether a line of up to ten words is an image's: points have numbers only, an image ends in a name."""
    return (
        len(words) == 10
        and words[0].isdigit()
        and words[8].isdigit()
        and all(map(is_number, words[1:8]))
        and not all(map(is_number, words[9].split()))
    )


def _lenses(source: Source, cameras: list[str], given: Given) -> FloatArray:
    """Normalised intrinsics (F, 4) for each image's CAMERA_ID from cameras.txt."""
    known: dict[str, FloatArray] = {}
    for number, line in enumerate(source.lines, 1):
        words = line.split()
        if words and not line.startswith("#"):
            known[words[0]] = _lens(source, words, f"line {number}", given)
    missing = next((camera for camera in cameras if camera not in known), None)
    if missing is not None:
        source.refuse(f"it has no camera {missing!r}, which an image uses", "Choose the cameras.txt of the same model")
    return np.stack([known[camera] for camera in cameras])


def _lens(source: Source, words: list[str], place: str, given: Given) -> FloatArray:
    """Normalised intrinsics (4,) of a line CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]. Distortion is left out."""
    model = words[1] if len(words) > 1 else ""
    if model in WIDE and not given.fov:
        source.refuse(f"the camera model {model} is a fisheye, which no flat picture has",
                      "Set fov, or undistort the pictures with `colmap image_undistorter`", place)  # fmt: skip
    if model not in FOCAL_TWICE | FOCAL_ONCE | WIDE:
        source.refuse(f"the camera model {model!r} is not known",
                      f"Use one of: {', '.join(sorted(FOCAL_TWICE | FOCAL_ONCE))}", place)  # fmt: skip
    once = model in FOCAL_ONCE or model.endswith("RADIAL_FISHEYE")
    least = 7 if once else 8
    if len(words) < least or not all(map(is_number, words[2:])):
        source.refuse(f"the camera is {' '.join(words)[:80]!r}, expected CAMERA_ID MODEL WIDTH HEIGHT and numbers",
                      "Export the cameras again", place)  # fmt: skip
    width, height, *numbers = map(float, words[2:])
    focal = [numbers[0], *numbers[:3]] if once else numbers[:4]
    if any(numbers[len(focal) - once :]):
        _log.info("%s, %s: lens distortion is left out.", source.name, place)
    (lens,) = from_pixels(source, np.array([focal]), lambda index: place, np.array([[width, height]]))
    return np.asarray(lens, dtype=np.float64)


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    width, height = size
    lenses, cameras = np.unique(trajectory.intrinsics * (width, height, width, height), axis=0, return_inverse=True)
    frames = len(trajectory)
    views = inverse(trajectory.poses)
    turns = Rotation.from_matrix(views[:, :3, :3]).as_quat(canonical=True)[:, (3, 0, 1, 2)]
    rows = np.concatenate([turns, views[:, :3, 3]], axis=1).tolist()
    images = [rate_line(trajectory.fps), "# Image list with two lines of data per image:",
              "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "#   POINTS2D[] as (X, Y, POINT3D_ID)",
              f"# Number of images: {frames}, mean observations per image: 0"]  # fmt: skip
    images += [
        f"{number} {' '.join(map(repr, row))} {camera + 1} frame_{number:06d}.png\n"
        for number, (row, camera) in enumerate(zip(rows, cameras.reshape(-1).tolist(), strict=True), 1)
    ]
    listed = ["# Camera list with one line of data per camera:", "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    listed += [f"{number} PINHOLE {width} {height} {' '.join(map(repr, lens))}"
               for number, lens in enumerate(lenses.tolist(), 1)]  # fmt: skip
    return {
        sibling(path, "images", "cameras"): "\n".join([*listed, ""]),
        sibling(path, "images", "points3D"): "# 3D point list: empty\n",
        path: "\n".join([*images, ""]),
    }


LAYOUT = Layout(
    "COLMAP",
    "images.txt of COLMAP, with cameras.txt beside it: for each picture a world-to-camera quaternion (w first) and "
    "translation, OpenCV axes, two lines each. Cameras go in the order of the pictures' names. Lens distortion is left "
    "out. It holds no times. Writing also makes cameras.txt and an empty points3D.txt.",
    recognises,
    read,
    write,
    intrinsics=("images", "cameras"),
    is_second=is_second,
    cameras=True,
)

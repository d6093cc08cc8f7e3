"""COLMAP: images.txt or images.bin, with cameras.txt or cameras.bin beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .colmap_model import begins_with_camera, begins_with_image, cameras, images
from .intrinsics import from_pixels
from .layout import Layout, ReadOptions, Recorded, Size
from .numbers import is_number, natural_order
from .poses import inverse, quaternion_poses
from .realestate10k import rate_line, stated_rate
from .source import Source, sibling

FOCAL_TWICE = {"PINHOLE", "OPENCV", "FULL_OPENCV"}
"""Camera models that begin fx fy cx cy; the others of `FOCAL_ONCE` begin f cx cy."""
FOCAL_ONCE = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"}
WIDE = {"OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE",
        "FOV"}  # fmt: skip


def read(source: Source, options: ReadOptions) -> Recorded:
    model = images(source)
    if options.camera:
        chosen = [index for index, camera in enumerate(model.cameras) if camera == options.camera]
        if not chosen:
            known = ", ".join(sorted(set(model.cameras))[:12])
            source.refuse(f"it has no image of the camera {options.camera!r}", f"Use one of these CAMERA_IDs: {known}")
    else:
        chosen = list(range(len(model.names)))
    order = [chosen[index] for index in natural_order([model.names[index] for index in chosen])]

    def where(index: int) -> str:
        return model.where(order[index])

    values = model.values[order]
    poses = inverse(quaternion_poses(source, values[:, 4:7], values[:, (1, 2, 3, 0)], where))
    intrinsics = None
    if options.intrinsics is not None and not (options.fov and options.aspect):
        intrinsics = _intrinsics(options.intrinsics, [model.cameras[index] for index in order], options)
    fps = stated_rate(source.beginning[0].split()) if source.is_text else 0.0
    return Recorded(poses, intrinsics, fps=fps, where=where)


def model_in(folder: Path) -> Path | None:
    """The file of images of the COLMAP model in ``folder``, in a project's sparse/0 too; None if there is none."""
    for inside in ("", "sparse/0", "sparse", "0"):
        for name in ("images.bin", "images.txt"):
            if (folder / inside / name).is_file():
                return folder / inside / name
    return None


def _intrinsics(source: Source, wanted: list[str], options: ReadOptions) -> FloatArray:
    """Normalised intrinsics (F, 4) for each image's CAMERA_ID from the file of cameras."""
    known: dict[str, FloatArray] = {}
    for camera in cameras(source):
        known[camera.words[0]] = _intrinsics_of_line(source, camera.words, camera.location, options)
    missing = next((camera for camera in wanted if camera not in known), None)
    if missing is not None:
        source.refuse(f"it has no camera {missing!r}, which an image uses",
                      "Choose the cameras file of the same model")  # fmt: skip
    return np.stack([known[camera] for camera in wanted])


def _intrinsics_of_line(source: Source, words: list[str], location: str, options: ReadOptions) -> FloatArray:
    """Normalised intrinsics (4,) of a line CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]. Distortion is left out."""
    model = words[1] if len(words) > 1 else ""
    if model in WIDE and not options.fov:
        source.refuse(f"the camera model {model} is a fisheye, which no flat picture has",
                      "Set fov, or undistort the pictures with `colmap image_undistorter`", location)  # fmt: skip
    if model not in FOCAL_TWICE | FOCAL_ONCE | WIDE:
        source.refuse(f"the camera model {model!r} is not known",
                      f"Use one of: {', '.join(sorted(FOCAL_TWICE | FOCAL_ONCE))}", location)  # fmt: skip
    once = model in FOCAL_ONCE or model.endswith("RADIAL_FISHEYE")
    least = 7 if once else 8
    if len(words) < least or not all(map(is_number, words[2:])):
        source.refuse(f"the camera is {' '.join(words)[:80]!r}, expected CAMERA_ID MODEL WIDTH HEIGHT and numbers",
                      "Export the cameras again", location)  # fmt: skip
    width, height, *numbers = map(float, words[2:])
    focal = [numbers[0], *numbers[:3]] if once else numbers[:4]
    if any(numbers[len(focal) - once :]):
        source.note("Its lens distortion is left out.")
    (intrinsics,) = from_pixels(source, np.array([focal]), lambda index: location, np.array([[width, height]]))
    return np.asarray(intrinsics, dtype=np.float64)


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    width, height = size
    distinct, which = np.unique(trajectory.intrinsics * (width, height, width, height), axis=0, return_inverse=True)
    frames = len(trajectory)
    views = inverse(trajectory.poses)
    turns = Rotation.from_matrix(views[:, :3, :3]).as_quat(canonical=True)[:, (3, 0, 1, 2)]
    rows = np.concatenate([turns, views[:, :3, 3]], axis=1).tolist()
    listing = [rate_line(trajectory.fps), "# Image list with two lines of data per image:",
              "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "#   POINTS2D[] as (X, Y, POINT3D_ID)",
              f"# Number of images: {frames}, mean observations per image: 0"]  # fmt: skip
    listing += [
        f"{number} {' '.join(map(repr, row))} {camera + 1} frame_{number:06d}.png\n"
        for number, (row, camera) in enumerate(zip(rows, which.reshape(-1).tolist(), strict=True), 1)
    ]
    listed = ["# Camera list with one line of data per camera:", "#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    listed += [f"{number} PINHOLE {width} {height} {' '.join(map(repr, intrinsics))}"
               for number, intrinsics in enumerate(distinct.tolist(), 1)]  # fmt: skip
    return {
        sibling(path, "images", "cameras"): "\n".join([*listed, ""]),
        sibling(path, "images", "points3D"): "# 3D point list: empty\n",
        path: "\n".join([*listing, ""]),
    }


LAYOUT = Layout(
    "COLMAP",
    "images.txt or images.bin of COLMAP, with cameras.txt or cameras.bin beside it: for each picture a world-to-camera "
    "quaternion (w first) and translation, OpenCV axes; in text two lines each. Cameras go in the order of the "
    "pictures' names. Lens distortion is left out. It holds no times. Writing makes images.txt, cameras.txt and an "
    "empty points3D.txt.",
    begins_with_image,
    read,
    write,
    intrinsics=("images", "cameras"),
    is_second=begins_with_camera,
    cameras=True,
)

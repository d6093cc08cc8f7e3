"""ViPE's results: pose/NAME.npz, with intrinsics/NAME.npz beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.interpolate import interpolate_intrinsics, interpolate_poses
from .intrinsics import from_pixels
from .layout import Layout, ReadOptions, Recorded
from .npy import npz_array, npz_shapes
from .poses import rigid_poses
from .source import MAX_POSES, Source

POSES, FRAMES = "data", "inds"


def recognises(source: Source) -> bool:
    shapes = npz_shapes(source)
    return FRAMES in shapes and shapes.get(POSES, ())[1:] in ((4, 4), (3, 4))


def is_second(source: Source) -> bool:
    shapes = npz_shapes(source)
    return FRAMES in shapes and len(shapes.get(POSES, ())) == 2


def read(source: Source, options: ReadOptions) -> Recorded:
    matrices = npz_array(source, POSES)
    if matrices.ndim != 3:
        source.refuse(f"its poses have the shape {matrices.shape}, expected frames x 4 x 4", "Choose the file of poses")
    frames = _frames(source, len(matrices))
    order = np.argsort(frames)
    frames = frames[order]

    def where(index: int) -> str:
        return f"frame {frames[index]}"

    poses = rigid_poses(source, matrices[order], where)
    intrinsics = None
    if options.intrinsics is not None and not (options.fov and options.aspect):
        intrinsics = _intrinsics(options.intrinsics, frames, options)
    if frames[-1] - frames[0] != len(frames) - 1:
        # Frames whose pose was lost: the camera went on between, so they get a pose again.
        at = np.arange(frames[0], frames[-1] + 1)
        poses = interpolate_poses(frames.astype(np.float64), poses, at.astype(np.float64))
        if intrinsics is not None:
            intrinsics = interpolate_intrinsics(frames.astype(np.float64), intrinsics, at.astype(np.float64))
        source.note(f"{len(at) - len(frames)} frames had no pose: they got one between their neighbours.")
        return Recorded(poses, intrinsics)
    return Recorded(poses, intrinsics, where=where)


def _frames(source: Source, count: int) -> NDArray[np.int64]:
    """The frame number of each pose (F,): whole, none twice, and not so far apart that the path has no end."""
    values = npz_array(source, FRAMES)
    if values.shape != (count,):
        source.refuse(f"its {FRAMES} have the shape {values.shape} for {count} poses", "Write a number for each pose")
    if count == 0:
        source.refuse("it has no cameras", "Choose a file with at least one")
    if not (np.abs(values) < 2**53).all() or (values != np.round(values)).any():
        source.refuse(f"its {FRAMES} are not all whole numbers", "Write the frame's number for each pose")
    frames: NDArray[np.int64] = values.astype(np.int64)
    if len(np.unique(frames)) != count:
        source.refuse(f"its {FRAMES} name a frame twice", "Write each frame once")
    if int(frames.max() - frames.min()) >= MAX_POSES:
        source.refuse(
            f"its {FRAMES} go from {frames.min()} to {frames.max()}, at most {MAX_POSES} frames are read",
            "Keep only those of the shot",
        )
    return frames


def _intrinsics(source: Source, frames: NDArray[np.int64], options: ReadOptions) -> FloatArray | None:
    """Normalised intrinsics (F, 4) of ``frames`` (F,) from fx fy cx cy in pixels; None for a fisheye given a fov."""
    values = npz_array(source, POSES)
    if values.ndim != 2 or not len(values) or values.shape[1] != 4:
        if options.fov:
            return None
        source.refuse(
            f"its shape is {values.shape}, expected fx fy cx cy for each frame: the camera is no flat picture's",
            "Set fov, or run ViPE with a pinhole camera",
        )
    known = _frames(source, len(values))
    order = np.argsort(known)
    found = np.minimum(np.searchsorted(known[order], frames), len(known) - 1)
    rows = order[found]
    missing = known[rows] != frames
    if missing.any() and len(values) > 1:
        source.refuse(
            f"it has no intrinsics of frame {frames[int(np.argmax(missing))]}",
            "Choose the intrinsics that belong to the poses",
        )
    return from_pixels(source, values[rows], lambda index: f"frame {frames[index]}")


LAYOUT = Layout(
    "ViPE",
    "pose/NAME.npz of ViPE, with intrinsics/NAME.npz beside it: camera-to-world matrices (data, OpenCV axes) with the "
    "numbers of their frames (inds), and fx fy cx cy in pixels. The picture's size is twice cx, cy, in whole pixels. "
    "Frames without a pose get one between their neighbours. It holds no times.",
    recognises,
    read,
    intrinsics=("pose", "intrinsics"),
    is_second=is_second,
)

"""The cameras of a clip as a model for many views sees them, brought into the scene and held against the pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.camera import FloatArray, clean_intrinsics
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from .camera_fit import between, misfit_of, similarity_of
from .measure_camera import FROM_CAMERAS, FROM_NOTHING, FROM_PLAN, MeasuredCamera, as_a_path
from .recognition import Remembered, Similarity
from .reconstruction import supported
from .tracks import follow

MOST_VIEWS = 24
"""Frames of a clip that the model is given at once; the others stand between them."""
OUTLIER = 10.0
"""Pixels, of a picture 832 wide, that points may be off: a model is not as exact as points that are followed."""
LEAST_AGREEING, LEAST_INLIERS = 0.5, 20
MOST_MISFIT = 5.0
"""Degrees that the cameras of remembered frames may be off after the fit."""

Estimate = Callable[[NDArray[np.uint8]], FloatArray]
"""Poses (n, 4, 4) of pictures (n, H, W, 3), in axes and a scale of its own."""


def measure_by_views(
    pictures: NDArray[np.uint8],
    estimate: Estimate,
    intrinsics: ArrayLike,
    planned: Trajectory | None = None,
    remembered: Remembered | None = None,
    fps: float = 16.0,
    each: Callable[[float], None] | None = None,
) -> MeasuredCamera:
    """Measures the camera of each of ``pictures`` (F, H, W, 3) uint8 RGB by an ``estimate`` of some of them at once.

    Frames that are ``remembered``, whose depth is not needed, are shown to it as well: where their cameras are known to
    stand says how the rest lies and how large it is. Else ``planned`` gives the first camera and the length of the way.
    A camera is sure where the points of its frame, followed through the clip, agree. ``each`` is called with the share
    that is done, and may raise to stop. The rest is as for ``measure_camera``.

    Raises ``ValueError`` for a planned path of another length, and for poses that are no cameras.
    """
    frames = len(pictures)
    if planned is not None and len(planned) != frames:
        raise ValueError(f"The clip has {frames} frames and the planned path {len(planned)}. Give the clip's own path.")
    intrinsics = clean_intrinsics(intrinsics, frames, "The clip")
    start = Trajectory(np.eye(4)[None].repeat(frames, axis=0), intrinsics, fps) if planned is None else planned
    keys = [int(key) for key in spread(frames, MOST_VIEWS)]
    views = pictures[keys]
    if remembered is not None:
        views = np.concatenate([views, _of_size(remembered.pictures, pictures.shape[1:3])])
    found = np.asarray(estimate(views), dtype=np.float64)
    if found.shape != (len(views), 4, 4) or not np.isfinite(found).all():
        raise ValueError("The model gave no cameras for these frames. Use Depth Anything 3 Small or Base.")
    if each is not None:
        each(0.5)
    loose, taken = "", FROM_NOTHING
    if remembered is not None:
        lies = similarity_of(found[len(keys) :], remembered.poses)
        degrees, _ = misfit_of(lies, found[len(keys) :], remembered.poses)
        if float(np.median(degrees)) > MOST_MISFIT:
            loose = "the model does not see the remembered frames where they were"
        taken = FROM_CAMERAS
    if remembered is None or loose or float(np.ptp(remembered.poses[:, :3, 3], axis=0).max()) < 1e-3:
        lies, taken = _as_planned(found[: len(keys)], start.poses[keys], planned is not None)
    laid = lies.poses(found[: len(keys), :3, :3], found[: len(keys), :3, 3])
    poses = between(keys, laid, frames)
    tracks, _ = follow(pictures, None if each is None else lambda done: each(0.5 + 0.5 * done / frames))
    inliers, held, wrong = supported(tracks, intrinsics, poses, OUTLIER)
    agrees = (inliers >= LEAST_INLIERS) & (held >= LEAST_AGREEING * (held + wrong))
    reasons = tuple(loose or ("" if good else "the points of the picture do not agree with it") for good in agrees)
    if each is not None:
        each(1.0)
    return MeasuredCamera(
        as_a_path(poses, intrinsics, start.fps), np.array([not why for why in reasons]), reasons, inliers,
        np.zeros((frames, 2)), taken, len(remembered.poses) if remembered is not None else 0, False,
    )  # fmt: skip


def _as_planned(found: FloatArray, planned: FloatArray, is_planned: bool) -> tuple[Similarity, str]:
    """Cameras (K, 4, 4) laid so that the first is where it was planned and the way is as long."""
    measured, wanted = (
        float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum()) for poses in (found, planned)
    )
    known = is_planned and measured > 1e-9 and wanted > 0.0
    scale = wanted / measured if known else 1.0
    turn = planned[0, :3, :3] @ found[0, :3, :3].T
    return Similarity(scale, turn, planned[0, :3, 3] - scale * turn @ found[0, :3, 3]), (
        FROM_PLAN if known else FROM_NOTHING
    )


def _of_size(pictures: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pictures (n, H, W, 3) of a size (height, width), as those that they are shown with."""
    if pictures.shape[1:3] == tuple(size):
        return pictures
    small = [cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack([np.asarray(picture, dtype=np.uint8) for picture in small])

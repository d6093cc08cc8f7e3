"""A smooth camera path through a few cameras, such as those that an artist has framed in a 3D view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from .angles import angles_of, rotations
from .camera import FloatArray, clean_intrinsics, clean_poses
from .pacing import progress
from .trajectory import Trajectory

BY_WAY, EVENLY = "by the way to go", "evenly"
TIMINGS = (BY_WAY, EVENLY)
"""How the time is shared out between the cameras: as far as the camera goes from one to the next, or the same."""


def path_through(
    poses: FloatArray,
    intrinsics: FloatArray,
    *,
    frames: int,
    fps: float,
    distances: Sequence[float] | None = None,
    closed: bool = False,
    timing: str = BY_WAY,
    easing: str = "smooth",
    speed: Sequence[float] = (),
    name: str = "",
) -> Trajectory:
    """A path of F = ``frames`` frames through cameras (K, 4, 4) with ``intrinsics`` (K, 4), the ends exact.

    Angles follow C2 splines, so level cameras make a level path, each turning the short way. With ``distances`` (K,) in
    scene units to what each camera looks at, that point and the distance follow splines: the path goes round what they
    look at. Without, the positions do. ``closed`` goes on to the first camera, as smoothly there as anywhere.

    Raises ``ValueError`` for cameras that are none, no frames, a timing that there is not, and distances that are not
    above 0.
    """
    keys = clean_poses(poses, "The cameras")
    key_intrinsics = clean_intrinsics(intrinsics, len(keys), "The cameras")
    if frames < 1:
        raise ValueError(f"The path through the cameras has {frames} frames: it needs at least 1. Use 81.")
    if timing not in TIMINGS:
        raise ValueError(f"There is no timing {timing!r}. Use one of: {', '.join(TIMINGS)}.")
    reach = np.zeros(len(keys)) if distances is None else np.asarray(distances, dtype=np.float64)
    if distances is not None and (reach.shape != (len(keys),) or not (np.isfinite(reach) & (reach > 0.0)).all()):
        raise ValueError(f"The distances of {len(keys)} cameras are {reach.tolist()}: give each one number above 0.")
    closed = closed and len(keys) > 1
    if closed:
        keys, key_intrinsics, reach = (np.concatenate([part, part[:1]]) for part in (keys, key_intrinsics, reach))
    seen = keys[:, :3, 3] + reach[:, None] * keys[:, :3, 2]
    # Ratios of distances and focal lengths are splined, so that both stay above 0.
    ratios = np.log(np.column_stack([np.where(reach > 0.0, reach, 1.0), key_intrinsics[:, :2]]))
    values = np.concatenate([seen, angles_of(keys[:, :3, :3], unwrapped=True), ratios, key_intrinsics[:, 2:]], axis=1)
    at = _moments(keys, reach, timing)
    share = progress(frames, easing, speed)
    made = values[np.zeros(frames, dtype=int)] if at[-1] == 0.0 else _splined(at, values, share * at[-1], closed)
    result = np.tile(np.eye(4), (frames, 1, 1))
    result[:, :3, :3] = rotations(made[:, 3], made[:, 4], made[:, 5])
    back = np.exp(made[:, 6:7]) if distances is not None else 0.0
    result[:, :3, 3] = made[:, :3] - back * result[:, :3, 2]
    made_intrinsics = np.concatenate([np.exp(made[:, 7:9]), made[:, 9:]], axis=1)
    if frames > 1:
        result[-1], made_intrinsics[-1] = keys[-1], key_intrinsics[-1]
    result[0], made_intrinsics[0] = keys[0], key_intrinsics[0]
    return Trajectory(result, made_intrinsics, fps, name)


def _moments(keys: FloatArray, reach: FloatArray, timing: str) -> FloatArray:
    """When the path is at each camera (K,), from 0; cameras in one position follow each other as others do."""
    if len(keys) == 1:
        return np.zeros(1)
    if timing == EVENLY:
        return np.arange(len(keys), dtype=np.float64)
    moved = np.linalg.norm(np.diff(keys[:, :3, 3], axis=0), axis=1)
    turns = keys[:, :3, :3]
    cosine = (np.einsum("kij,kij->k", turns[1:], turns[:-1]) - 1.0) / 2.0
    turned = np.arccos(np.clip(cosine, -1.0, 1.0))
    # A turn counts as the way that what is looked at moves past: at its distance, or at that of a usual leg.
    far = (reach[1:] + reach[:-1]) / 2.0 if reach.any() else np.full(len(turned), moved.mean() or 1.0)
    way = moved + far * turned
    if not way.any():
        return np.arange(len(keys), dtype=np.float64)
    # Cameras that are almost the same would bend the spline over: each leg takes at least a hundredth of the longest.
    return np.concatenate([[0.0], np.cumsum(np.maximum(way, way.max() / 100.0))])


def _splined(at: FloatArray, values: FloatArray, moments: FloatArray, closed: bool) -> FloatArray:
    if not closed:
        return np.asarray(CubicSpline(at, values, bc_type="natural")(moments), dtype=np.float64)
    # A whole turn ends 360 degrees on: the spline goes round without it, and it is added evenly.
    drift = np.outer(at / at[-1], values[-1] - values[0])
    level = values - drift
    level[-1] = level[0]
    made = CubicSpline(at, level, bc_type="periodic")(moments)
    return np.asarray(made + np.outer(moments / at[-1], values[-1] - values[0]), dtype=np.float64)

"""The camera path through keyframes: cubic splines in time, C2 except where the camera stops or turns a corner.

Position, angles and field of view are each one spline over the frame number. Angles are splined as the artist set
them, not as rotations, so a keyframe at 360 degrees is a whole turn and a pan stays level. ``web/editor/path.js`` works
out the same numbers in the browser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline

from .angles import rotations
from .camera import FloatArray, intrinsics_from_fov
from .keyframes import Keyframe
from .trajectory import Trajectory

CHANNELS = ("right", "up", "forward", "yaw", "pitch", "roll", "fov")
_AT_REST, _ON_ITS_WAY = "clamped", "natural"
"""What ``CubicSpline`` holds to at an end: a speed of 0, or no bend."""


def drawn_path(
    keyframes: Sequence[Keyframe], *, frames: int, fps: float, fov: float, aspect: float, name: str = "drawn"
) -> Trajectory:
    """The whole drawn path in ``frames`` frames, whatever the frame of the last keyframe is.

    ``fov`` in degrees serves the keyframes that have none of their own; ``aspect`` is width / height. The first frame
    is the first keyframe, exactly, and the last frame the last one. Raises ``ValueError`` if ``frames`` is below 1.
    """
    if frames < 1:
        raise ValueError(f"The drawn path has {frames} frames: it needs at least 1. Use 96.")
    values = sampled(keyframes, np.linspace(0.0, keyframes[-1].frame, frames), fov)
    poses = np.zeros((frames, 4, 4))
    poses[:, :3, :3] = rotations(values[:, 3], values[:, 4], values[:, 5])
    poses[:, 0, 3], poses[:, 1, 3], poses[:, 2, 3] = values[:, 0], -values[:, 1], values[:, 2]
    poses[:, 3, 3] = 1.0
    widths, which = np.unique(values[:, 6], return_inverse=True)
    intrinsics = np.array([intrinsics_from_fov(float(width), aspect) for width in widths])
    return Trajectory(poses, intrinsics[which.reshape(-1)], fps, name)


def sampled(keyframes: Sequence[Keyframe], at: FloatArray, fov: float) -> FloatArray:
    """Right, up, forward, yaw, pitch, roll and fov (n, 7) at the frames ``at`` (n,), held before and after the path."""
    times = np.array([one.frame for one in keyframes], dtype=np.float64)
    values = np.array([[fov if (v := getattr(one, name)) is None else v for name in CHANNELS] for one in keyframes])
    inside = np.clip(at, times[0], times[-1])
    result = np.repeat(values[:1], len(inside), axis=0)
    breaks = [0, *(i for i in range(1, len(times) - 1) if keyframes[i].kind != "through"), len(times) - 1]
    for first, last in zip(breaks[:-1], breaks[1:], strict=True):
        part = slice(first, last + 1)
        mine = (inside >= times[first]) & (inside <= times[last])
        if first < last and mine.any():
            ends = tuple(_AT_REST if keyframes[i].kind == "stop" else _ON_ITS_WAY for i in (first, last))
            result[mine] = CubicSpline(times[part], values[part], bc_type=ends)(inside[mine])
    hit = np.minimum(np.searchsorted(times, inside), len(times) - 1)
    exact = times[hit] == inside
    result[exact] = values[hit[exact]]
    # A zoom never overshoots the zooms that were set: past 180 degrees there is no lens.
    result[:, 6] = np.clip(result[:, 6], values[:, 6].min(), values[:, 6].max())
    return result

"""RealEstate10K text, as CameraCtrl, VideoX-Fun and AnimateDiff-Evolved read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .csv_table import named_columns
from .intrinsics import check_normalised
from .layout import Layout, ReadOptions, Recorded, Size
from .numbers import first_rows, is_number, is_numeric, number_table
from .poses import inverse, rigid_poses
from .source import Source
from .times import DEFAULT_FPS, among, found, in_order, seconds

COLUMNS = 19
_FRAMES = 8.0
"""A step from one camera to the next that is too short for a time, in milliseconds too: 125 cameras a second."""


def recognises(source: Source) -> bool:
    if not source.is_table or named_columns(source) is not None:
        return False
    rows = first_rows(source)
    if rows and not any(map(is_number, rows[0])):
        rows = rows[1:]
    return bool(rows) and is_numeric(rows[0], COLUMNS)


def read(source: Source, options: ReadOptions) -> Recorded:
    title = source.beginning[0].split()
    values, where = number_table(source, 0 if is_numeric(title, COLUMNS) else 1, COLUMNS, "RealEstate10K")
    stamps = values[:, 0]
    fps = stated_rate(title)
    if (stamps == stamps[0]).all():
        chosen, times, unit = found(source, values[:, 1:]), None, 0.0
    else:
        chosen = in_order(source, stamps, values[:, 1:], where)
        times, unit, fps = _times(source, stamps[chosen], fps, options)
    values, where = values[chosen], among(where, chosen)
    poses = inverse(rigid_poses(source, values[:, 7:].reshape(-1, 3, 4), where))
    return Recorded(poses, check_normalised(source, values[:, 1:5], where), times, unit, fps, where=where)


def _times(
    source: Source, stamps: FloatArray, fps: float, options: ReadOptions
) -> tuple[FloatArray | None, float, float]:
    """Seconds of rising ``stamps`` (F,), their rounding and the frame rate, 0 where the file does not say it.

    Whole numbers less than `_FRAMES` apart are numbers of frames, whose rate the file does not hold.
    """
    steps = np.diff(stamps)
    if len(steps) and float(np.median(steps)) < _FRAMES and (stamps == np.round(stamps)).all():
        rate = fps or options.fps or DEFAULT_FPS
        source.note(f"Its first column counts frames, not microseconds: they run at {rate:g} a second, set fps for "
                    "another rate.")  # fmt: skip
        return (None, 0.0, fps) if (steps == steps[0]).all() else ((stamps - stamps[0]) / rate, 0.0, rate)
    times, unit = seconds(source, stamps, "microseconds")
    return times, unit, fps


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    frames = len(trajectory)
    stamps = np.round(np.arange(frames) * (1e6 / trajectory.fps)).astype(np.int64).tolist()
    numbers = np.concatenate(
        [trajectory.intrinsics, np.zeros((frames, 2)), inverse(trajectory.poses)[:, :3].reshape(-1, 12)], axis=1
    ).tolist()
    lines = [f"{stamp} {' '.join(map(repr, row))}" for stamp, row in zip(stamps, numbers, strict=True)]
    return {path: "\n".join([rate_line(trajectory.fps), *lines, ""])}


def rate_line(fps: float) -> str:
    """The comment with which our text files keep the exact frame rate; other programs pass over it."""
    return f"# fps {fps!r}"


def stated_rate(words: list[str]) -> float:
    """The frame rate that a line of `rate_line` keeps, 0 for any other line."""
    if len(words) == 3 and words[:2] == ["#", "fps"] and is_number(words[2]):
        rate = float(words[2])
        return rate if 0.0 < rate < 1e6 else 0.0
    return 0.0


LAYOUT = Layout(
    "RealEstate10K",
    "Text of RealEstate10K, CameraCtrl, VideoX-Fun and AnimateDiff-Evolved: a first line that is passed over, then 19 "
    "numbers for each frame: time in microseconds, fx fy cx cy divided by width and height, 0 0, and the "
    "world-to-camera matrix (3x4, row by row, OpenCV axes).",
    recognises,
    read,
    write,
)

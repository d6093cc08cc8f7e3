"""TUM: a time, a position and a quaternion a line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .csv_table import named_columns
from .layout import Layout, ReadOptions, Recorded, Size
from .numbers import first_rows, is_numeric, number_table
from .poses import quaternion_poses
from .realestate10k import rate_line, stated_rate
from .source import Source
from .times import among, timed

COLUMNS = 8
_NAMES = re.compile(r"[\s,;]+|\[[^\]]*\]|\([^)]*\)")
_LETTER = re.compile(r"(?:q|quat|quaternion|rot|rotation|orientation|q_?rs)?[_.]?([wxyz])")
_TICK = 1e-4
"""Seconds: recordings of TUM write four decimals."""


def recognises(source: Source) -> bool:
    return source.is_table and _all_have(source, COLUMNS) and named_columns(source) is None


def read(source: Source, options: ReadOptions) -> Recorded:
    values, where = number_table(source, 0, COLUMNS, "TUM")
    order = _order(source)
    chosen, times, unit = timed(source, values[:, 0], values[:, 1:], "seconds", where)
    where = among(where, chosen)
    turns = values[chosen][:, order]
    poses = quaternion_poses(source, values[chosen, 1:4], turns, where)
    fps = stated_rate(source.beginning[0].split())
    _note_doubts(source, times / unit, turns, fps)
    return Recorded(poses, None, times, _TICK if unit == 1.0 else unit, fps, where=where)


def _note_doubts(source: Source, stamps: FloatArray, turns: FloatArray, fps: float) -> None:
    """Notes what the layout allows, yet other programs write where they mean something else."""
    if not fps and len(stamps) > 2 and (np.diff(stamps) == 1.0).all():
        source.note("Its times are taken as whole seconds, one camera a second. If they count frames, divide them by "
                    "the frames a second.")  # fmt: skip
    if np.abs(turns[0] - (1.0, 0.0, 0.0, 0.0)).max() < 1e-3:
        source.note("Its first quaternion is 1 0 0 0, which is half a turn where w is last. If it means no turn, w is "
                    "first: write qw qx qy qz in a comment above the columns.")  # fmt: skip


def _order(source: Source) -> list[int]:
    """The columns of the quaternion as x y z w: w is the last, unless a comment before the rows names another order."""
    for line in source.beginning:
        if line.strip() and not line.lstrip().startswith("#"):
            break
        names = [word for word in _NAMES.split(line.strip().lstrip("#% ").lower()) if word]
        letters = [match[1] for match in map(_LETTER.fullmatch, names[-4:]) if match]
        if sorted(letters) == list("wxyz") and letters != list("xyzw"):
            source.note(f"Its quaternions are read in the order that its first lines name: {' '.join(letters)}.")
            return [4 + letters.index(letter) for letter in "xyzw"]
    return [4, 5, 6, 7]


def write(trajectory: Trajectory, path: Path, size: Size) -> dict[Path, str]:
    times = np.arange(len(trajectory)) / trajectory.fps
    turns = Rotation.from_matrix(trajectory.poses[:, :3, :3]).as_quat(canonical=True)
    rows = np.concatenate([times[:, None], trajectory.poses[:, :3, 3], turns], axis=1).tolist()
    head = [rate_line(trajectory.fps), "# timestamp tx ty tz qx qy qz qw"]
    return {path: "\n".join([*head, *(" ".join(map(repr, row)) for row in rows), ""])}


def _all_have(source: Source, columns: int) -> bool:
    rows = first_rows(source)
    return bool(rows) and all(is_numeric(row, columns) for row in rows)


LAYOUT = Layout(
    "TUM",
    "Text of the TUM RGB-D benchmark, ORB-SLAM and evo: a line `timestamp tx ty tz qx qy qz qw` for each camera, "
    "seconds, camera-to-world, quaternion with w last, OpenCV axes. It holds no lens. Uneven times are made even.",
    recognises,
    read,
    write,
)

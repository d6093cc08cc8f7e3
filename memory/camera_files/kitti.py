"""KITTI odometry: a 3x4 matrix a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layout import Layout, ReadOptions, Recorded
from .numbers import first_rows, is_numeric, number_table
from .poses import rigid_poses
from .source import Source

COLUMNS = 12
_NEAR = 0.05
"""How far from 1 the rows of a matrix may be for it to be recognised; `rigid_poses` is stricter, and says why."""


def recognises(source: Source) -> bool:
    rows = first_rows(source) if source.is_table else []
    return bool(rows) and all(is_numeric(row, COLUMNS) for row in rows) and looks_rigid(rows[0])


def looks_rigid(row: Sequence[str]) -> bool:
    """Whether the first numbers of a line can be three rows of a rotation, each with a coordinate after it."""
    turn = np.array(row[:12], dtype=np.float64).reshape(3, 4)[:, :3]
    return bool(np.abs(np.linalg.norm(turn, axis=1) - 1.0).max() <= _NEAR)


def read(source: Source, options: ReadOptions) -> Recorded:
    values, where = number_table(source, 0, COLUMNS, "KITTI")
    return Recorded(rigid_poses(source, values.reshape(-1, 3, 4), where), where=where)


LAYOUT = Layout(
    "KITTI",
    "Text of KITTI odometry and evo: 12 numbers a line, the camera-to-world matrix (3x4, row by row, OpenCV axes). It "
    "holds neither times nor a lens.",
    recognises,
    read,
)

"""KITTI odometry: a 3x4 matrix a line."""

from __future__ import annotations

from .layout import Given, Layout, Recorded
from .numbers import first_rows, is_numeric, number_table
from .poses import rigid_poses
from .source import Source

COLUMNS = 12


def recognises(source: Source) -> bool:
    rows = list(first_rows(source)) if source.is_table else []
    return bool(rows) and all(is_numeric(row, COLUMNS) for row in rows)


def read(source: Source, given: Given) -> Recorded:
    values, where = number_table(source, 0, COLUMNS, "KITTI")
    return Recorded(rigid_poses(source, values.reshape(-1, 3, 4), where), where=where)


LAYOUT = Layout(
    "KITTI",
    "Text of KITTI odometry and evo: 12 numbers a line, the camera-to-world matrix (3x4, row by row, OpenCV axes). It "
    "holds neither times nor a lens.",
    recognises,
    read,
)

"""traj.txt of Replica: a 4x4 matrix a line."""

from __future__ import annotations

from collections.abc import Sequence

from .kitti import looks_rigid
from .layout import Layout, ReadOptions, Recorded
from .numbers import first_rows, is_numeric, number_table
from .poses import rigid_poses
from .source import Source

COLUMNS = 16
_LAST = (0.0, 0.0, 0.0, 1.0)
_NEAR = 1e-6
"""How far the last row may be from it, as in `rigid_poses`."""


def recognises(source: Source) -> bool:
    rows = first_rows(source) if source.is_table else []
    return bool(rows) and all(is_numeric(row, COLUMNS) and _ends(row) for row in rows) and looks_rigid(rows[0])


def _ends(row: Sequence[str]) -> bool:
    return all(abs(float(word) - value) <= _NEAR for word, value in zip(row[12:], _LAST, strict=True))


def read(source: Source, options: ReadOptions) -> Recorded:
    values, where = number_table(source, 0, COLUMNS, "Replica")
    return Recorded(rigid_poses(source, values.reshape(-1, 4, 4), where), where=where)


LAYOUT = Layout(
    "Replica",
    "Text of Replica, NICE-SLAM and others (traj.txt): 16 numbers a line, the camera-to-world matrix (4x4, row by row, "
    "OpenCV axes), whose last row is 0 0 0 1. It holds neither times nor a lens.",
    recognises,
    read,
)

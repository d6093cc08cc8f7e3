"""MotionCtrl JSON: a list of 3x4 matrices, 12 numbers each."""

from __future__ import annotations

from .layout import Layout, ReadOptions, Recorded
from .numbers import json_array
from .poses import frame, inverse, rigid_poses
from .source import Source


def recognises(source: Source) -> bool:
    if not source.is_json or not isinstance(source.document, list) or not source.document:
        return False
    first = source.document[0]
    return isinstance(first, list) and len(first) == 12 and not any(isinstance(value, list) for value in first)


def read(source: Source, options: ReadOptions) -> Recorded:
    rows = json_array(source, source.document, (12,), "the matrix", frame)
    return Recorded(inverse(rigid_poses(source, rows.reshape(-1, 3, 4))))


LAYOUT = Layout(
    "MotionCtrl",
    "JSON of MotionCtrl: a list with 12 numbers for each frame, the world-to-camera matrix (3x4, row by row, OpenCV "
    "axes). It holds neither times nor a lens.",
    recognises,
    read,
)

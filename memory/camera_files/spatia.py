"""Spatia: w2c.txt, a JSON matrix a line, with intrinsics.txt beside it."""

from __future__ import annotations

import numpy as np

from ..cameras.camera import FloatArray
from .intrinsics import check_normalised
from .layout import Layout, ReadOptions, Recorded
from .numbers import is_number, json_array, number_lines, numbers_of
from .poses import inverse, rigid_poses
from .source import Source

_LONGEST = 2000
"""Characters of a line with one matrix; a longer one is a whole JSON file."""


def recognises(source: Source) -> bool:
    if not source.starts_as_json:
        return False
    first = next(iter(source.first_rows), "")
    if len(first) > _LONGEST:
        return False
    try:
        matrix = source.parse_json(first)
    except ValueError:
        return False
    if not isinstance(matrix, list) or len(matrix) not in (3, 4):
        return False
    return all(isinstance(row, list) and len(row) == 4 for row in matrix)


def is_second(source: Source) -> bool:
    small = source.is_text and len(source.data) < _LONGEST
    words = source.text.replace("[", " ").replace("]", " ").replace(",", " ").split() if small else []
    return len(words) == 4 and all(map(is_number, words))


def read(source: Source, options: ReadOptions) -> Recorded:
    lines, where = number_lines(source)
    try:
        matrices = source.parse_json("[" + ",".join(lines) + "]")
    except ValueError:
        for index, line in enumerate(lines):
            try:
                source.parse_json(line)
            except ValueError as error:
                source.refuse(f"the matrix is no JSON ({error})", "Write one matrix a line", where(index))
        source.refuse("its lines are matrices, but not all together", "Export the file again")
    rows = len(matrices[0]) if isinstance(matrices, list) and isinstance(matrices[0], list) else 4
    values = json_array(source, matrices, (3 if rows == 3 else 4, 4), "the matrix", where)
    poses = inverse(rigid_poses(source, values, where))
    intrinsics = None if options.intrinsics is None else _intrinsics(options.intrinsics, len(poses))
    return Recorded(poses, intrinsics, where=where)


def _intrinsics(source: Source, frames: int) -> FloatArray:
    """Normalised intrinsics (F, 4) from one line `[fx fy cx cy]` for all frames, or one for each."""
    lines, where = number_lines(source)
    words = [line.replace("[", " ").replace("]", " ").replace(",", " ").split() for line in lines]
    values = check_normalised(source, numbers_of(source, words, 4, "Spatia's intrinsics", where), where)
    if len(values) not in (1, frames):
        source.refuse(f"{len(values)} intrinsics for {frames} cameras", "Write one line, or one for each camera")
    return np.broadcast_to(values, (frames, 4))


LAYOUT = Layout(
    "Spatia",
    "w2c.txt of Spatia: a world-to-camera matrix a line as JSON (3x4 or 4x4, OpenCV axes), and beside it "
    "intrinsics.txt: [fx fy cx cy] divided by width and height. It holds no times.",
    recognises,
    read,
    intrinsics=("w2c", "intrinsics"),
    is_second=is_second,
)

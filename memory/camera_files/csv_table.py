"""Tables that name their columns: EuRoC's ground truth, and what spreadsheets and scripts export."""

from __future__ import annotations

import csv

import numpy as np

from ..cameras.camera import FloatArray
from .columns import Columns, named_columns
from .layout import Given, Layout, Recorded
from .lens import DEFAULT_ASPECT, check_normalised, from_pixels
from .numbers import number_lines, numbers_of
from .poses import Where, quaternion_poses
from .source import Source
from .times import among, found, timed

_LARGEST_NORMALISED = 10.0
"""A cx above it is in pixels, as in `lens.check_normalised`."""
_EUROC = "p_RS_R"
"""How EuRoC's ground truth names a place: that of the body and its sensors."""
_TIME = 7
"""Where the time is among the columns that are taken: behind the place and the quaternion."""
_TICK = 1e-4
"""Of its unit: to which times that are no whole numbers are rounded."""


def recognises(source: Source) -> bool:
    return named_columns(source) is not None


def read(source: Source, given: Given) -> Recorded:
    columns = named_columns(source)
    if columns is None:
        source.refuse(
            "no line before its numbers names the columns of one place (x, y, z) and one quaternion (qx, qy, qz, qw)",
            "Write them over the columns, between commas, or choose another layout",
        )
    lines, where = number_lines(source, columns.line)
    wanted = [*columns.place, *columns.turn, *([columns.time] if columns.time >= 0 else []), *columns.lens.values()]
    values = _table(source, columns, lines, wanted, where)
    euroc = columns.names[columns.place[0]].startswith(_EUROC)
    if euroc:
        source.tell("Its poses are those of the body that carries the camera, not turned to the camera.")
    times, tick = None, 0.0
    if columns.time >= 0 and len(values) > 1:
        whole = bool((values[:, _TIME] == np.round(values[:, _TIME])).all())
        unit = columns.unit or ("nanoseconds" if euroc else "seconds")
        chosen, times, tick = timed(source, values[:, _TIME], values, unit, where)
        tick *= 1.0 if whole else _TICK
    else:
        chosen = found(source, values)
    values, where = values[chosen], among(where, chosen)
    poses = quaternion_poses(source, values[:, :3], values[:, 3:7], where)
    behind = _TIME + (columns.time >= 0)
    lens = {name: values[:, behind + index] for index, name in enumerate(columns.lens)}
    lenses = None if given.fov and given.aspect else _lenses(source, lens, given, where)
    return Recorded(poses, lenses, times, tick, where=where)


def _table(source: Source, columns: Columns, lines: list[str], wanted: list[int], where: Where) -> FloatArray:
    """The ``wanted`` columns (F, n) of the rows as numbers; between semicolons a comma may be a decimal point."""
    rows: list[list[str]] = []
    try:
        split = csv.reader(lines, delimiter=columns.separator, skipinitialspace=True) if columns.separator else None
        for index, words in enumerate(split or map(str.split, lines)):
            if len(words) <= max(wanted):
                source.refuse(
                    f"{len(words)} values, expected {len(columns.names)} as the columns are named",
                    "Complete that camera or leave it out",
                    where(index),
                )
            rows.append([words[column].strip() or "nan" for column in wanted])
    except csv.Error as error:
        source.refuse(f"its rows cannot be told apart: {error}", "Export the table again", where(len(rows)))
    if columns.separator == ";":
        rows = [[word.replace(",", ".") for word in row] for row in rows]
    return numbers_of(source, rows, len(wanted), "CSV", where)


def _lenses(source: Source, lens: dict[str, FloatArray], given: Given, where: Where) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from the columns of a lens; None if there are none."""
    if given.fov or not lens:
        return None
    sized = "width" in lens and "height" in lens
    size = np.stack([lens["width"], lens["height"]], axis=1) if sized else None
    if "fx" in lens:
        middle = [lens.get("cx"), lens.get("cy")]
        if size is not None:
            middle = [own if own is not None else size[:, axis] / 2.0 for axis, own in enumerate(middle)]
        if middle[0] is None or middle[1] is None:
            source.refuse("it has fx, but neither cx cy nor width height", "Add the picture's width and height")
        pixels = np.stack([lens["fx"], lens.get("fy", lens["fx"]), middle[0], middle[1]], axis=1)
        if size is None and bool((np.abs(pixels[:, 2:]) <= _LARGEST_NORMALISED).all()):
            return check_normalised(source, pixels, where)
        return from_pixels(source, pixels, where, size)
    if "hfov" not in lens and "vfov" not in lens:
        if "fov" not in lens:
            return None
        source.refuse("its column fov does not say whether it is horizontal or vertical",
                      "Name it hfov or vfov, or set fov")  # fmt: skip
    angle = lens["hfov"] if "hfov" in lens else lens["vfov"]
    wrong = ~((angle > 3.2) & (angle < 180.0))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(f"the field of view is {angle[index]:g}, expected degrees below 180",
                      "Write it in degrees, or set fov", where(index))  # fmt: skip
    shape = size[:, 0] / size[:, 1] if size is not None else np.full(len(angle), given.aspect or DEFAULT_ASPECT)
    focal = 0.5 / np.tan(np.radians(angle) / 2.0)
    wide, high = (focal, focal * shape) if "hfov" in lens else (focal / shape, focal)
    half = np.full(len(angle), 0.5)
    return np.stack([wide, high, half, half], axis=1)


LAYOUT = Layout(
    "CSV",
    "A table whose first line names its columns, between commas, semicolons, tabs or spaces: EuRoC's ground truth "
    "(data.csv), rostopic's, and other programs'. It needs x y z and qx qy qz qw, in any order; time, its unit and a "
    "lens are taken where they are named. The poses are taken as camera-to-world with OpenCV axes; those of EuRoC are "
    "of the body that carries the camera.",
    recognises,
    read,
)

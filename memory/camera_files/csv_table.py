"""Tables that name their columns: EuRoC's ground truth, and what spreadsheets and scripts export.

Which of the columns are a time, a position, a quaternion and intrinsics is read off their names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..cameras.camera import FloatArray
from .intrinsics import DEFAULT_ASPECT, check_normalised, from_pixels
from .layout import Layout, ReadOptions, Recorded
from .numbers import is_number, number_lines, numbers_of
from .poses import Where, quaternion_poses
from .source import Source
from .times import UNITS, among, found, timed

_LOOKED_AT = 20
"""Lines that may stand before the one that names the columns."""
_LONGEST = 10_000
"""Characters of a line that names columns."""
_FEWEST = 7
"""Columns of a position and a quaternion."""
_SEPARATORS = (",", ";", "\t")
_UNITS = {"ns": "nanoseconds", "nsec": "nanoseconds", "us": "microseconds", "usec": "microseconds",
          "ms": "milliseconds", "msec": "milliseconds", "s": "seconds", "sec": "seconds", "secs": "seconds",
          **{name: name for name in UNITS}}  # fmt: skip
_POSITION = re.compile(r"(.*(?:pos|position|trans|translation|loc|location)|p|t|p_?rs_?r|cam|camera|)[_. ]*([xyz])")
_TURN = re.compile(r"(.*(?:quat|quaternion|orientation|rotation|rot)|q|q_?rs)[_. ]*([wxyz])")
_TIME = re.compile(r"(?:.*header[_. ]*)?(?:time[_. ]*stamps?|times?|stamps?|t|ts)")
_INTRINSICS = {name: name for name in ("hfov", "vfov", "fov", "fx", "fy", "cx", "cy", "width", "height")}
_INTRINSICS |= {"fovx": "hfov", "fovh": "hfov", "fovy": "vfov", "fovv": "vfov"}


@dataclass(frozen=True)
class Columns:
    """Where a table has what: indices of columns from 0, and what separates them.

    ``separator`` is "" for spaces. ``line`` is the index of the first row. ``position`` x y z, ``turn`` x y z w,
    ``time`` -1 if there is none, ``unit`` its name in `UNITS`, or "". ``intrinsics`` by the names in `_INTRINSICS`.
    """

    separator: str
    line: int
    position: tuple[int, ...]
    turn: tuple[int, ...]
    time: int
    unit: str
    intrinsics: dict[str, int]
    names: tuple[str, ...]


def named_columns(source: Source) -> Columns | None:
    """The columns of a table whose line before the first row names a position and a quaternion; None for any other."""
    for separator, line, names in headers(source):
        plain = [_plain(name) for name in names]
        positions, turns = _groups(plain, _POSITION, "xyz"), _groups(plain, _TURN, "xyzw")
        if len(positions) == len(turns) == 1 and _row_length(source, separator, line) > max(positions[0] + turns[0]):
            time, unit = _time(names, plain)
            short = [re.sub(r"[^a-z]", "", name) for name in plain]
            intrinsics = {_INTRINSICS[name]: index for index, name in enumerate(short) if name in _INTRINSICS}
            return Columns(separator, line, positions[0], turns[0], time, unit, intrinsics, tuple(names))
    return None


def headers(source: Source) -> Iterator[tuple[str, int, list[str]]]:
    """Lines before the first row that may name columns: the separator ("" for spaces), the next line's index, names."""
    for index, line in enumerate(source.beginning[:_LOOKED_AT] if source.is_table else []):
        if len(line) > _LONGEST:
            return
        text = line.strip().lstrip("#% ")
        separator = next((mark for mark in _SEPARATORS if mark in text), "")
        names = [name.strip(" \"'") for name in text.split(separator or None)]
        words = [name for name in names if not is_number(name)]
        if text and len(words) < len(names):
            return
        # A comment between spaces is prose, or TUM's own, which has its own order.
        if len(words) >= _FEWEST and (separator or not line.lstrip().startswith("#")):
            yield separator, index + 1, names


def _row_length(source: Source, separator: str, line: int) -> int:
    """How many columns the first row has, from line index ``line``; COLMAP names its own between commas it has not."""
    begin = next(source.row_begins(line), None)
    return 0 if begin is None else len(source.line_at(begin).split(separator or None))


def _plain(name: str) -> str:
    """A column's name without its unit, in small letters."""
    return re.sub(r"[\[(].*?[\])]", "", name).strip().lower()


def _groups(names: Sequence[str], pattern: re.Pattern[str], letters: str) -> list[tuple[int, ...]]:
    """The columns that have all ``letters`` behind the same beginning: one tuple for each beginning that has."""
    groups: dict[str, dict[str, int]] = {}
    for index, name in enumerate(names):
        match = pattern.fullmatch(name)
        if match:
            groups.setdefault(match[1], {}).setdefault(match[2], index)
    return [tuple(group[letter] for letter in letters) for group in groups.values() if len(group) == len(letters)]


def _time(names: Sequence[str], plain: Sequence[str]) -> tuple[int, str]:
    """The column of times, -1 if there is none, and the name of its unit, "" if it is not said."""
    for index, name in enumerate(plain):
        bracket = re.search(r"[\[(]\s*([a-z]+)\s*[\])]", names[index].lower())
        if _TIME.fullmatch(name):
            return index, _UNITS.get(bracket[1], "") if bracket else ""
        before, _, unit = name.replace(" ", "_").rpartition("_")
        if unit in _UNITS and (not before or _TIME.fullmatch(before)) and (before or len(unit) > 2):
            return index, _UNITS[unit]
    return -1, ""


_LARGEST_NORMALISED = 10.0
"""A cx above it is in pixels, as in `intrinsics.check_normalised`."""
_EUROC = "p_RS_R"
"""How EuRoC's ground truth names a position: that of the body and its sensors."""
_TIME_COLUMN = 7
"""Where the time is among the columns that are taken: behind the position and the quaternion."""
_TICK = 1e-4
"""Of its unit: to which times that are no whole numbers are rounded."""


def recognises(source: Source) -> bool:
    return named_columns(source) is not None


def read(source: Source, options: ReadOptions) -> Recorded:
    columns = named_columns(source)
    if columns is None:
        source.refuse(
            "no line before its numbers names the columns of one place (x, y, z) and one quaternion (qx, qy, qz, qw)",
            "Write them over the columns, between commas, or choose another layout",
        )
    lines, where = number_lines(source, columns.line)
    time = [columns.time] if columns.time >= 0 else []
    wanted = [*columns.position, *columns.turn, *time, *columns.intrinsics.values()]
    values = _table(source, columns, lines, wanted, where)
    euroc = columns.names[columns.position[0]].startswith(_EUROC)
    if euroc:
        source.note("Its poses are those of the body that carries the camera, not turned to the camera.")
    times, tick = None, 0.0
    if columns.time >= 0 and len(values) > 1:
        whole = bool((values[:, _TIME_COLUMN] == np.round(values[:, _TIME_COLUMN])).all())
        unit = columns.unit or ("nanoseconds" if euroc else "seconds")
        chosen, times, tick = timed(source, values[:, _TIME_COLUMN], values, unit, where)
        tick *= 1.0 if whole else _TICK
    else:
        chosen = found(source, values)
    values, where = values[chosen], among(where, chosen)
    poses = quaternion_poses(source, values[:, :3], values[:, 3:7], where)
    behind = _TIME_COLUMN + (columns.time >= 0)
    said = {name: values[:, behind + index] for index, name in enumerate(columns.intrinsics)}
    intrinsics = None if options.fov and options.aspect else _intrinsics(source, said, options, where)
    return Recorded(poses, intrinsics, times, tick, where=where)


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


def _intrinsics(source: Source, said: dict[str, FloatArray], options: ReadOptions, where: Where) -> FloatArray | None:
    """Normalised intrinsics (F, 4) from the columns that say something of them; None if there are none."""
    if options.fov or not said:
        return None
    sized = "width" in said and "height" in said
    size = np.stack([said["width"], said["height"]], axis=1) if sized else None
    if "fx" in said:
        middle = [said.get("cx"), said.get("cy")]
        if size is not None:
            middle = [own if own is not None else size[:, axis] / 2.0 for axis, own in enumerate(middle)]
        if middle[0] is None or middle[1] is None:
            source.refuse("it has fx, but neither cx cy nor width height", "Add the picture's width and height")
        pixels = np.stack([said["fx"], said.get("fy", said["fx"]), middle[0], middle[1]], axis=1)
        if size is None and bool((np.abs(pixels[:, 2:]) <= _LARGEST_NORMALISED).all()):
            return check_normalised(source, pixels, where)
        return from_pixels(source, pixels, where, size)
    if "hfov" not in said and "vfov" not in said:
        if "fov" not in said:
            return None
        source.refuse("its column fov does not say whether it is horizontal or vertical",
                      "Name it hfov or vfov, or set fov")  # fmt: skip
    angle = said["hfov"] if "hfov" in said else said["vfov"]
    wrong = ~((angle > 3.2) & (angle < 180.0))
    if wrong.any():
        index = int(np.argmax(wrong))
        source.refuse(f"the field of view is {angle[index]:g}, expected degrees below 180",
                      "Write it in degrees, or set fov", where(index))  # fmt: skip
    shape = size[:, 0] / size[:, 1] if size is not None else np.full(len(angle), options.aspect or DEFAULT_ASPECT)
    focal = 0.5 / np.tan(np.radians(angle) / 2.0)
    wide, high = (focal, focal * shape) if "hfov" in said else (focal / shape, focal)
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

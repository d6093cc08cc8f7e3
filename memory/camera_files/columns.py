"""Tables whose first line names their columns: which of them are a time, a place, a quaternion and a lens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .numbers import is_number
from .source import Source
from .times import UNITS

_LOOKED_AT = 20
"""Lines that may stand before the one that names the columns."""
_LONGEST = 10_000
"""Characters of a line that names columns."""
_FEWEST = 7
"""Columns of a place and a quaternion."""
_SEPARATORS = (",", ";", "\t")
_UNITS = {"ns": "nanoseconds", "nsec": "nanoseconds", "us": "microseconds", "usec": "microseconds",
          "ms": "milliseconds", "msec": "milliseconds", "s": "seconds", "sec": "seconds", "secs": "seconds",
          **{name: name for name in UNITS}}  # fmt: skip
_PLACE = re.compile(r"(.*(?:pos|position|trans|translation|loc|location)|p|t|p_?rs_?r|cam|camera|)[_. ]*([xyz])")
_TURN = re.compile(r"(.*(?:quat|quaternion|orientation|rotation|rot)|q|q_?rs)[_. ]*([wxyz])")
_TIME = re.compile(r"(?:.*header[_. ]*)?(?:time[_. ]*stamps?|times?|stamps?|t|ts)")
_LENS = {name: name for name in ("hfov", "vfov", "fov", "fx", "fy", "cx", "cy", "width", "height")}
_LENS |= {"fovx": "hfov", "fovh": "hfov", "fovy": "vfov", "fovv": "vfov"}


@dataclass(frozen=True)
class Columns:
    """Where a table has what: indices of columns from 0, and what separates them.

    ``separator`` is "" for spaces. ``line`` is the index of the first row. ``place`` x y z, ``turn`` x y z w, ``time``
    -1 if there is none, ``unit`` its name in `UNITS`, or "". ``lens`` by the names in `_LENS`.
    """

    separator: str
    line: int
    place: tuple[int, ...]
    turn: tuple[int, ...]
    time: int
    unit: str
    lens: dict[str, int]
    names: tuple[str, ...]


def named_columns(source: Source) -> Columns | None:
    """The columns of a table whose line before the first row names a place and a quaternion; None for any other."""
    for separator, line, names in headers(source):
        plain = [_plain(name) for name in names]
        places, turns = _groups(plain, _PLACE, "xyz"), _groups(plain, _TURN, "xyzw")
        if len(places) == len(turns) == 1 and _row_length(source, separator, line) > max(places[0] + turns[0]):
            time, unit = _time(names, plain)
            short = [re.sub(r"[^a-z]", "", name) for name in plain]
            lens = {_LENS[name]: index for index, name in enumerate(short) if name in _LENS}
            return Columns(separator, line, places[0], turns[0], time, unit, lens, tuple(names))
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

"""Numbers out of text, JSON and names, with the line of each that is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, islice

import numpy as np

from ..cameras.camera import FloatArray
from .poses import Where
from .source import MAX_POSES, Source

_BLOCK = 20_000
_RECOGNISED = 4096
"""Characters of a line by which a layout is recognised: no layout's camera takes more."""


def number_lines(source: Source, first: int = 0) -> tuple[list[str], Where]:
    """The lines that hold something, from index ``first``, and where each stands; # begins a comment line."""
    # Counted before any is kept: a wrong file may have a hundred million.
    count = sum(1 for _ in islice(source.row_begins(first), MAX_POSES + 1))
    if not count:
        source.refuse("it has no line with numbers", "Choose a file with a camera path")
    if count > MAX_POSES:
        source.refuse(f"it has more than {MAX_POSES} cameras, the most that are read", "Keep only those of the shot")
    begins = list(source.row_begins(first))
    return [source.line_at(begin) for begin in begins], lambda index: f"line {source.line_number(begins[index])}"


def number_table(source: Source, first: int, columns: int, layout: str) -> tuple[FloatArray, Where]:
    """Rows (F, columns) of a text file from line index ``first``, and where each stands."""
    lines, where = number_lines(source, first)
    result = np.empty((len(lines), columns))
    for begin in range(0, len(lines), _BLOCK):
        rows = [words_of(line) for line in lines[begin : begin + _BLOCK]]
        result[begin : begin + len(rows)] = numbers_of(source, rows, columns, layout, lambda i: where(begin + i))  # noqa: B023
    return result, where


def words_of(line: str) -> list[str]:
    """The words of a line, parted by blanks or commas."""
    return line.replace(",", " ").split() if "," in line else line.split()


def numbers_of(source: Source, rows: Sequence[Sequence[str]], columns: int, layout: str, where: Where) -> FloatArray:
    """Rows of words (F, columns) as numbers; ``where`` names the line of a row that is not."""
    if any(len(row) != columns for row in rows):
        index = next(i for i, row in enumerate(rows) if len(row) != columns)
        source.refuse(
            f"{len(rows[index])} values, expected {columns} for {layout}",
            "Complete that camera or leave it out, or choose another layout",
            where(index),
        )
    try:
        values = np.fromiter(map(float, chain.from_iterable(rows)), dtype=np.float64, count=len(rows) * columns)
    except ValueError:
        index, word = next((i, word) for i, row in enumerate(rows) for word in row if not is_number(word))
        source.refuse(f"{word[:40]!r} is no number", f"{layout} has {columns} numbers for each camera", where(index))
    return values.reshape(len(rows), columns)


def json_array(source: Source, values: object, shape: tuple[int, ...], what: str, where: Where) -> FloatArray:
    """A list from JSON, one entry for each frame, as an array (F, *shape); refuses the first that differs."""
    if not isinstance(values, list) or not values:
        source.refuse(f"{what} is no list with an entry for each frame", "Export the file again")
    if len(values) > MAX_POSES:
        source.refuse(f"it has {len(values)} cameras, at most {MAX_POSES} are read", "Keep only those of the shot")
    try:
        result = np.array(values, dtype=np.float64)
        if result.shape == (len(values), *shape):
            return result
    except (TypeError, ValueError, OverflowError):
        pass
    expected = "x".join(map(str, shape)) or "1"
    for index, value in enumerate(values):
        try:
            one = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            source.refuse(
                f"{what} is {_short(value)}, expected {expected} numbers",
                "Repair or leave out that camera",
                where(index),
            )
        if one.shape != shape:
            source.refuse(
                f"{what} has {'x'.join(map(str, one.shape)) or '1'} numbers, expected {expected}",
                "Repair or leave out that camera",
                where(index),
            )
    raise AssertionError("every entry fits, yet not all together")


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def first_rows(source: Source) -> list[list[str]]:
    """The words of the first three lines that hold something and are no comment, for recognising a layout."""
    return [words_of(line[:_RECOGNISED]) for line in source.first_rows]


def is_numeric(row: Sequence[str], columns: int) -> bool:
    return len(row) == columns and all(map(is_number, row))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."


_NUMBER = re.compile(r"\d+")


def natural_order(names: Sequence[str]) -> list[int]:
    """Indices of ``names`` in their order, with their numbers counted as numbers; equal names keep theirs."""
    keys = [_NUMBER.sub(lambda match: match[0].zfill(20), name) for name in names]
    return sorted(range(len(keys)), key=keys.__getitem__)

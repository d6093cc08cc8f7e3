"""Append-only columns that many immutable values share: sealed blocks, and a tail with free capacity.

A ``Table`` is a handle: some sealed blocks, a tail, and a number of rows. Appending writes behind the end of the tail
and returns a new handle. If another handle has written there already, the tail is copied first, never the sealed
blocks; so appending costs O(rows appended), appending to an old handle at most one block more, and handles that have
diverged do not affect each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 16384
_FIRST_ROWS = 256


@dataclass(frozen=True)
class Column:
    """One column: its name, the shape of one row, and the type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


Arrays = tuple[NDArray[Any], ...]


class _Tail:
    """Arrays with ``rows`` rows written and room for more."""

    def __init__(self, columns: Sequence[Column], capacity: int) -> None:
        self.lock = threading.Lock()
        self.rows = 0
        self.arrays: Arrays = tuple(np.empty((capacity, *one.shape), dtype=one.dtype) for one in columns)

    def extended(self, columns: Sequence[Column], rows: int, values: Sequence[NDArray[Any]], limit: int) -> _Tail:
        """My first ``rows`` rows, then ``values``: myself if I end there and have room."""
        stop = rows + len(values[0])
        with self.lock:
            target = self
            if self.rows != rows or stop > len(self.arrays[0]):
                target = self._copy(columns, rows, min(limit, max(_FIRST_ROWS, 2 * stop)))
            for array, value in zip(target.arrays, values, strict=True):
                array[rows:stop] = value
            target.rows = stop
        return target

    def _copy(self, columns: Sequence[Column], rows: int, capacity: int) -> _Tail:
        result = _Tail(columns, capacity)
        result.rows = rows
        for array, source in zip(result.arrays, self.arrays, strict=True):
            array[:rows] = source[:rows]
        return result


class Table:
    """An immutable table; make an empty one with its columns, and longer ones with ``appended``."""

    __slots__ = ("columns", "rows", "_sealed", "_tail", "_block")

    def __init__(self, columns: tuple[Column, ...], block: int = BLOCK_ROWS) -> None:
        self.columns = columns
        self.rows = 0
        self._block = block
        self._sealed: tuple[Arrays, ...] = ()
        self._tail: _Tail | None = None

    def appended(self, *values: NDArray[Any]) -> Table:
        """A new table with more rows; ``values`` are the new rows of each column."""
        sealed, tail = self._sealed, self._tail
        used = self.rows - len(sealed) * self._block
        added, done = len(values[0]), 0
        while done < added:
            part = min(self._block - used, added - done)
            if tail is None:
                tail = _Tail(self.columns, min(self._block, max(_FIRST_ROWS, 2 * part)))
            tail = tail.extended(self.columns, used, [value[done : done + part] for value in values], self._block)
            used, done = used + part, done + part
            if used == self._block:
                sealed, tail, used = (*sealed, tail.arrays), None, 0
        result = Table(self.columns, self._block)
        result.rows, result._sealed, result._tail = self.rows + added, sealed, tail
        return result

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The values (n, ...) of one column at ``rows`` (n,), which must exist: O(n)."""
        at, parts = self._at(name), self._parts()
        if len(parts) == 1:
            return np.asarray(parts[0][at][rows])
        column = self.columns[at]
        result = np.empty((len(rows), *column.shape), dtype=column.dtype)
        block = rows // self._block
        for number in np.unique(block):
            mine = block == number
            result[mine] = parts[int(number)][at][rows[mine] - int(number) * self._block]
        return result

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[NDArray[Any]]:
        """The rows ``start`` to ``stop`` of one column, in pieces (n, ...) that are not copied."""
        at, stop = self._at(name), self.rows if stop is None else stop
        for number, arrays in enumerate(self._parts()):
            first = number * self._block
            low, high = max(start - first, 0), min(stop - first, self._block)
            if low < high:
                yield arrays[at][low:high]

    def whole(self, name: str) -> NDArray[Any]:
        """One column (n, ...) of all n rows, copied together: O(n)."""
        column = self.columns[self._at(name)]
        return np.concatenate([np.empty((0, *column.shape), dtype=column.dtype), *self.chunks(name)])

    def search(self, name: str, values: NDArray[Any]) -> NDArray[np.int64]:
        """For each of the ``values`` (n,) the last row (n,) of a rising column that is not above it: O(n log rows)."""
        pieces = list(self.chunks(name))
        block = np.searchsorted([piece[0] for piece in pieces], values, side="right") - 1
        result = np.empty(len(values), dtype=np.int64)
        for number in np.unique(block):
            mine = block == number
            found = np.searchsorted(pieces[int(number)], values[mine], side="right") - 1
            result[mine] = found + int(number) * self._block
        return result

    @property
    def nbytes(self) -> int:
        """Bytes of RAM that the arrays take, room for growth included."""
        return sum(array.nbytes for arrays in self._parts() for array in arrays)

    def _parts(self) -> tuple[Arrays, ...]:
        return self._sealed if self._tail is None else (*self._sealed, self._tail.arrays)

    def _at(self, name: str) -> int:
        return next(at for at, column in enumerate(self.columns) if column.name == name)

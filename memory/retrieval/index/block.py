"""A block of the camera index: a stretch of film sorted by heading and position, with a pyramid of grid cells.

Cameras are sorted by their bin of heading and field of view, then along a Morton curve through the stretch's own box,
then by time. So the cameras of a bin in a cell of any size lie beside each other; level ``j`` of the pyramid says where
each cell starts. The pyramid ends where a cell holds few frames, so it costs little beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cones import DIRECTIONS, LOOKS, MIDDLE, SPREAD, Cones, Float32, looks
from .thinning import Integers
from .views import Views, meets

BITS = 18
FRAMES_A_CELL = 8
"""The finest cells of the pyramid hold at least this many frames on average."""
FIRST_CELLS, MOST_CELLS = 2048, 1024
_HALF_DIAGONAL = 0.5 * 3**0.5 * 1.001


@dataclass(frozen=True, eq=False)
class Level:
    """Cells of 2^``height`` units, ``cell`` scene units a side.

    ``starts`` (m + 1,) says where each begins in the sorted cameras, ``oldest`` (m,) where its oldest camera is.
    """

    height: int
    cell: float
    starts: NDArray[np.int32]
    oldest: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of a block that may hold relevant cameras: ``starts`` and ``counts`` (m,) in the sorted cameras,
    and where the ``oldest`` (m,) of each is."""

    starts: Integers
    counts: Integers
    oldest: Integers


@dataclass(frozen=True, eq=False)
class Block:
    """Frames ``first`` to ``first + len(cameras)`` in sorted order; ``frame`` (n,) counts from ``first``.

    ``look`` (n,) is the bin of heading and field of view. ``widest`` (216,) is the largest tangent in each bin,
    ``narrowest`` the smallest of all. The finest cells have ``unit`` scene units a side and count from ``corner``.
    """

    first: int
    frame: NDArray[np.int32]
    cameras: Cones
    look: NDArray[np.uint8]
    corner: Float32
    unit: float
    widest: Float32
    narrowest: np.float32
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, first: int, cameras: Cones) -> Block:
        """The block of cameras in the order of the film."""
        look = looks(cameras)
        corner = cameras.position.min(axis=0)
        extent = float((cameras.position.max(axis=0) - corner).max())
        unit = extent / 2**BITS if extent > 0 else 1.0
        keys = _keys(look, cameras.position, corner, unit)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        keys, look, cameras = keys[order], look[order], cameras[order]
        bins = np.flatnonzero(np.concatenate([[True], look[1:] != look[:-1]]))
        widest = np.zeros(LOOKS, dtype=np.float32)
        widest[look[bins]] = np.minimum.reduceat(cameras.tangent, bins)
        levels = tuple(_pyramid(keys, order, unit))
        return cls(first, order, cameras, look, corner, unit, widest, cameras.tangent.min(), levels)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def nbytes(self) -> int:
        pyramid = sum(level.starts.nbytes + level.oldest.nbytes for level in self.levels)
        return self.frame.nbytes + self.cameras.nbytes + self.look.nbytes + pyramid

    def in_order(self) -> Cones:
        """The cameras in the order of the film."""
        back = np.empty_like(self.frame)
        back[self.frame] = np.arange(len(self.frame), dtype=np.int32)
        return self.cameras[back]

    def near(self, target: Views, cell: float) -> Cells:
        """Cells not much larger than ``cell`` that may hold cameras relevant to the views; none is missed."""
        goal = max([j for j, level in enumerate(self.levels) if level.cell <= cell], default=0)
        few = [j for j, level in enumerate(self.levels) if len(level.oldest) <= FIRST_CELLS]
        at = max(goal, min(few, default=len(self.levels) - 1))
        cells: Integers = np.arange(len(self.levels[at].oldest))
        while True:
            level = self.levels[at]
            cells = cells[self._meet(target, level, cells)]
            begin, end = level.starts[cells], level.starts[cells + 1]
            if at == goal or not len(cells):
                break
            finer = self.levels[at - 1].starts
            low, high = np.searchsorted(finer, begin), np.searchsorted(finer, end)
            if int((high - low).sum()) > MOST_CELLS:
                break
            cells = _ranges(low, high - low)
            at -= 1
        starts = begin.astype(np.int64)
        return Cells(starts, end - starts, level.oldest[cells].astype(np.int64))

    def _meet(self, target: Views, level: Level, cells: Integers) -> NDArray[np.bool_]:
        at = level.starts[cells]
        look = self.look[at]
        direction = look % DIRECTIONS
        size = np.float32(level.cell)
        grid = _grid(self.cameras.position[at], self.corner, self.unit) >> level.height
        middle = (grid.astype(np.float32) + np.float32(0.5)) * size + self.corner
        angle = np.arctan(self.widest[look]) + SPREAD[direction]
        narrowest = np.full(len(cells), self.narrowest)
        return meets(target, middle, MIDDLE[direction], angle, narrowest, _HALF_DIAGONAL * level.cell)


def _keys(look: NDArray[np.uint8], position: Float32, corner: Float32, unit: float) -> NDArray[np.uint64]:
    """Sort keys: the bin in the highest bits, then the Morton code of the position."""
    grid = _grid(position, corner, unit)
    key: NDArray[np.uint64] = look.astype(np.uint64) << np.uint64(3 * BITS)
    for axis in range(3):
        column = grid[:, axis]
        key |= (_EVERY_THIRD[column >> 9] << np.uint64(27) | _EVERY_THIRD[column & 511]) << np.uint64(axis)
    return key


def _grid(position: Float32, corner: Float32, unit: float) -> NDArray[np.intp]:
    return np.asarray(np.minimum((position - corner) / np.float32(unit), 2**BITS - 1).astype(np.intp))


def _pyramid(keys: NDArray[np.uint64], frame: NDArray[np.int32], unit: float) -> list[Level]:
    """Levels from fine to coarse; the coarsest has one cell for each bin."""
    # Two neighbours fall into different cells up to the level of the highest bit in which their keys differ.
    differ = np.frexp((keys[1:] ^ keys[:-1]).astype(np.float64))[1]
    height = np.minimum((differ + 2) // 3, BITS + 1)
    cells = 1 + np.cumsum(np.bincount(height, minlength=BITS + 2)[::-1])[::-1]
    row = np.empty_like(frame)
    row[frame] = np.arange(len(frame), dtype=np.int32)
    levels: list[Level] = []
    starts: Integers | None = None
    for at in range(BITS + 1):
        if cells[at + 1] * FRAMES_A_CELL > len(keys) and at < BITS:
            continue
        if starts is None:
            starts = np.concatenate([[0], np.flatnonzero(height > at) + 1])
            oldest = np.minimum.reduceat(frame, starts)
        else:
            kept = np.concatenate([[0], np.flatnonzero(height[starts[1:] - 1] > at) + 1])
            starts, oldest = starts[kept], np.minimum.reduceat(oldest, kept)
        if levels and len(levels[-1].oldest) == len(oldest):
            continue
        levels.append(Level(at, unit * 2.0**at, np.append(starts, len(keys)).astype(np.int32), row[oldest]))
    return levels


def _ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Integers:
    """All numbers of the ranges, one range after the other."""
    return np.asarray(np.arange(int(counts.sum())) + np.repeat(starts - (np.cumsum(counts) - counts), counts))


def _every_third_bit() -> NDArray[np.uint64]:
    numbers = np.arange(512, dtype=np.uint64)
    result = np.zeros(512, dtype=np.uint64)
    for bit in range(9):
        result |= (numbers >> np.uint64(bit) & np.uint64(1)) << np.uint64(3 * bit)
    return result


_EVERY_THIRD = _every_third_bit()

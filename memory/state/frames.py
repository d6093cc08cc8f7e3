"""Poses, intrinsics and times of a memory's frames, in append-only columns that states share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from .table import Column, Table

_FRAMES = (Column("pose", (3, 4), "f8"), Column("intrinsics", (), "i4"), Column("time", (), "f8"))
_INTRINSICS = (Column("intrinsics", (4,), "f8"),)

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frames:
    """One row a frame: its pose without the last row, which never differs, the row of its
    intrinsics among the ``distinct`` ones, and its time.

    Intrinsics are stored once for all frames in a row that have them, so a film without zoom takes 108 bytes a frame.
    """

    table: Table = field(default_factory=lambda: Table(_FRAMES))
    distinct: Table = field(default_factory=lambda: Table(_INTRINSICS))

    def __len__(self) -> int:
        return self.table.rows

    def appended(self, poses: FloatArray, intrinsics: FloatArray, times: FloatArray) -> Frames:
        """These frames and more: poses (n, 3, 4), intrinsics (n, 4) and times (n,)."""
        rows = self.distinct.rows
        last = self.distinct.take("intrinsics", np.array([rows - 1])) if rows else np.full((1, 4), np.nan)
        changed = (np.concatenate([last, intrinsics[:-1]]) != intrinsics).any(axis=1)
        distinct = self.distinct.appended(intrinsics[changed]) if changed.any() else self.distinct
        which = (rows - 1 + np.cumsum(changed)).astype(np.int32)
        return Frames(self.table.appended(poses, which, times), distinct)

    def poses(self, rows: Rows | None = None) -> FloatArray:
        """Poses (n, 3, 4) of the frames ``rows``, or a copy of all."""
        return self._column("pose", rows)

    def intrinsics(self, rows: Rows | None = None) -> FloatArray:
        """Intrinsics (n, 4) of the frames ``rows``, or a copy of all."""
        which = self._column("intrinsics", rows)
        return self.distinct.take("intrinsics", which) if len(which) else np.empty((0, 4))

    def times(self, rows: Rows | None = None) -> FloatArray:
        """Seconds (n,) of the frames ``rows``, or a copy of all."""
        return self._column("time", rows)

    @property
    def nbytes(self) -> int:
        """Bytes of RAM."""
        return self.table.nbytes + self.distinct.nbytes

    def _column(self, name: str, rows: Rows | None) -> NDArray[Any]:
        return self.table.whole(name) if rows is None or not len(self) else self.table.take(name, rows)


def square(poses: FloatArray) -> FloatArray:
    """Poses (n, 4, 4) from poses (n, 3, 4)."""
    result = np.empty((len(poses), 4, 4))
    result[:, :3] = poses
    result[:, 3] = (0.0, 0.0, 0.0, 1.0)
    return result

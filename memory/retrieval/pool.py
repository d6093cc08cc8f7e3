"""The retrieval pool: candidate past frames, and the target views that they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from .points import Scales

Integers = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pool:
    """Past frames that may be chosen, ascending, and those that are given in any case.

    ``indices`` (n,) int64 in the film, ``poses`` (n, 4, 4), ``intrinsics`` (n, 4), ``times`` (n,) seconds,
    ``strength`` (n,) of 0 and more, where 0 means never. ``depth`` gives depth (m, h, w) float32 along the optical
    axis, NaN where it is unknown, of frames of the film (m,); None if none is known. It may be read from disk.
    """

    indices: Integers
    poses: FloatArray
    intrinsics: FloatArray
    times: FloatArray
    strength: FloatArray
    depth: Callable[[Integers], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def part(self, rows: Integers) -> Pool:
        """Some of its frames, by their rows."""
        return Pool(
            self.indices[rows], self.poses[rows], self.intrinsics[rows], self.times[rows], self.strength[rows],
            self.depth,
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """A ``pool`` of past frames and views of the coming segment: ``targets`` (T, 4, 4) and ``intrinsics`` (T, 4).

    ``near``, ``far`` and ``depth``, the median, are distances in scene units, for rules that go by the map. In three
    dimensions the scale (scene units; how far a camera walks in five seconds) is one of several ``scales``, the
    likeliest is ``scale``, and nothing counts that is nearer than ``nearest`` or farther than ``farthest``.
    """

    pool: Pool
    targets: FloatArray
    intrinsics: FloatArray
    near: float
    far: float
    depth: float
    scale: float
    scales: Scales
    nearest: float
    farthest: float

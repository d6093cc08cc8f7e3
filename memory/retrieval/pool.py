"""What a strategy chooses from: a pool of past frames near the coming views, and the question it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from .overlap import fans, overlap, rays_cross

if TYPE_CHECKING:
    from .covisibility import Covisibility

Integers = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Usable = Callable[[Integers], BoolArray]


@dataclass(frozen=True)
class Choice:
    """A frame that a strategy chose: its ``index`` in the film, the ``rule`` in words, and the ``gain``: how much of
    the coming views it adds to the frames before it, 0..1, where the strategy knows."""

    index: int
    rule: str
    gain: float = 0.0


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
        """Some of its frames, by their places in it."""
        return Pool(
            self.indices[rows], self.poses[rows], self.intrinsics[rows], self.times[rows], self.strength[rows],
            self.depth,
        )


@dataclass(frozen=True, eq=False)
class Question:
    """What a strategy decides on: which ``count`` frames join the ``given`` ones.

    ``given`` are places in the pool, the most recent frame first. ``targets`` (T, 4, 4) and ``lenses`` (T, 4) are views
    of the coming segment. ``near``, ``far`` and ``depth`` are distances in scene units, ``scale`` (scene units) is how
    far the camera of this film goes in five seconds. ``gap`` is the number of frames that count as neighbours while
    enough others are left, ``min_overlap`` the least share of a view that makes a candidate. ``frames`` is the length
    of the film, and ``usable`` says of any of its frames whether it may be chosen.
    """

    count: int
    pool: Pool
    given: tuple[int, ...]
    targets: FloatArray
    lenses: FloatArray
    near: float
    far: float
    depth: float
    scale: float
    gap: int
    far_share: float
    min_overlap: float
    frames: int
    usable: Usable
    random: np.random.Generator

    @property
    def shares(self) -> FloatArray:
        """(T, n) overlap seen from above of each target view with each frame of the pool: what the paper chooses by."""
        return self._look[0]

    @property
    def candidate(self) -> BoolArray:
        """(n,) whether each frame of the pool saw part of the segment: enough of a view, or by the paper's rule."""
        return self._look[1]

    @property
    def asked(self) -> bool:
        """Whether the overlaps were asked for."""
        return "_look" in self.__dict__

    @cached_property
    def seen(self) -> Covisibility:
        """What the pool saw of the coming views, in 3-D; worked out when first asked for."""
        from .covisibility import Covisibility

        return Covisibility.of(self)

    @property
    def given_indices(self) -> list[int]:
        """The given frames' indices in the film."""
        return [int(self.pool.indices[place]) for place in self.given]

    @cached_property
    def _look(self) -> tuple[FloatArray, BoolArray]:
        ahead, past = fans(self.targets, self.lenses), fans(self.pool.poses, self.pool.intrinsics)
        shares = overlap(ahead, self.targets, self.lenses, past, self.depth, self.near, self.far)
        crossing = rays_cross(ahead, past, self.near, self.far)
        seen = (shares >= max(self.min_overlap, 1e-9)) | crossing
        return shares, np.asarray(seen.any(axis=0))


Strategy = Callable[[Question], list[Choice]]

"""The retrieval query that a strategy is given, and the chosen frames that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cameras.camera import FloatArray
from .covisibility import Covisibility
from .overlap import fans, overlap, rays_cross
from .pool import BoolArray, Comparison, Integers

Usable = Callable[[Integers], BoolArray]


@dataclass(frozen=True)
class ChosenFrame:
    """A frame that a strategy chose: its ``index`` in the film, the ``rule`` in words, and the ``gain``: how much of
    the coming views it adds to the frames before it, 0..1, where the strategy knows."""

    index: int
    rule: str
    gain: float = 0.0


@dataclass(frozen=True, eq=False)
class RetrievalQuery(Comparison):
    """Which ``count`` frames of the pool join the ``given`` ones, for the coming views.

    ``given`` are rows of the pool, the most recent frame first. ``gap`` is the number of frames that count as
    neighbours while enough others are left, ``far_share`` the share of the choice that goes to frames far off,
    ``min_overlap`` the least share of a view that makes a candidate. ``frames`` is the length of the film, and
    ``usable`` says of any of its frames whether it may be chosen. ``random`` decides between equals.
    """

    count: int
    given: tuple[int, ...]
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
        return Covisibility.of(self)

    @property
    def given_indices(self) -> list[int]:
        """The given frames' indices in the film."""
        return [int(self.pool.indices[row]) for row in self.given]

    @cached_property
    def _look(self) -> tuple[FloatArray, BoolArray]:
        ahead, past = fans(self.targets, self.intrinsics), fans(self.pool.poses, self.pool.intrinsics)
        shares = overlap(ahead, self.targets, self.intrinsics, past, self.depth, self.near, self.far)
        crossing = rays_cross(ahead, past, self.near, self.far)
        seen = (shares >= max(self.min_overlap, 1e-9)) | crossing
        return shares, np.asarray(seen.any(axis=0))

"""What past frames saw of coming views, in 3-D: one measure for the choice, its reasons and the editor's band.

Points that the coming views may see (``points``; where past depth is known, the surface that it shows) and the chance
that each past frame saw them (``sight``, ``surface``). A share that is told is the chance against that of a camera in
the very place of the coming one, averaged over the rays of the view, so that the same camera saw 100 %. Shares are
worked out in float64: they are kept with the film, whose id must not hang on a last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..cameras.camera import FloatArray, rigid_inverse
from .points import Float32, Points, likely_points
from .pool import Comparison, Integers
from .sight import certain_chances, sight_chances
from .surface import depth_of_the_best, known_surface, seen_by_depth

TOGETHER = 0.85
"""Places this many scales apart fail together to 1/e: something that stands in the way of one hides most from both."""

_ON_THE_EDGE = 1.0 + 1e-6


@dataclass(frozen=True, eq=False)
class Covisibility:
    """The pool of a ``comparison`` (lengths in scales) and the ``points`` that its coming views may see.

    ``chances`` (n, P) that each frame of the pool saw each of them; ``depth`` (n, h, w) of the pool, None if there is
    none.
    """

    comparison: Comparison
    points: Points
    chances: Float32
    depth: Float32 | None

    @classmethod
    def of(cls, comparison: Comparison) -> Covisibility:
        """What the pool of a comparison saw."""
        comparison = _in_own_units(comparison)
        pool = comparison.pool
        points = likely_points(
            comparison.targets, comparison.intrinsics, comparison.scales, comparison.nearest, comparison.farthest
        )
        single = points.single()
        chances = sight_chances(single, pool.poses, pool.intrinsics, comparison.farthest)
        depth = depth_of_the_best(pool, chances @ single.weight)
        if depth is not None:
            points = known_surface(comparison, points, depth)
            chances = seen_by_depth(comparison, points.single(), depth)
        return cls(comparison, points, chances.astype(np.float32, copy=False), depth)

    def shares(self, rows: Sequence[int]) -> FloatArray:
        """(T, n) share 0..1 of each coming view that frames of the pool saw, by their places in it."""
        points = self.points
        likely = np.minimum(self._chances(rows) / self._certain, 1.0) * points.share
        shares = np.stack([likely[:, points.view == view].sum(axis=1) for view in range(len(points.eyes))])
        return np.asarray(np.minimum(shares, 1.0))

    def together(self) -> FloatArray:
        """(T,) share 0..1 of each coming view that the pool saw: of each point, what the frame saw that saw it best.

        From the chances that the choice is made by; but for rounding it is never below the share of a single frame.
        """
        points = self.points
        if not len(self.chances):
            return np.zeros(len(points.eyes))
        best = np.minimum(self.chances.max(axis=0) / self._certain, 1.0) * points.share
        return np.minimum(np.bincount(points.view, weights=best, minlength=len(points.eyes)), 1.0)

    def gains(self, rows: Sequence[int]) -> list[float]:
        """What each of these frames adds to those before it, 0..1, as the choice reckons (``cover``)."""
        weight = np.asarray(self.points.weight, dtype=np.float64)
        places = self.comparison.pool.poses[list(rows), :3, 3]
        gains = gains_in_order(self._chances(rows), weight, places, TOGETHER * self.comparison.scale)
        return [float(gain) for gain in gains]

    @cached_property
    def _certain(self) -> FloatArray:
        """(P,) the chance that a camera in the very place of the coming one saw each point."""
        return np.asarray(certain_chances(self.points), dtype=np.float64)

    @cached_property
    def _known(self) -> dict[int, FloatArray]:
        return {}

    def _chances(self, rows: Sequence[int]) -> FloatArray:
        """(n, P) in float64 of frames of the pool; those asked for before are not worked out again."""
        if new := [row for row in rows if row not in self._known]:
            self._known.update(zip(new, self._worked_out(np.asarray(new, dtype=np.int64)), strict=True))
        return np.array([self._known[row] for row in rows]).reshape(len(rows), len(self.points.distance))

    def _worked_out(self, rows: Integers) -> FloatArray:
        # A point at the very end of what counts must not fall to either side by a last digit.
        whole = self.comparison
        part = replace(whole, pool=whole.pool.part(rows), farthest=whole.farthest * _ON_THE_EDGE)
        if self.depth is not None:
            return np.asarray(seen_by_depth(part, self.points, self.depth[rows]), dtype=np.float64)
        found = sight_chances(self.points, part.pool.poses, part.pool.intrinsics, part.farthest)
        return np.asarray(found, dtype=np.float64)


def _in_own_units(comparison: Comparison) -> Comparison:
    """The comparison with lengths in scales and places seen from the first target, so that neither the unit of the
    scene nor where it lies has a say in how numbers are rounded."""
    scale, pool = comparison.scale, comparison.pool
    back = rigid_inverse(comparison.targets[0])

    def seen(poses: FloatArray) -> FloatArray:
        result = back @ poses
        result[:, :3, 3] /= scale
        return np.asarray(result)

    def depth(frames: Integers) -> Float32:
        assert pool.depth is not None
        return np.asarray(pool.depth(frames) * np.float32(1.0 / scale))

    own = replace(pool, poses=seen(pool.poses), depth=None if pool.depth is None else depth)
    scales = tuple((each / scale, likely) for each, likely in comparison.scales)
    nearest, farthest = comparison.nearest / scale, comparison.farthest / scale
    return replace(
        comparison, pool=own, targets=seen(comparison.targets), scale=1.0, scales=scales, nearest=nearest,
        farthest=farthest,
    )


def gains_in_order(chances: FloatArray, weight: FloatArray, places: FloatArray, reach: float) -> FloatArray:
    """(n,) what each row of ``chances`` (n, P) adds to the rows before it, as a share of all points.

    As ``coverage.greedy_cover`` reckons, in float64 and row by row, so that the figures are the same on every machine.
    Frames at ``places`` (n, 3) fail together as ``coverage.failing_together`` says.
    """
    worth = chances * weight
    left = worth.copy()
    for row in range(len(left) - 1):
        rest = left[row + 1 :]
        apart = rest * chances[row]
        distance = np.linalg.norm(places[row + 1 :] - places[row], axis=1)
        rest -= apart + np.exp(-distance / reach)[:, None] * (np.minimum(rest, worth[row]) - apart)
    return np.asarray(left.sum(axis=1))

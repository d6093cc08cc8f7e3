"""Segments to choose for: a memory of 1,000 to 3,000 frames, 81 coming cameras, and the truth about both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ....memory.cameras.camera import intrinsics_from_fov
from .floor_plans import KINDS, FloatArray, FloorPlan
from .oracle import BoolArray, coverage_matrix, greedy_cover, target_views, visible_surface
from .walks import walk

FOVS, ASPECT, FPS, SEGMENT = (52.67, 90.0), 640 / 352, 16.0, 81
FEWEST, MOST = 1000, 3000
LEAST_SEEN = 0.1
"""A segment of which not even this share was ever seen has nothing to remember and is left out."""


@dataclass(frozen=True, eq=False)
class Case:
    """One segment: ``past`` (N, 4, 4), ``coming`` (81, 4, 4), the ``lens`` (4,) and ``covers`` (N, P)."""

    kind: str
    fov: float
    plan: FloorPlan
    past: FloatArray
    coming: FloatArray
    lens: FloatArray
    covers: BoolArray

    def share(self, chosen: list[int]) -> float:
        """The share of the segment's surface points that the chosen frames cover."""
        return float(self.covers[chosen].any(axis=0).mean()) if chosen else 0.0

    def best(self, k: int) -> float:
        """The share that greedy cover with truth reaches with ``k`` frames, the most recent among them."""
        return self.share(greedy_cover(self.covers, k, [len(self.past) - 1]))


def cases(seeds: range, segments: int = 4) -> Iterator[Case]:
    """Cases of every kind of plan, field of view and seed, ``segments`` a walk at most."""
    for number, (kind, make) in enumerate(KINDS.items()):
        for fov in FOVS:
            for seed in seeds:
                random = np.random.default_rng([number, round(fov), seed])
                plan = make(random)
                poses = walk(plan, MOST + SEGMENT, random)
                for start in np.sort(random.integers(FEWEST, MOST + 1, segments)):
                    case = _case(kind, fov, plan, poses[: start + SEGMENT])
                    if case.covers.any(axis=0).mean() >= LEAST_SEEN:
                        yield case


def _case(kind: str, fov: float, plan: FloorPlan, poses: FloatArray) -> Case:
    past, coming = poses[:-SEGMENT], poses[-SEGMENT:]
    lens = intrinsics_from_fov(fov, ASPECT)
    targets = coming[target_views(SEGMENT)]
    surface = visible_surface(targets, np.tile(lens, (len(targets), 1)), plan.walls)
    covers = coverage_matrix(past, np.tile(lens, (len(past), 1)), surface, plan.walls)
    return Case(kind, fov, plan, past, coming, lens, covers)

"""Segments to choose for: a memory of 1,000 to 3,000 frames, 81 coming cameras, and the truth about both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ....memory.cameras.camera import intrinsics_from_fov
from .camera_kinds import CAMERA_KINDS
from .floor_plans import KINDS, FloatArray, FloorPlan
from .oracle import BoolArray, cast, coverage_matrix, greedy_cover, target_views, visible_surface
from .rectangles import Rectangles, covers, depth_maps
from .walks import walk

FOVS, ASPECT, FPS, SEGMENT = (52.67, 90.0), 640 / 352, 16.0, 81
FEWEST, MOST = 1000, 3000
MOST_OF_A_KIND = 1800
"""Frames of a film of another camera kind: truth in three dimensions takes longer."""
LEAST_SEEN = 0.1
"""A segment of which not even this share was ever seen has nothing to remember and is left out."""
ACROSS, DOWN = 32, 18
"""Columns and rows of the depth that is kept with a frame; half as many of each in three dimensions."""


@dataclass(frozen=True, eq=False)
class Case:
    """One segment: ``past`` (N, 4, 4) with ``lenses`` (N, 4), ``coming`` (81, 4, 4) with ``coming_lenses`` (81, 4), and
    ``covers`` (N, P), whether each past frame covers each surface point that is coming."""

    kind: str
    scene: FloorPlan | Rectangles
    past: FloatArray
    coming: FloatArray
    lenses: FloatArray
    coming_lenses: FloatArray
    covers: BoolArray

    def share(self, chosen: Sequence[int]) -> float:
        """The share of the segment's surface points that the chosen frames cover."""
        return float(self.covers[list(chosen)].any(axis=0).mean()) if len(chosen) else 0.0

    def best(self, k: int) -> float:
        """The share that greedy cover with truth reaches with ``k`` frames, the most recent among them."""
        return self.share(greedy_cover(self.covers, k, [len(self.past) - 1]))

    def depth(self) -> FloatArray:
        """(N, h, w) true depth of the past frames along the optical axis, infinite where nothing is met."""
        if isinstance(self.scene, Rectangles):
            return depth_maps(self.scene, self.past, self.lenses, ACROSS // 2, DOWN // 2)[0]
        found, _ = cast(self.past, self.lenses, self.scene.walls, ACROSS)
        return np.repeat(found[:, None], DOWN, axis=1)


def cases(seeds: range, segments: int = 4) -> Iterator[Case]:
    """Cases of every kind of plan, field of view and seed, ``segments`` a walk at most."""
    for number, (kind, make) in enumerate(KINDS.items()):
        for fov in FOVS:
            for seed in seeds:
                random = np.random.default_rng([number, round(fov), seed])
                plan = make(random)
                poses = walk(plan, MOST + SEGMENT, random)
                lenses = np.tile(intrinsics_from_fov(fov, ASPECT), (len(poses), 1))
                for start in np.sort(random.integers(FEWEST, MOST + 1, segments)):
                    end = start + SEGMENT
                    yield from _seen_before(_case(kind, plan, poses[:end], lenses[:end]))


def camera_cases(seeds: range, kinds: Sequence[str] = tuple(CAMERA_KINDS), films: int = 3) -> Iterator[Case]:
    """Cases of every one of the camera ``kinds`` and seed, each of ``films`` films of its own."""
    for kind in kinds:
        for seed in seeds:
            for film in range(films):
                random = np.random.default_rng([100 + list(CAMERA_KINDS).index(kind), seed, film])
                made = CAMERA_KINDS[kind](int(random.integers(FEWEST, MOST_OF_A_KIND)) + SEGMENT, random)
                yield from _seen_before(_case(kind, made.scene, made.poses, made.lenses))


def _case(kind: str, scene: FloorPlan | Rectangles, poses: FloatArray, lenses: FloatArray) -> Case:
    past, coming = poses[:-SEGMENT], poses[-SEGMENT:]
    ours, theirs = lenses[:-SEGMENT], lenses[-SEGMENT:]
    views = target_views(SEGMENT)
    if isinstance(scene, Rectangles):
        seen = covers(scene, past, ours, coming[views], theirs[views])
    else:
        surface = visible_surface(coming[views], theirs[views], scene.walls)
        seen = coverage_matrix(past, ours, surface, scene.walls)
    return Case(kind, scene, past, coming, ours, theirs, seen)


def _seen_before(case: Case) -> Iterator[Case]:
    if case.covers.any(axis=0).mean() >= LEAST_SEEN:
        yield case

"""New depth maps of several cameras, each joined to all that is known of what it shows, then to one another.

What is known is compared point by point: each known sample is put where the new camera sees it, and looked up there in
the new map between its pixels. A picture of the known depth would round the place of each sample to a pixel, and of
several samples in a pixel the nearest would win: every map would come out a little too near, and each after it more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from ..cameras.camera import FloatArray
from ..cameras.projection import pixel_middles, project, split, to_camera, to_world, unproject
from ..cameras.trajectory import Trajectory
from .depth_fit import MOST_RESIDUAL, DepthFit, DepthMisfit, fit_samples

SAMPLES = 64
"""Samples of a map across and down at most, evenly spread."""

EDGE = 0.1
"""A pixel whose inverse depth is off by this share from the mean of its neighbours' lies on an edge: over a flat
surface, however slanted, inverse depth is linear in the picture."""

HIDDEN = 0.1
"""What is farther by this share than another known sample in the same cell is hidden behind it."""

CELLS = 32
"""Cells across a view in which known samples hide one another."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Known points: ``positions`` (n, 3) in the world."""

    positions: FloatArray

    @classmethod
    def none(cls) -> Samples:
        """Nothing known."""
        return cls(np.zeros((0, 3)))

    @classmethod
    def of(cls, depth: NDArray[np.floating[Any]], cameras: Trajectory) -> Samples:
        """Those of z-depth (n, h, w) in scene units of n cameras; what is not finite or not above 0 is no sample."""
        maps = np.asarray(depth, dtype=np.float64)
        height, width = maps.shape[1:]
        rows, columns = (np.unique(np.linspace(0, side - 1, min(side, SAMPLES)).round().astype(np.intp))
                         for side in (height, width))
        with np.errstate(invalid="ignore"):
            sound = np.isfinite(maps) & (maps > 0) & ~_edges(maps)
        picked = np.where(sound, maps, np.nan)[:, rows[:, None], columns]
        u, v = pixel_middles(np.arange(float(width)))[columns], pixel_middles(np.arange(float(height)))[rows]
        local = np.stack(unproject(u, v[:, None], picked, split(cameras.intrinsics, 2)), axis=-1)
        positions = to_world(local.reshape(len(maps), -1, 3), cameras.poses).reshape(-1, 3)
        return cls(positions[np.isfinite(positions[:, 2])])


def join_depth(
    new: NDArray[np.floating[Any]],
    cameras: Trajectory,
    known: Samples,
    *,
    with_shift: bool = True,
    most_residual: float = MOST_RESIDUAL,
) -> list[DepthFit | DepthMisfit]:
    """For each of the ``new`` maps (K, h, w) of z-depth, of K cameras, its fit to what is known, or why it has none.

    The map that shows most of what is known comes first, and is itself known from then on. ``with_shift`` and
    ``most_residual`` are as in ``fit_depth``.
    """
    made: dict[int, DepthFit | DepthMisfit] = {}
    maps = [_Map.of(depth, cameras, one) for one, depth in enumerate(new)]
    seen = {one: [shown.of_known(known)] for one, shown in enumerate(maps)}
    while seen:
        one = max(seen, key=lambda number: (_shared(seen[number]).sum(), -number))
        parts = seen.pop(one)
        found, there = (np.concatenate([getattr(part, side) for part in parts]) for side in ("found", "known"))
        pixels = round(float(_shared(parts).mean()) * new[one].size)
        try:
            fit = fit_samples(new[one], found, there, np.ones(len(found)), pixels,
                              with_shift=with_shift, most_residual=most_residual)  # fmt: skip
        except DepthMisfit as why:
            made[one] = why
            continue
        made[one] = fit
        more = Samples.of(fit.depth[None], cameras[one : one + 1])
        for other, rest in seen.items():
            rest.append(maps[other].of_known(more))
    return [made[one] for one in range(len(maps))]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Known samples that a new map shows: its depth there ``found`` (n,) and theirs ``known`` (n,); and in which cells
    of the view there are any, whatever the map says there."""

    found: FloatArray
    known: FloatArray
    cells: NDArray[np.bool_]


def _shared(parts: list[_Seen]) -> NDArray[np.bool_]:
    """The cells of a view that show something known."""
    return np.asarray(np.any([part.cells for part in parts], axis=0))


@dataclass(frozen=True, eq=False)
class _Map:
    """A new map as samples are compared with it: one over z-depth ``near`` (h, w), NaN where unknown or at edges, and
    its camera: ``pose`` (4, 4), ``intrinsics`` (4,)."""

    near: FloatArray
    pose: FloatArray
    intrinsics: FloatArray

    @classmethod
    def of(cls, new: NDArray[np.floating[Any]], cameras: Trajectory, one: int) -> _Map:
        """The map (h, w) of camera ``one``."""
        depth = np.asarray(new, dtype=np.float64)
        return cls(_near(depth[None])[0], cameras.poses[one], cameras.intrinsics[one])

    def of_known(self, known: Samples) -> _Seen:
        """What of the known the map shows; what other known samples hide is left out."""
        height, width = self.near.shape
        x, y, z = to_camera(known.positions, self.pose).T
        ahead = z > 1e-6
        x, y, z = x[ahead], y[ahead], z[ahead]
        u, v = project(x, y, z, split(self.intrinsics))
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1)
        z, u, v = z[inside], u[inside], v[inside]
        grid = (max(1, round(CELLS * height / width)), CELLS)
        row, column = (v * grid[0]).astype(np.intp), (u * grid[1]).astype(np.intp)
        nearest = np.full(grid, np.inf)
        np.minimum.at(nearest, (row, column), z)
        clear = z <= (1 + HIDDEN) * nearest[row, column]
        there = map_coordinates(self.near, np.stack([v * height - 0.5, u * width - 0.5]), order=1, mode="nearest")
        sound = clear & np.isfinite(there)
        cells = np.zeros(grid, dtype=np.bool_)
        cells[row[clear], column[clear]] = True
        return _Seen(1 / there[sound], z[sound], cells)


def coarser(depth: NDArray[np.floating[Any]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Z-depth (n, h, w) at the middles of the pixels of a smaller map, (n, *size).

    In inverse depth between pixels, which is exact on flat surfaces; that of the nearest pixel at edges, where between
    them there is nothing.
    """
    maps = np.asarray(depth, dtype=np.float64)
    height, width = maps.shape[1:]
    v, u = (pixel_middles(np.arange(float(side))) for side in size)
    positions = np.stack(np.meshgrid(v * height - 0.5, u * width - 0.5, indexing="ij"))
    nearest = tuple(np.clip(np.floor(axis + 0.5).astype(np.intp), 0, side - 1)
                    for axis, side in zip(positions, (height, width), strict=True))
    near = _near(maps)
    result = np.empty((len(maps), *size), dtype=np.float32)
    for one, picked in enumerate(maps):
        between = map_coordinates(near[one], positions, order=1, mode="nearest")
        result[one] = np.where(np.isfinite(between), 1 / between, picked[nearest])
    return result


def _near(maps: FloatArray) -> FloatArray:
    """One over z-depth (n, h, w), NaN where it is unknown, infinite or at an edge."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.isfinite(maps) & (maps > 0) & ~_edges(maps), 1 / maps, np.nan)


def _edges(maps: FloatArray) -> NDArray[np.bool_]:
    """(n, h, w) whether each pixel of z-depth (n, h, w) lies on an edge, or beside one that is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = 1 / maps
        result = np.zeros(maps.shape, dtype=np.bool_)
        for axis in (1, 2):
            if maps.shape[axis] < 3:
                continue
            middle = [slice(None)] * 3
            middle[axis] = slice(1, -1)
            before, after = list(middle), list(middle)
            before[axis], after[axis] = slice(None, -2), slice(2, None)
            here = near[tuple(middle)]
            bend = np.abs((near[tuple(before)] + near[tuple(after)]) / 2 - here)
            result[tuple(middle)] |= ~(bend <= EDGE * here)
        return result

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
from .depth_fit import MOST_RESIDUAL, DepthApart, DepthFit, DepthMisfit, fit_samples

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
    """Known points: ``places`` (n, 3) in the world, ``frame`` (n,) which of the known maps each is of, and how many
    ``maps`` there are."""

    places: FloatArray
    frame: NDArray[np.intp]
    maps: int

    @classmethod
    def none(cls) -> Samples:
        """Nothing known."""
        return cls(np.zeros((0, 3)), np.zeros(0, dtype=np.intp), 0)

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
        places = to_world(local.reshape(len(maps), -1, 3), cameras.poses)
        frame, number = np.nonzero(np.isfinite(places[..., 2]))
        return cls(places[frame, number], frame, len(maps))

    def and_also(self, other: Samples) -> Samples:
        """These and those of more maps."""
        return Samples(
            np.concatenate([self.places, other.places]), np.concatenate([self.frame, other.frame + self.maps]),
            self.maps + other.maps,
        )


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
    result: list[DepthFit | DepthMisfit] = [DepthApart("Not looked at yet.")] * len(new)
    waiting = list(range(len(new)))
    views = {one: _Seen.of(new[one], cameras, one, known) for one in waiting}
    while waiting:
        one = max(waiting, key=lambda number: (views[number].shared, -number))
        waiting.remove(one)
        seen = views.pop(one)
        try:
            fit = fit_samples(new[one], seen.found, seen.known, seen.weight, seen.shared,
                              with_shift=with_shift, most_residual=most_residual)  # fmt: skip
        except DepthMisfit as why:
            result[one] = why
            continue
        result[one] = fit
        more = Samples.of(fit.depth[None], cameras[one : one + 1])
        views = {other: seen.and_also(_Seen.of(new[other], cameras, other, more)) for other, seen in views.items()}
    return result


@dataclass(frozen=True, eq=False)
class _Seen:
    """Samples that a new map shows: its depth there ``found`` (n,), theirs ``known`` (n,), the ``weight`` (n,) of each,
    and the number of the map's pixels that they are worth."""

    found: FloatArray
    known: FloatArray
    weight: FloatArray
    cells: NDArray[np.bool_]
    pixels: int

    @property
    def shared(self) -> int:
        """About how many of the map's pixels show something that is known, whatever the map says there."""
        return round(float(self.cells.mean()) * self.pixels)

    def and_also(self, other: _Seen) -> _Seen:
        return _Seen(
            np.concatenate([self.found, other.found]), np.concatenate([self.known, other.known]),
            np.concatenate([self.weight, other.weight]), self.cells | other.cells, self.pixels,
        )  # fmt: skip

    @classmethod
    def of(cls, new: NDArray[np.floating[Any]], cameras: Trajectory, one: int, known: Samples) -> _Seen:
        """Of the map (h, w) of camera ``one``."""
        depth = np.asarray(new, dtype=np.float64)
        height, width = depth.shape
        local = to_camera(known.places, cameras.poses[one])
        ahead = local[:, 2] > 1e-6
        z, frame = local[ahead, 2], known.frame[ahead]
        u, v = project(local[ahead, 0], local[ahead, 1], z, split(cameras.intrinsics[one]))
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1)
        z, frame, u, v = z[inside], frame[inside], u[inside], v[inside]
        grid = (max(1, round(CELLS * height / width)), CELLS)
        row, column = (v * grid[0]).astype(np.intp), (u * grid[1]).astype(np.intp)
        nearest = np.full(grid, np.inf)
        np.minimum.at(nearest, (row, column), z)
        with np.errstate(invalid="ignore", divide="ignore"):
            inverse = np.where((depth > 0) & np.isfinite(depth) & ~_edges(depth[None])[0], 1 / depth, np.nan)
        there = map_coordinates(inverse, np.stack([v * height - 0.5, u * width - 0.5]), order=1, mode="nearest")
        clear = z <= (1 + HIDDEN) * nearest[row, column]
        cells = np.zeros(grid, dtype=np.bool_)
        cells[row[clear], column[clear]] = True
        clear &= np.isfinite(there)
        return cls(1 / there[clear], z[clear], np.ones(int(clear.sum())), cells, depth.size)


def coarser(depth: NDArray[np.floating[Any]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Z-depth (n, h, w) at the middles of the pixels of a smaller map, (n, *size).

    In inverse depth between pixels, which is exact on flat surfaces; that of the nearest pixel at edges, where between
    them there is nothing.
    """
    maps = np.asarray(depth, dtype=np.float64)
    height, width = maps.shape[1:]
    v, u = (pixel_middles(np.arange(float(side))) for side in size)
    places = np.stack(np.meshgrid(v * height - 0.5, u * width - 0.5, indexing="ij"))
    nearest = tuple(np.clip(np.floor(axis + 0.5).astype(np.intp), 0, side - 1)
                    for axis, side in zip(places, (height, width), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(np.isfinite(maps) & (maps > 0) & ~_edges(maps), 1 / maps, np.nan)
    result = np.empty((len(maps), *size), dtype=np.float32)
    for one, picked in enumerate(maps):
        between = map_coordinates(near[one], places, order=1, mode="nearest")
        result[one] = np.where(np.isfinite(between), 1 / between, picked[nearest])
    return result


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

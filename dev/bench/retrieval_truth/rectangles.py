"""The truth in three dimensions: scenes of rectangles, what cameras in them see, and which past frame saw it.

As ``oracle`` says for floor plans: a target view is cast on a grid of pixels, and a past frame *covers* the surface
point that a ray meets if the point projects into its picture, nothing stands between, both are on one side of the
rectangle, and it saw the surface at no less than a quarter of the target's pixel density. The density here is the
number of picture widths for a metre of surface in the direction in which they are fewest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....memory.cameras.projection import pixel_middles, project, slopes, split
from .oracle import DENSITY, BoolArray, FloatArray, Integers

ACROSS, DOWN = 16, 9
_PAIRS = 8192


@dataclass(frozen=True, eq=False)
class Rectangles:
    """Rectangles with a ``corner`` (R, 3) and two edges ``one`` and ``other`` (R, 3) at right angles, in metres."""

    corner: FloatArray
    one: FloatArray
    other: FloatArray

    @property
    def normal(self) -> FloatArray:
        """(R, 3) unit normals."""
        found = np.cross(self.one, self.other)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

    def met(self, start: FloatArray, way: FloatArray) -> FloatArray:
        """(M, R) how many times ``way`` (M, 3) lies between each ``start`` (M, 3) and each rectangle, infinite where it
        misses it."""
        normal = self.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            times = ((self.corner * normal).sum(axis=1) - start @ normal.T) / (way @ normal.T)
            inside = times > 1e-9
            for edge in (self.one, self.other):
                square = (edge * edge).sum(axis=1)
                along = start @ edge.T + times * (way @ edge.T) - (self.corner * edge).sum(axis=1)
                inside &= (along >= 0.0) & (along <= square)
        return np.where(inside, times, np.inf)


def joined(*parts: Rectangles) -> Rectangles:
    """All of them in one scene."""
    return Rectangles(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("corner", "one", "other")))


def upright(lines: FloatArray, bottom: float, top: float) -> Rectangles:
    """Walls over lines (S, 2, 2) in the plane x z, from height ``bottom`` to ``top`` in metres above the ground."""
    corner, one, other = (np.zeros((len(lines), 3)) for _ in range(3))
    corner[:, [0, 2]], corner[:, 1] = lines[:, 0], -bottom
    one[:, [0, 2]] = lines[:, 1] - lines[:, 0]
    other[:, 1] = bottom - top
    return Rectangles(corner, one, other)


def level(box: FloatArray, height: float) -> Rectangles:
    """A floor or a roof ``height`` metres above the ground over the box x0 z0 x1 z1 (4,)."""
    x0, z0, x1, z1 = box
    return Rectangles(
        np.array([[x0, -height, z0]]), np.array([[x1 - x0, 0.0, 0.0]]), np.array([[0.0, 0.0, z1 - z0]])
    )


def depth_maps(
    scene: Rectangles, poses: FloatArray, intrinsics: FloatArray, across: int, down: int
) -> tuple[FloatArray, Integers]:
    """Depth (T, down, across) along the optical axis and the rectangle met, -1 and infinite where there is none, for
    cameras (T, 4, 4) with intrinsics (T, 4)."""
    u, v = np.meshgrid(pixel_middles(np.arange(float(across))), pixel_middles(np.arange(float(down))))
    sideways, downwards = slopes(u.ravel(), v.ravel(), split(intrinsics, 1))
    local = np.stack([sideways, downwards, np.ones_like(sideways)], axis=-1)
    way = (local @ poses[:, :3, :3].transpose(0, 2, 1)).reshape(-1, 3)
    start = np.repeat(poses[:, :3, 3], across * down, axis=0)
    depth, met = np.full(len(way), np.inf), np.full(len(way), -1)
    for begin in range(0, len(way), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        times = scene.met(start[part], way[part])
        depth[part], met[part] = times.min(axis=1), times.argmin(axis=1)
    met[~np.isfinite(depth)] = -1
    return depth.reshape(-1, down, across), met.reshape(-1, down, across)


def covers(
    scene: Rectangles, past: FloatArray, past_lenses: FloatArray, targets: FloatArray, lenses: FloatArray
) -> BoolArray:
    """(N, P) whether each past camera (N, 4, 4) covers each surface point that the targets (T, 4, 4) see."""
    depth, met = depth_maps(scene, targets, lenses, ACROSS, DOWN)
    view, row, column = np.nonzero(met >= 0)
    z = depth[view, row, column]
    across, down = slopes((column + 0.5) / ACROSS, (row + 0.5) / DOWN, split(lenses[view]))
    local = np.stack([across, down, np.ones_like(across)], axis=-1) * z[:, None]
    points = np.einsum("pij,pj->pi", targets[view, :3, :3], local) + targets[view, :3, 3]
    edges = [edge / np.linalg.norm(edge, axis=1, keepdims=True) for edge in (scene.one, scene.other)]
    wall = met[view, row, column]
    edges, normal = [edge[wall] for edge in edges], scene.normal[wall]
    side = np.sign(((targets[view, :3, 3] - points) * normal).sum(axis=1))
    least = np.zeros(len(points))
    for number in range(len(targets)):
        own = view == number
        least[own] = DENSITY * density(targets[number], lenses[number], points[own], [edge[own] for edge in edges])
    result = np.zeros((len(past), len(points)), dtype=bool)
    for number, (pose, lens) in enumerate(zip(past, past_lenses, strict=True)):
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = project(x, y, z, split(lens))
        there = np.flatnonzero((z > 1e-6) & (u >= 0) & (u < 1) & (v >= 0) & (v < 1))
        there = there[side[there] * ((pose[:3, 3] - points[there]) * normal[there]).sum(axis=1) > 0]
        enough = density(pose, lens, points[there], [edge[there] for edge in edges]) >= least[there]
        result[number, there[enough]] = True
    frame, point = np.nonzero(result)
    for begin in range(0, len(frame), _PAIRS):
        pairs = slice(begin, begin + _PAIRS)
        start = past[frame[pairs], :3, 3]
        way = points[point[pairs]] - start
        result[frame[pairs], point[pairs]] = scene.met(start, way).min(axis=1) > 1.0 - 1e-6
    return result


def density(pose: FloatArray, lens: FloatArray, points: FloatArray, edges: list[FloatArray]) -> FloatArray:
    """(P,) picture widths for a metre at points (P, 3) of a surface with unit ``edges`` (two of (P, 3)), in the
    direction in which they are fewest, of a camera (4, 4) with intrinsics (4,)."""
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    rows = []
    for edge in edges:
        dx, dy, dz = (edge @ pose[:3, :3]).T
        rows += [(dx * z - x * dz) / z**2, (dy * z - y * dz) / z**2]
    total, turn = sum(row * row for row in rows), rows[0] * rows[3] - rows[1] * rows[2]
    rest = np.sqrt(np.maximum(total * total - 4.0 * turn * turn, 0.0))
    # The lesser singular value; written so that it loses no digits where the two differ much.
    return np.asarray(lens[0] * np.abs(turn) * np.sqrt(2.0 / np.maximum(total + rest, 1e-300)))

"""What the coming cameras will see, as balls of space, and the test whether a past camera had one of them in view.

A past camera is *relevant* if, for a ball of a target's view,

- the ball reaches into the camera's cone,
- it is no farther from the camera than ``reach``, nor so far that it is seen with less than a tenth of the target's
  pixels (a camera ten times as far off with the same intrinsics), and
- the camera does not look from the other side: the two lines of sight to it are no more than 120 degrees apart.

The same test on a cell of cameras, its radius added to that of the ball and the spread of its headings to the cone,
never says no where it would say yes to a camera in the cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...cameras.camera import FloatArray
from ...cameras.projection import pixel_middles, slopes, split
from .cones import FARTHEST, Float32, cones, tangents

VIEWS, DIFFERENT = 6, 0.6
FINE, COARSE = 4, 2
DEPTHS = (0.08, 0.22, 0.5, 0.9)
"""Distances of the balls in parts of the reach. What is nearer than the first is too small a part of a view."""
LEAST_DENSITY, OPPOSITE = 0.1, 0.5
_PAIRS, _FLAT, _EVERYWHERE, _STEEP = 40960, np.float32(np.radians(89.9)), np.float32(1e4), 1e6


@dataclass(frozen=True, eq=False)
class Views:
    """Balls of space with middles ``points`` (P, 3) relative to ``origin`` (3,) and radii ``radius`` (P,).

    ``sight`` (P, 3) is the unit line of sight of the target that sees it; ``farthest`` (P,) is how far off a camera
    with a tangent of 1 may be. ``extent`` is the radius round the origin in which a relevant camera can be.
    """

    origin: Float32
    points: Float32
    radius: Float32
    sight: Float32
    farthest: Float32
    reach: float
    extent: float

    @cached_property
    def few(self) -> Views:
        """One ball in five."""
        part = slice(None, None, 5)
        return replace(
            self, points=self.points[part], radius=self.radius[part], sight=self.sight[part],
            farthest=self.farthest[part],
        )

    @cached_property
    def factors(self) -> tuple[Float32, Float32, Float32, Float32]:
        """What rows of ``_numbers`` are multiplied with to give, for each ball,

        (5, P) the squared distance; (5, P) the distance along the target's line of sight, over ``OPPOSITE``; (4, P) the
        distance along the camera's axis; (5, P) the width of the camera's cone there.
        """
        one, none = np.ones_like(self.radius), np.zeros_like(self.radius)
        square = np.einsum("ij,ij->i", self.points, self.points)
        along = np.einsum("ij,ij->i", self.sight, self.points)
        return (
            np.vstack([-2 * self.points.T, one, square]),
            np.vstack([-self.sight.T, none, along]) / np.float32(OPPOSITE),
            np.vstack([self.points.T, one]),
            np.vstack([self.points.T, one, self.radius]),
        )


def views(poses: FloatArray, intrinsics: FloatArray, anchor: FloatArray, reach: float) -> Views:
    """The views of target cameras (T, 4, 4) with intrinsics (T, 4), up to ``reach`` scene units from each."""
    chosen = different_views(poses, reach)
    poses, intrinsics = poses[chosen], intrinsics[chosen]
    rays = _rays(intrinsics)
    depth = reach * np.array(DEPTHS)
    turned = rays @ np.swapaxes(poses[:, :3, :3], 1, 2) @ anchor[:3, :3]
    positions = cones(poses, intrinsics, anchor).position.astype(np.float64)
    points = positions[:, None, None] + turned[:, :, None] * depth[:, None]
    shape = points.shape[:3]
    size = _half_sizes(intrinsics)
    radius = np.broadcast_to(size[:, None, None] * depth, shape).ravel()
    farthest = np.broadcast_to(tangents(intrinsics)[:, None, None] * depth / LEAST_DENSITY, shape).ravel()
    sight = np.broadcast_to(turned[:, :, None], points.shape).reshape(-1, 3)
    points = points.reshape(-1, 3)
    origin = (points.min(axis=0) + points.max(axis=0)) / 2
    points = points - origin
    extent = float((np.linalg.norm(points, axis=1) + radius).max()) + reach
    return Views(
        origin.astype(np.float32), points.astype(np.float32), radius.astype(np.float32), sight.astype(np.float32),
        farthest.astype(np.float32), reach, extent,
    )


def different_views(poses: FloatArray, reach: float) -> NDArray[np.intp]:
    """Up to six target cameras that differ most; those within 12 degrees or a quarter of the reach count as one. Of
    poses (T, 4, 4) their numbers (n,), ascending; ``reach`` in scene units."""
    position, axis = np.clip(poses[:, :3, 3], -FARTHEST, FARTHEST), poses[:, :3, 2]
    chosen, distance = [0], np.full(len(poses), np.inf)
    while len(chosen) < min(VIEWS, len(poses)):
        moved = np.linalg.norm(position - position[chosen[-1]], axis=1) / (0.4 * reach)
        turned = np.arccos(np.clip(axis @ axis[chosen[-1]], -1.0, 1.0)) / np.radians(20.0)
        distance = np.minimum(distance, moved + turned)
        farthest = int(np.argmax(distance))
        if distance[farthest] < DIFFERENT:
            break
        chosen.append(farthest)
    return np.sort(chosen)


def meets(
    target: Views, position: Float32, axis: Float32, angle: Float32, tangent: Float32, slack: float = 0.0
) -> NDArray[np.bool_]:
    """(n,) whether cameras at ``position`` (n, 3) along ``axis`` (n, 3) have a ball of the views in view.

    ``angle`` (n,) is the half angle of their cones in radians, ``tangent`` (n,) that of their fields of view, ``slack``
    how far each may be from its position.
    """
    result = np.zeros(len(position), dtype=np.bool_)
    position = position - target.origin
    square = np.einsum("ij,ij->i", position, position)
    rows = np.flatnonzero(square <= (target.extent + slack) ** 2)
    if not len(rows):
        return result
    numbers = _numbers(position[rows], square[rows], axis[rows], angle[rows], slack)
    opening = tangent[rows, None]
    # Most cameras that share anything share one ball in five: the others need not be looked at for them.
    open_rows = np.arange(len(rows))
    for balls in (target.few, target):
        step = _PAIRS // len(balls.radius)
        for begin in range(0, len(open_rows), step):
            some = open_rows[begin : begin + step]
            result[rows[some]] = _share(balls, numbers[some], opening[some], slack)
        open_rows = np.flatnonzero(~result[rows])
    return result


def _numbers(position: Float32, square: Float32, axis: Float32, angle: Float32, slack: float) -> Float32:
    """(n, 15) what each camera brings to the products with ``Views.factors``, and the squared sine of its angle."""
    # A cone that opens to a half space or more, as of a cell of wide fields of view, is taken to hold everything.
    flat = angle >= _FLAT
    steep = np.tan(np.where(flat, np.float32(0), angle))
    side = np.where(flat, _EVERYWHERE, np.sqrt(1 + steep * steep))
    back = np.einsum("ij,ij->i", axis, position)
    result = np.empty((len(position), 15), dtype=np.float32)
    result[:, 0:3], result[:, 3], result[:, 4] = position, square, 1.0
    result[:, 5:8], result[:, 8] = axis, -back
    result[:, 9:12], result[:, 12], result[:, 13] = steep[:, None] * axis, slack * side - steep * back, side
    result[:, 14] = np.where(flat, 1, 1 - 1 / (side * side))
    return result


def _share(target: Views, numbers: Float32, opening: Float32, slack: float) -> NDArray[np.bool_]:
    """As ``meets``, all balls against all cameras, without a root: ``x |x|`` keeps the sign of what is squared."""
    for_distance, for_side, for_depth, for_cone = target.factors
    sine = numbers[:, 14:]
    squared, facing = numbers[:, :5] @ for_distance, numbers[:, :5] @ for_side
    ahead, within = numbers[:, 5:9] @ for_depth, numbers[:, 9:14] @ for_cone
    room = target.radius + np.float32(slack)
    # In the cone: its distance from the axis is at most that of the cone's side, moved out by the ball's radius.
    within *= np.abs(within)
    within += ahead * ahead
    found = squared <= within
    # Behind the side's foot only the tip is near.
    ahead *= np.abs(ahead)
    ahead += sine * squared
    found &= (ahead >= 0) | (squared <= room * room)
    # Near enough; with one field of view for all, as in most films, a row of limits.
    opening = opening[:1] if opening.min() == opening.max() else opening
    limit = np.minimum(target.farthest / opening, np.float32(target.reach)) + room
    limit *= limit
    found &= squared <= limit
    # From the same side: the line to the ball against the target's line of sight to it.
    if slack:
        facing += np.float32((1 + OPPOSITE) / OPPOSITE * slack)
    facing *= np.abs(facing)
    squared += facing
    found &= squared >= 0
    return np.asarray(found.any(axis=1))


def _rays(intrinsics: FloatArray) -> FloatArray:
    """(T, 8, 3) unit rays through an even grid of the picture, finer along its longer side."""
    wide = intrinsics[0, 0] <= intrinsics[0, 1]
    columns, rows = (FINE, COARSE) if wide else (COARSE, FINE)
    x, y = np.meshgrid(*(pixel_middles(np.arange(count, dtype=np.float64)) for count in (columns, rows)))
    ray = np.ones((len(intrinsics), FINE * COARSE, 3))
    ray[..., :2] = np.stack(slopes(x.ravel(), y.ravel(), split(intrinsics, 1)), axis=-1).clip(-_STEEP, _STEEP)
    return np.asarray(ray / np.linalg.norm(ray, axis=-1, keepdims=True))


def _half_sizes(intrinsics: FloatArray) -> FloatArray:
    """(T,) half the size of a part of the picture at a distance of 1, so that the balls leave no gaps to speak of."""
    wide = intrinsics[0, 0] <= intrinsics[0, 1]
    columns, rows = (FINE, COARSE) if wide else (COARSE, FINE)
    half = np.maximum(0.5 / (intrinsics[:, 0] * columns), 0.5 / (intrinsics[:, 1] * rows))
    return np.asarray(np.minimum(half, 1.0))

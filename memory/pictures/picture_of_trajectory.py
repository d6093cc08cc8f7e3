"""A picture of a camera path: from above, from the side, and in perspective, with what a memory has seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray, horizontal_fov, look_at, rigid_inverse
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from .drawing import (
    LINE,
    MARGIN,
    PANEL,
    QUIET,
    TEXT,
    WHITE,
    Colour,
    Pixels,
    canvas,
    round_units,
    scale_bar,
    series_colour,
    write,
)  # fmt: skip

SIDE = 420
MOST_CAMERAS, MOST_FRAMES = 9, 2000
_SEEN: Colour = (92, 98, 108)
_GRID: Colour = (46, 50, 56)
_AZIMUTH, _ELEVATION, _VIEW = 35.0, 30.0, 40.0
_CORNERS = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))

Cameras = tuple[FloatArray, FloatArray]


def trajectory_picture(path: Trajectory, seen: Cameras | None = None) -> Pixels:
    """Draw a path (H, W, 3) uint8: three views beside each other, and figures below.

    The path runs from red at its first frame to violet at its last, with the view of some of its cameras; ``seen``,
    poses (n, 4, 4) and intrinsics (n, 4) of remembered frames, is grey.
    """
    rows = spread(len(path), MOST_FRAMES)
    way = path.poses[rows, :3, 3]
    shown = spread(len(path), MOST_CAMERAS)
    size = _glyph_size(path, seen)
    glyphs = [_glyph(path.poses[row], path.intrinsics[row], size) for row in shown]
    old = []
    if seen is not None and len(seen[0]):
        picked = spread(len(seen[0]), MOST_FRAMES // 4)
        old = [_glyph(seen[0][row], seen[1][row], 0.6 * size) for row in picked]
    points = np.concatenate([way, *glyphs, *old])
    panels = []
    for title, view in (
        ("from above", _flat(points[:, [0, 2]], lambda p: p[:, [0, 2]])),
        ("from the side", _from_the_side(points, path)),
        ("in perspective", _in_perspective(points, path)),
    ):
        picture = canvas(SIDE, SIDE, PANEL)
        view.ground(picture)
        for glyph in old:
            _draw(picture, view, glyph, _SEEN)
        at = view.pixels(way)
        for i in range(len(at) - 1):
            cv2.line(picture, at[i], at[i + 1], series_colour(i, len(at) - 1), 2, cv2.LINE_AA)
        for row, glyph in zip(shown, glyphs, strict=True):
            _draw(picture, view, glyph, series_colour(int(row), len(path)))
        cv2.circle(picture, view.pixels(way[:1])[0], 4, WHITE, -1, cv2.LINE_AA)
        write(picture, title, (MARGIN, LINE + 2), TEXT)
        panels.append(picture)
    gap = canvas(SIDE, 2)
    above = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    return np.concatenate([above, _figures(path, seen, above.shape[1])])


def figures(path: Trajectory) -> str:
    """A path in words: its length in frames, seconds and scene units, how far it turns, and its lens."""
    moved = float(np.linalg.norm(np.diff(path.poses[:, :3, 3], axis=0), axis=1).sum())
    turns = Rotation.from_matrix(path.poses[:, :3, :3])
    turned = math.degrees(float((turns[:-1].inv() * turns[1:]).magnitude().sum())) if len(path) > 1 else 0.0
    widths = [horizontal_fov(one) for one in path.intrinsics[spread(len(path), MOST_FRAMES)]]
    least, most = min(widths), max(widths)
    fov = f"{least:.1f}" if most - least < 0.05 else f"{widths[0]:.1f} to {widths[-1]:.1f}"
    return (
        f"{len(path)} frames, {path.duration:.2f} s at {path.fps:g} frames a second, {moved:.2f} units of way, "
        f"{turned:.0f} degrees of turning, field of view {fov} degrees"
    )


@dataclass(frozen=True)
class _View:
    """How points (n, 3) of the scene come to stand on a panel, and what is drawn beneath them."""

    project: Callable[[FloatArray], FloatArray]
    ground: Callable[[Pixels], None]

    def pixels(self, points: FloatArray) -> list[tuple[int, int]]:
        pixels = np.clip(np.nan_to_num(self.project(points)), -1e4, 1e4).round().astype(int)
        return [(int(x), int(y)) for x, y in pixels]


def _from_the_side(points: FloatArray, path: Trajectory) -> _View:
    """Height upwards, and to the right the horizontal direction in which the path goes farthest."""
    level = path.poses[:, [0, 2], 3] - path.poses[0, [0, 2], 3]
    far = level[int(np.argmax(np.linalg.norm(level, axis=1)))]
    length = float(np.linalg.norm(far))
    along = far / length if length > 1e-9 else np.array([0.0, 1.0])

    def flat(p: FloatArray) -> FloatArray:
        return np.column_stack([p[:, [0, 2]] @ along, -p[:, 1]])

    return _flat(flat(points), flat)


def _flat(positions: FloatArray, flat: Callable[[FloatArray], FloatArray]) -> _View:
    """A map of ``positions`` (n, 2), the second number upwards, with a scale bar."""
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2.0
    scale = min(0.84 * SIDE / max(float(np.ptp(positions, axis=0).max()), 1e-9), 1e9)

    def project(points: FloatArray) -> FloatArray:
        return np.asarray((flat(points) - middle) * (scale, -scale) + SIDE / 2.0, dtype=np.float64)

    def ground(picture: Pixels) -> None:
        scale_bar(picture, (SIDE - MARGIN, SIDE - MARGIN), scale, 0.25 * SIDE)

    return _View(project, ground)


def _in_perspective(points: FloatArray, path: Trajectory) -> _View:
    """Seen from behind the first camera, from its left and from above, over a level grid."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2.0
    reach = max(float(np.linalg.norm(points - middle, axis=1).max()), 1e-9)
    heading = math.atan2(path.poses[0, 0, 2], path.poses[0, 2, 2]) + math.radians(_AZIMUTH)
    up = math.radians(_ELEVATION)
    back = -np.array([math.sin(heading) * math.cos(up), math.sin(up), math.cos(heading) * math.cos(up)])
    away = reach / math.sin(math.radians(_VIEW) / 2.0)
    eye = rigid_inverse(look_at(middle + away * back, middle))
    focal = 0.5 * SIDE / math.tan(math.radians(_VIEW) / 2.0)
    floor = float(points[:, 1].max())

    def project(given: FloatArray) -> FloatArray:
        seen = given @ eye[:3, :3].T + eye[:3, 3]
        return np.asarray(SIDE / 2.0 + focal * seen[:, :2] / np.maximum(seen[:, 2:], 1e-6 * reach), dtype=np.float64)

    def ground(picture: Pixels) -> None:
        step = round_units(reach / 2.0)
        ends = np.arange(-4, 5) * step
        centre = np.round(middle[[0, 2]] / step) * step
        for end in ends:
            for line in (
                [[end, ends[0]], [end, ends[-1]]],
                [[ends[0], end], [ends[-1], end]],
            ):
                level = np.array(line) + centre
                corners = np.column_stack([level[:, 0], np.full(2, floor), level[:, 1]])
                a, b = _View(project, ground).pixels(corners)
                cv2.line(picture, a, b, _GRID, 1, cv2.LINE_AA)

    return _View(project, ground)


def _glyph(pose: FloatArray, intrinsics: FloatArray, size: float) -> FloatArray:
    """A camera as a pyramid (5, 3): its position, and the corners of its picture ``size`` units before it."""
    fx, fy, cx, cy = intrinsics
    corners = np.array([[0, 0, 0], [-cx / fx, -cy / fy, 1], [(1 - cx) / fx, -cy / fy, 1],
                        [(1 - cx) / fx, (1 - cy) / fy, 1], [-cx / fx, (1 - cy) / fy, 1]])  # fmt: skip
    corners *= size / max(1.0, float(np.abs(corners).max()))
    return np.asarray(corners @ pose[:3, :3].T + pose[:3, 3], dtype=np.float64)


def _draw(picture: Pixels, view: _View, glyph: FloatArray, colour: Colour) -> None:
    at = view.pixels(glyph)
    for a, b in _CORNERS:
        cv2.line(picture, at[a], at[b], colour, 1, cv2.LINE_AA)


def _glyph_size(path: Trajectory, seen: Cameras | None) -> float:
    positions = path.poses[:, :3, 3] if seen is None else np.concatenate([path.poses[:, :3, 3], seen[0][:, :3, 3]])
    extent = float(np.ptp(positions, axis=0).max())
    # A camera that only turns stands in one place: then its view is all there is to see.
    return 0.18 * extent if extent > 1e-6 else 1.0


def _figures(path: Trajectory, seen: Cameras | None, width: int) -> Pixels:
    lines: Sequence[str] = [
        path.name or "camera path",
        figures(path),
        "white dot and red = first frame, violet = last"
        + (f", grey = {len(seen[0])} remembered frames" if seen is not None and len(seen[0]) else ""),
    ]
    picture = canvas(len(lines) * (LINE + 3) + 2 * MARGIN, width)
    for row, (line, colour) in enumerate(zip(lines, (WHITE, TEXT, QUIET), strict=True)):
        write(picture, line, (MARGIN, MARGIN + LINE + row * (LINE + 3)), colour, room=width - 2 * MARGIN)
    return picture

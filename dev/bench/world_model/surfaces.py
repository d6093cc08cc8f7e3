"""What a rendered picture shows, pixel by pixel, from the scene itself: surface, pattern and colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....world.scenes import EYE_HEIGHT, Room, Scene, Surface
from ....world.vocabulary import COLOURS

SURFACES = ("sky", "floor", "wall", "ceiling", "window", "door", "picture", "prop")
PATTERNS = ("plain", "striped", "panelled", "brick", "checkered", "planked", "tiled", "stone", "grassy", "sandy")
COLOUR_NAMES = tuple(COLOURS)
THINGS = tuple(SURFACES.index(kind) for kind in ("window", "door", "picture", "prop"))
GROUNDS = tuple(SURFACES.index(kind) for kind in ("floor", "wall", "ceiling"))
"""Surfaces that go on behind the edge of a picture."""

UNKNOWN = -1
# How far from its plane a point may be, in metres and per metre of distance: depth is that of a pixel's nearest ray.
NEAR, NEARER = 0.02, 0.008
INWARD = 0.03


@dataclass(frozen=True)
class Shown:
    """Numbers in SURFACES, PATTERNS and COLOUR_NAMES, each (F, H, W) int64; UNKNOWN where there is none to tell."""

    surface: NDArray[np.int64]
    pattern: NDArray[np.int64]
    colour: NDArray[np.int64]

    def __getitem__(self, index: object) -> Shown:
        return Shown(self.surface[index], self.pattern[index], self.colour[index])  # type: ignore[index]


def shown_in(
    scene: Scene, poses: NDArray[np.float64], lenses: NDArray[np.float64], depth: NDArray[np.float32]
) -> Shown:
    """What each pixel shows, from poses (F, 4, 4), normalised intrinsics (F, 4) and z-depth (F, H, W), inf for sky."""
    height, width = depth.shape[1:]
    fx, fy, cx, cy = (lenses[:, part, None, None] for part in range(4))
    across = ((np.arange(width) + 0.5) / width - cx) / fx + np.zeros((1, height, 1))
    down = ((np.arange(height)[:, None] + 0.5) / height - cy) / fy + np.zeros((1, 1, width))
    rays = np.einsum("fij,fjhw->fihw", poses[:, :3, :3], np.stack([across, down, np.ones_like(across)], 1))
    far = np.where(np.isfinite(depth), depth, 0.0)
    points = poses[:, :3, 3, None, None] + rays * far[:, None]
    length = np.linalg.norm(rays, axis=1)
    inside = points - INWARD * rays / length[:, None]
    allowed = NEAR + NEARER * far * length
    surface = np.full(depth.shape, SURFACES.index("prop"))
    pattern, colour = np.full(depth.shape, UNKNOWN), np.full(depth.shape, UNKNOWN)
    room_of = _rooms(scene, inside[:, 0], inside[:, 2])
    for number, room in enumerate(scene.rooms):
        here = (room_of == number) & np.isfinite(depth)
        _label(scene, room, points, allowed, here, surface, pattern, colour)
    surface[~np.isfinite(depth)] = SURFACES.index("sky")
    return Shown(surface, pattern, colour)


def _rooms(scene: Scene, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.int64]:
    outside = []
    for room in scene.rooms:
        x0, x1, z0, z1 = room.bounds
        outside.append(np.max([x0 - x, x - x1, z0 - z, z - z1], axis=0))
    return np.argmin(outside, axis=0)


def _label(
    scene: Scene,
    room: Room,
    points: NDArray[np.float64],
    allowed: NDArray[np.float64],
    here: NDArray[np.bool_],
    surface: NDArray[np.int64],
    pattern: NDArray[np.int64],
    colour: NDArray[np.int64],
) -> None:
    """Fill in the pixels `here` that show a room's own surfaces; what is on none of them stays a prop."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    above = EYE_HEIGHT - y

    def mark(where: NDArray[np.bool_], kind: str, look: Surface | None) -> None:
        surface[where] = SURFACES.index(kind)
        pattern[where] = UNKNOWN if look is None else PATTERNS.index(look.pattern)
        colour[where] = UNKNOWN if look is None else nearest_colour(look.colour)

    mark(here & (above < allowed), "floor", room.floor)
    if scene.place == "landscape":
        return
    if room.roofed:
        roof = here & (room.height - above < allowed)
        mark(roof, "ceiling", None)
        colour[roof] = nearest_colour(room.ceiling)
    x0, x1, z0, z1 = room.bounds
    middle = here & (above >= allowed) & ((room.height - above >= allowed) if room.roofed else True)
    for wall, off in enumerate((z - z0, z1 - z, x - x0, x1 - x)):
        on = middle & (np.abs(off) < allowed)
        along = x - x0 if wall in (0, 1) else z - z0
        mark(on, "wall", room.walls[wall])
        for opening in room.openings:
            if opening.wall == wall:
                inside = (along > opening.left) & (along < opening.right)
                mark(on & inside & (above > opening.bottom) & (above < opening.top), opening.kind, None)


def nearest_colour(colour: tuple[float, float, float]) -> int:
    """Number in COLOUR_NAMES of the named colour that is nearest."""
    named = np.array([COLOURS[name] for name in COLOUR_NAMES])
    return int(np.argmin(((named - np.array(colour)) ** 2).sum(axis=1)))

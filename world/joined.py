"""Rooms joined by doorways, so that walls hide what is behind them and a camera can walk from one to the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .scenes import Doorway, Opening, Prop, Room, Scene, draw_looks, draw_openings, draw_props, word_caption

MOST_ROOMS = 6
SHARED_WALL = 1.9
OPPOSITE = (1, 0, 3, 2)

Bounds = tuple[float, float, float, float]


def join_rooms(scene: Scene, hour: str, dim: bool) -> Scene:
    """The scene with one to five rooms more, each joined to one that was there before."""
    rng = np.random.default_rng([scene.seed, 11])
    rooms, props = list(scene.rooms), list(scene.props)
    wanted = int(rng.integers(2, MOST_ROOMS + 1))
    for _ in range(40):
        if len(rooms) == wanted:
            break
        host, wall = int(rng.integers(len(rooms))), int(rng.integers(4))
        bounds = _beside(rng, rooms[host].bounds, wall)
        if any(_meet(bounds, room.bounds) for room in rooms):
            continue
        looks, number = draw_looks(rng, "rooms"), len(rooms)
        there, back = _doorways(rng, rooms[host], bounds, wall, host, number)
        height = max(float(rng.uniform(2.5, 3.3)), there.top + 0.2)
        centre = (bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2
        own = tuple(
            _moved(prop, *centre) for prop in draw_props(rng, tuple(np.subtract(bounds, np.repeat(centre, 2))), "rooms")
        )
        props += own
        rooms[host] = replace(rooms[host], doorways=(*rooms[host].doorways, there))
        openings = draw_openings(rng, bounds, height, "rooms")
        caption = word_caption("rooms", looks, hour, dim, own)
        rooms.append(
            Room(bounds, height, True, looks.walls, looks.floor, rooms[0].ceiling, openings, (back,), caption)
        )
    ways = [(room, doorway) for room in rooms for doorway in room.doorways]
    free = tuple(prop for prop in props if all(_clear(prop, room, doorway) for room, doorway in ways))
    rooms = [replace(room, openings=tuple(o for o in room.openings if _beside_doorways(o, room))) for room in rooms]
    return replace(scene, rooms=tuple(rooms), props=free)


def doorway_place(room: Room, doorway: Doorway, inside: float = 0.0) -> tuple[float, float]:
    """(x, z) of a doorway's middle, or of the place `inside` metres in the room from it."""
    x0, x1, z0, z1 = room.bounds
    middle = (doorway.left + doorway.right) / 2
    return (
        (x0 + middle, z0 + inside),
        (x0 + middle, z1 - inside),
        (x0 + inside, z0 + middle),
        (x1 - inside, z0 + middle),
    )[doorway.wall]


def _beside(rng: np.random.Generator, bounds: Bounds, wall: int) -> Bounds:
    """Bounds of a new room behind a wall, that shares enough of it for a doorway."""
    deep, wide = (float(side) for side in rng.uniform(4.0, 7.5, 2))
    x0, x1, z0, z1 = bounds
    low, high = (x0, x1) if wall in (0, 1) else (z0, z1)
    start = float(rng.uniform(low - wide + SHARED_WALL, high - SHARED_WALL))
    if wall in (0, 1):
        return (start, start + wide, z0 - deep, z0) if wall == 0 else (start, start + wide, z1, z1 + deep)
    return (x0 - deep, x0, start, start + wide) if wall == 2 else (x1, x1 + deep, start, start + wide)


def _meet(one: Bounds, other: Bounds) -> bool:
    near = 1e-6
    return (
        one[0] < other[1] - near and other[0] < one[1] - near and one[2] < other[3] - near and other[2] < one[3] - near
    )


def _doorways(
    rng: np.random.Generator, host: Room, bounds: Bounds, wall: int, host_number: int, number: int
) -> tuple[Doorway, Doorway]:
    """The doorway as the host sees it, and as the new room does."""
    axis = 0 if wall in (0, 1) else 2
    low, high = max(host.bounds[axis], bounds[axis]), min(host.bounds[axis + 1], bounds[axis + 1])
    width = float(rng.uniform(1.1, 1.5))
    left = float(rng.uniform(low + 0.2, high - 0.2 - width))
    top = min(float(rng.uniform(2.05, 2.35)), host.height - 0.15)
    tone = float(rng.uniform(0.25, 0.9))
    colour = (tone, 0.93 * tone, 0.84 * tone)
    here, there = left - host.bounds[axis], left - bounds[axis]
    return (
        Doorway(wall, here, here + width, top, number, colour),
        Doorway(OPPOSITE[wall], there, there + width, top, host_number, colour),
    )


def _moved(prop: Prop, x: float, z: float) -> Prop:
    return replace(prop, x=prop.x + x, z=prop.z + z)


def _clear(prop: Prop, room: Room, doorway: Doorway) -> bool:
    x, z = doorway_place(room, doorway)
    return float(np.hypot(prop.x - x, prop.z - z)) > prop.radius + 1.6


def _beside_doorways(opening: Opening, room: Room) -> bool:
    return all(
        opening.wall != doorway.wall or opening.right < doorway.left - 0.2 or opening.left > doorway.right + 0.2
        for doorway in room.doorways
    )

"""Seeded floor plans: walls as lines in the horizontal plane, in metres. Only the oracle knows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Line = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class FloorPlan:
    """``walls`` (S, 2, 2) from x z to x z; ``rooms`` (R, 4) are boxes x0 z0 x1 z1 that a walk visits."""

    kind: str
    walls: FloatArray
    rooms: FloatArray

    @property
    def extent(self) -> tuple[FloatArray, FloatArray]:
        """Least and greatest x z of the walls."""
        ends = self.walls.reshape(-1, 2)
        return ends.min(axis=0), ends.max(axis=0)


def open_hall(random: np.random.Generator) -> FloorPlan:
    """A hall of about 24 m with pillars and screens that stand at any angle."""
    width, depth = random.uniform(20, 28, 2)
    lines = _box(0, 0, width, depth)
    centres: list[FloatArray] = []
    while len(centres) < 10:
        centre = random.uniform((2.5, 2.5), (width - 2.5, depth - 2.5))
        if all(np.hypot(*(centre - other)) > 3.6 for other in centres):
            centres.append(centre)
            lines += _block(centre, random.uniform(0.5, 2.6), random.uniform(0.4, 1.2), random.uniform(0, np.pi))
    parts = [(x, z) for x in range(3) for z in range(3)]
    rooms = [(x * width / 3, z * depth / 3, (x + 1) * width / 3, (z + 1) * depth / 3) for x, z in parts]
    return _plan("open", lines, rooms)


def joined_rooms(random: np.random.Generator) -> FloorPlan:
    """Three by three rooms of 4 to 8 m, doors of about a metre, a piece or two of furniture in each."""
    xs = np.concatenate([[0.0], np.cumsum(random.uniform(4, 8, 3))])
    zs = np.concatenate([[0.0], np.cumsum(random.uniform(4, 8, 3))])
    lines = _box(xs[0], zs[0], xs[3], zs[3])
    doors = _doors(random)
    for i in range(3):
        for j in range(3):
            if i < 2:
                open_here = ((i, j), (i + 1, j)) in doors
                lines += _upright(xs[i + 1], zs[j], zs[j + 1], random, open_here)
            if j < 2:
                open_here = ((i, j), (i, j + 1)) in doors
                lines += _level(zs[j + 1], xs[i], xs[i + 1], random, open_here)
    rooms = [(xs[i], zs[j], xs[i + 1], zs[j + 1]) for i in range(3) for j in range(3)]
    for x0, z0, x1, z1 in rooms:
        for _ in range(int(random.integers(1, 3))):
            centre = random.uniform((x0 + 1.5, z0 + 1.5), (x1 - 1.5, z1 - 1.5))
            lines += _block(centre, random.uniform(0.4, 1.2), random.uniform(0.3, 0.8), random.uniform(0, np.pi))
    return _plan("rooms", lines, rooms)


def corridor_loop(random: np.random.Generator) -> FloorPlan:
    """A corridor two metres wide round a block of rooms, with more rooms outside it."""
    width, depth, wide = random.uniform(16, 22), random.uniform(12, 16), random.uniform(2.0, 2.6)
    deep = random.uniform(4, 5.5)
    lines = _box(-deep, -deep, width + deep, depth + deep)
    inner = (wide, wide, width - wide, depth - wide)
    rooms: list[Line] = [(0, 0, width, wide), (width - wide, 0, width, depth), (0, depth - wide, width, depth),
                         (0, 0, wide, depth)]
    # The block inside: two rooms beside each other, a door of each to the corridor.
    middle = random.uniform(0.4, 0.6) * (inner[2] - inner[0]) + inner[0]
    lines += _upright(middle, inner[1], inner[3], random, False)
    lines += _upright(inner[0], inner[1], inner[3], random, True) + _upright(inner[2], inner[1], inner[3], random, True)
    for z in (inner[1], inner[3]):
        lines += _level(z, inner[0], middle, random, z == inner[1]) + _level(z, middle, inner[2], random, z == inner[3])
    rooms += [(inner[0], inner[1], middle, inner[3]), (middle, inner[1], inner[2], inner[3])]
    # Rooms outside along two sides; the other two sides of the corridor are blank walls.
    lines += [(0, 0, 0, depth), (width, 0, width, depth), (-deep, 0, 0, 0), (width, 0, width + deep, 0),
              (-deep, depth, 0, depth), (width, depth, width + deep, depth)]
    for z, other in ((0.0, -deep), (depth, depth + deep)):
        cuts = np.concatenate([[0.0], np.sort(random.uniform(0.25, 0.75, 1)) * width, [width]])
        for a, b in zip(cuts[:-1], cuts[1:], strict=True):
            lines += _level(z, a, b, random, True)
            rooms.append((a, min(z, other), b, max(z, other)))
        lines += [(cut, z, cut, other) for cut in cuts]
    for x0, z0, x1, z1 in rooms[4:]:
        centre = random.uniform((x0 + 1.4, z0 + 1.4), (x1 - 1.4, z1 - 1.4))
        lines += _block(centre, random.uniform(0.4, 1.2), random.uniform(0.3, 0.8), random.uniform(0, np.pi))
    return _plan("corridor", lines, rooms)


KINDS: dict[str, Callable[[np.random.Generator], FloorPlan]] = {
    "open": open_hall, "rooms": joined_rooms, "corridor": corridor_loop,
}


def _plan(kind: str, lines: list[Line], rooms: list[Line]) -> FloorPlan:
    return FloorPlan(kind, np.asarray(lines, dtype=np.float64).reshape(-1, 2, 2), np.asarray(rooms, dtype=np.float64))


def _box(x0: float, z0: float, x1: float, z1: float) -> list[Line]:
    return [(x0, z0, x1, z0), (x1, z0, x1, z1), (x1, z1, x0, z1), (x0, z1, x0, z0)]


def _block(centre: FloatArray, length: float, depth: float, turn: float) -> list[Line]:
    along = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    across = np.array([-np.sin(turn), np.cos(turn)]) * depth / 2
    corners = [centre + along + across, centre + along - across, centre - along - across, centre - along + across]
    return [(*corners[i], *corners[(i + 1) % 4]) for i in range(4)]


def _upright(x: float, z0: float, z1: float, random: np.random.Generator, door: bool) -> list[Line]:
    if not door:
        return [(x, z0, x, z1)]
    start, end = _gap(z0, z1, random)
    return [(x, z0, x, start), (x, end, x, z1)]


def _level(z: float, x0: float, x1: float, random: np.random.Generator, door: bool) -> list[Line]:
    if not door:
        return [(x0, z, x1, z)]
    start, end = _gap(x0, x1, random)
    return [(x0, z, start, z), (end, z, x1, z)]


def _gap(low: float, high: float, random: np.random.Generator) -> tuple[float, float]:
    width = random.uniform(1.2, 1.8)
    start = random.uniform(low + 0.5, high - 0.5 - width)
    return start, start + width


def _doors(random: np.random.Generator) -> set[tuple[tuple[int, int], tuple[int, int]]]:
    """A spanning tree of the three by three rooms and three doors more."""
    pairs = [((i, j), (i + 1, j)) for i in range(2) for j in range(3)]
    pairs += [((i, j), (i, j + 1)) for i in range(3) for j in range(2)]
    group = {(i, j): 3 * i + j for i in range(3) for j in range(3)}
    doors = set()
    spare = []
    for place in random.permutation(len(pairs)):
        a, b = pairs[int(place)]
        if group[a] == group[b]:
            spare.append((a, b))
            continue
        doors.add((a, b))
        old, new = group[b], group[a]
        group = {room: new if value == old else value for room, value in group.items()}
    return doors | set(spare[:3])

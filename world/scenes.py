"""Procedural scenes: rooms, props and light drawn from a seed, and the caption that describes them.

Units are about a metre. Axes are OpenCV's (x right, y down, z forward); the eye starts at the origin and the floor
is `EYE_HEIGHT` below it.

Rooms are joined by doorways, so that walls hide what is behind them and a camera can walk from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .vocabulary import COLOURS

EYE_HEIGHT = 1.5
PLACES = ("room", "courtyard", "landscape", "rooms")

HELD_OUT_SEEDS = range(0, 100_000)
VALIDATION_SEEDS = range(100_000, 200_000)
FIRST_TRAINING_SEED = 1_000_000
JOINED_SHARE = 0.4

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """A painted surface: `pattern` with stripes or tiles of size `scale` in `colour` and `second`."""

    colour: Colour
    second: Colour
    pattern: str = "plain"
    scale: float = 1.0


@dataclass(frozen=True)
class Opening:
    """A window, door or picture: a rectangle on wall number `wall`, in metres along the wall and above the floor."""

    kind: str
    wall: int
    left: float
    right: float
    bottom: float
    top: float
    colour: Colour
    second: Colour


@dataclass(frozen=True)
class Doorway:
    """A way on from wall number `wall` to the room `leads_to`, in metres along the wall; it starts at the floor."""

    wall: int
    left: float
    right: float
    top: float
    leads_to: int
    colour: Colour


@dataclass(frozen=True)
class Prop:
    """An object on the floor: half width `radius`, `height`, turned by `yaw` radians.

    One that moves goes round (x, z) at `speed` radians a second, `orbit` away from it.
    """

    kind: str
    x: float
    z: float
    radius: float
    height: float
    yaw: float
    surface: Surface
    speed: float = 0.0
    orbit: float = 0.0

    def at(self, seconds: float) -> Prop:
        """Where it stands at a time."""
        if not self.speed:
            return self
        angle = self.yaw + self.speed * seconds
        x, z = self.x + self.orbit * float(np.sin(angle)), self.z + self.orbit * float(np.cos(angle))
        return replace(self, x=x, z=z, speed=0.0)


@dataclass(frozen=True)
class Room:
    """A box: `bounds` is (x0, x1, z0, z1). Walls are numbered z0, z1, x0, x1; without a roof there is sky above."""

    bounds: tuple[float, float, float, float]
    height: float
    roofed: bool
    walls: tuple[Surface, Surface, Surface, Surface]
    floor: Surface
    ceiling: Colour
    openings: tuple[Opening, ...]
    doorways: tuple[Doorway, ...]
    caption: str

    def holds(self, x: float, z: float, margin: float = 0.0) -> bool:
        """Whether a place is inside, at least `margin` from the walls."""
        x0, x1, z0, z1 = self.bounds
        return x0 + margin <= x <= x1 - margin and z0 + margin <= z <= z1 - margin


@dataclass(frozen=True)
class Scene:
    """One little world: rooms joined by doorways, or one courtyard, or a landscape, whose room has no walls.

    `caption` tells of the first room, in which the camera starts; each room has its own.
    """

    seed: int
    place: str
    rooms: tuple[Room, ...]
    sky_top: Colour
    sky_low: Colour
    hills: tuple[tuple[float, float, float], ...]
    hill_colour: Colour
    sun: tuple[float, float, float]
    ambient: float
    props: tuple[Prop, ...]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x0, x1, z0, z1) of the first room."""
        return self.rooms[0].bounds

    @property
    def caption(self) -> str:
        return self.rooms[0].caption

    def room_at(self, x: float, z: float) -> int:
        """Number of the room that a place is in, or of the nearest."""
        if len(self.rooms) == 1:
            return 0

        def outside(number: int) -> float:
            x0, x1, z0, z1 = self.rooms[number].bounds
            return max(x0 - x, x - x1, z0 - z, z - z1)

        return min(range(len(self.rooms)), key=outside)


def make_scene(seed: int, place: str = "any") -> Scene:
    """Draw the scene of a seed. `place` is one of PLACES, or "any" to let the seed choose. Raises ``ValueError`` for
    another place."""
    if place not in (*PLACES, "any"):
        raise ValueError(f"place is {place!r}: expected one of {', '.join(PLACES)} or any.")
    # Two generators, so that joined rooms came to the worlds without changing those that were there before.
    if place == "any" and np.random.default_rng([seed, 5]).random() < JOINED_SHARE:
        place = "rooms"
    rng = np.random.default_rng(seed)
    drawn = str(rng.choice(PLACES[:3], p=(0.5, 0.2, 0.3)))
    place = drawn if place == "any" else place
    bounds = draw_bounds(rng)
    height = float(rng.uniform(1.9, 2.8) if place == "courtyard" else rng.uniform(2.5, 3.3))
    looks = draw_looks(rng, place)
    hour = str(rng.choice(("morning", "noon", "evening")))
    sky_top, sky_low = _sky(rng, hour)
    sun = _sun(rng, hour)
    dim = place in ("room", "rooms") and rng.random() < 0.25
    hills = tuple(
        (float(rng.integers(2, 9)), float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.01, 0.045))) for _ in range(3)
    )
    hill_colour = _vary(rng, (0.30, 0.45, 0.34) if hour != "evening" else (0.42, 0.30, 0.42), 0.08)
    openings = draw_openings(rng, bounds, height, place)
    props = draw_props(rng, bounds, place)
    first = Room(
        bounds=bounds,
        height=height,
        roofed=place in ("room", "rooms"),
        walls=looks.walls,
        floor=looks.floor,
        ceiling=_vary(rng, (0.88, 0.87, 0.84), 0.05),
        openings=openings,
        doorways=(),
        caption=word_caption(place, looks, hour, dim, props),
    )
    scene = Scene(
        seed=seed,
        place=place,
        rooms=(first,),
        sky_top=sky_top,
        sky_low=sky_low,
        hills=hills,
        hill_colour=hill_colour,
        sun=sun,
        ambient=0.38 if dim else 0.58,
        props=props,
    )
    if place == "rooms":
        scene = join_rooms(scene, hour, dim)
    return scene


def set_moving(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with one of its props going round in a small circle, 0.3 to 1.2 radians a second."""
    if not scene.props:
        return scene
    chosen = int(rng.integers(len(scene.props)))
    speed = float(rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 1.2))
    moved = replace(scene.props[chosen], speed=speed, orbit=float(rng.uniform(0.2, 0.5)))
    return replace(scene, props=(*scene.props[:chosen], moved, *scene.props[chosen + 1 :]))


@dataclass(frozen=True)
class Looks:
    """Surfaces of a room and their (pattern, colour) in words."""

    wall_name: tuple[str, str]
    walls: tuple[Surface, Surface, Surface, Surface]
    floor_name: tuple[str, str]
    floor: Surface


def draw_bounds(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Walls of a room around the origin, which is at least 1.5 m from each."""
    width, depth = rng.uniform(5.5, 10.0, 2)
    centre = rng.uniform(-1.0, 1.0, 2)
    bounds = (centre[0] - width / 2, centre[0] + width / 2, centre[1] - depth / 2, centre[1] + depth / 2)
    return tuple(map(float, bounds))  # type: ignore[return-value]


def draw_looks(rng: np.random.Generator, place: str) -> Looks:
    """Walls of one pattern in slightly different tints, and a floor that suits the place."""
    wall_name, wall = _surface(rng, ("plain", "striped", "panelled", "brick"), (0.5, 1.1))
    walls = tuple(_tinted(wall, rng) for _ in range(4))
    floor_patterns = {
        "courtyard": ("checkered", "tiled", "stone"),
        "landscape": ("grassy", "sandy", "checkered"),
    }.get(place, ("checkered", "planked", "tiled", "plain"))
    floor_name, floor = _floor(rng, floor_patterns)
    return Looks(wall_name, walls, floor_name, floor)  # type: ignore[arg-type]


def _vary(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    shifted = np.clip(np.asarray(colour) + rng.uniform(-amount, amount, 3) + rng.uniform(-amount, amount), 0.03, 0.97)
    return tuple(map(float, shifted))  # type: ignore[return-value]


def _named_colour(rng: np.random.Generator) -> tuple[str, Colour]:
    name = str(rng.choice(list(COLOURS)))
    return name, _vary(rng, COLOURS[name], 0.05)


def _scaled(colour: Colour, factor: float) -> Colour:
    return tuple(min(0.97, channel * factor) for channel in colour)  # type: ignore[return-value]


def _surface(
    rng: np.random.Generator, patterns: tuple[str, ...], scales: tuple[float, float]
) -> tuple[tuple[str, str], Surface]:
    name, colour = _named_colour(rng)
    pattern = str(rng.choice(patterns))
    second = _scaled(colour, float(rng.uniform(0.55, 0.8))) if rng.random() < 0.6 else _named_colour(rng)[1]
    return (pattern, name), Surface(colour, second, pattern, float(rng.uniform(*scales)))


def _tinted(surface: Surface, rng: np.random.Generator) -> Surface:
    factor = float(rng.uniform(0.88, 1.06))
    return Surface(_scaled(surface.colour, factor), _scaled(surface.second, factor), surface.pattern, surface.scale)


def _floor(rng: np.random.Generator, patterns: tuple[str, ...]) -> tuple[tuple[str, str], Surface]:
    pattern = str(rng.choice(patterns))
    natural = {"grassy": ("green", (0.33, 0.56, 0.24)), "sandy": ("yellow", (0.80, 0.68, 0.44))}
    if pattern in natural:
        name, base = natural[pattern]
        colour = _vary(rng, base, 0.05)
    elif pattern == "planked":
        name, colour = "brown", _vary(rng, (0.55, 0.37, 0.22), 0.09)
    else:
        name, colour = _named_colour(rng)
    second = _scaled(colour, float(rng.uniform(0.55, 0.82)))
    return (pattern, name), Surface(colour, second, pattern, float(rng.uniform(0.7, 1.6)))


def _sky(rng: np.random.Generator, hour: str) -> tuple[Colour, Colour]:
    top, low = {
        "morning": ((0.42, 0.62, 0.90), (0.93, 0.86, 0.78)),
        "noon": ((0.25, 0.50, 0.88), (0.78, 0.88, 0.96)),
        "evening": ((0.38, 0.30, 0.55), (0.96, 0.58, 0.34)),
    }[hour]
    return _vary(rng, top, 0.05), _vary(rng, low, 0.04)


def _sun(rng: np.random.Generator, hour: str) -> tuple[float, float, float]:
    yaw = rng.uniform(0, 2 * np.pi)
    pitch = np.deg2rad({"morning": 35.0, "noon": 65.0, "evening": 22.0}[hour] + rng.uniform(-6, 6))
    return float(np.cos(pitch) * np.sin(yaw)), float(-np.sin(pitch)), float(np.cos(pitch) * np.cos(yaw))


def draw_openings(
    rng: np.random.Generator, bounds: tuple[float, ...], wall_height: float, place: str
) -> tuple[Opening, ...]:
    """Windows, doors and pictures along the four walls."""
    if place == "landscape":
        return ()
    kinds = ("window", "door") if place == "courtyard" else ("window", "door", "picture")
    found = []
    for wall in range(4):
        length = (bounds[1] - bounds[0]) if wall in (0, 1) else (bounds[3] - bounds[2])
        cursor = float(rng.uniform(0.5, 1.6))
        while cursor < length - 1.5:
            kind = str(rng.choice(kinds))
            width, bottom, top = {
                "window": (rng.uniform(1.0, 1.9), 0.9, min(2.1, wall_height - 0.3)),
                "door": (rng.uniform(0.9, 1.1), 0.0, min(2.05, wall_height - 0.2)),
                "picture": (rng.uniform(0.7, 1.5), 1.1, min(1.95, wall_height - 0.3)),
            }[kind]
            if cursor + width > length - 0.4:
                break
            colour = _vary(rng, (0.42, 0.27, 0.16), 0.08) if kind == "door" else _named_colour(rng)[1]
            second = _named_colour(rng)[1]
            found.append(Opening(kind, wall, cursor, cursor + float(width), bottom, float(top), colour, second))
            cursor += float(width) + float(rng.uniform(0.9, 3.2))
    return tuple(found)


def draw_props(rng: np.random.Generator, bounds: tuple[float, ...], place: str) -> tuple[Prop, ...]:
    """Boxes, pillars, balls and cones that leave the origin free."""
    found: list[Prop] = []
    wanted = int(rng.integers(3, 8))
    for _ in range(60):
        if len(found) == wanted:
            break
        kind = str(rng.choice(("box", "pillar", "ball", "cone")))
        radius = float(
            {"box": rng.uniform(0.25, 0.6), "pillar": rng.uniform(0.12, 0.3)}.get(kind, rng.uniform(0.25, 0.55))
        )
        height = float(
            {"box": rng.uniform(0.4, 1.5), "pillar": rng.uniform(1.2, 2.2), "ball": 2 * radius}.get(
                kind, rng.uniform(0.7, 1.7)
            )
        )
        margin = radius + 0.15
        if place == "landscape":
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(2.0, 7.0)
            x, z = float(distance * np.sin(angle)), float(distance * np.cos(angle))
        else:
            x = float(rng.uniform(bounds[0] + margin, bounds[1] - margin))
            z = float(rng.uniform(bounds[2] + margin, bounds[3] - margin))
        if np.hypot(x, z) < 1.5 + radius:
            continue
        if any(np.hypot(x - other.x, z - other.z) < radius + other.radius + 0.3 for other in found):
            continue
        _, surface = _surface(rng, ("plain", "plain", "striped", "checkered"), (0.3, 0.6))
        found.append(Prop(kind, x, z, radius, height, float(rng.uniform(0, np.pi)), surface))
    return tuple(found)


def _nearest_colour(colour: Colour) -> str:
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], colour, strict=True)))


def word_caption(place: str, looks: Looks, hour: str, dim: bool, props: tuple[Prop, ...]) -> str:
    """Word it so that the most visible comes first: captions are cut at MAX_TOKENS."""
    parts = [f"{'' if place == 'rooms' else 'a '}{'dim ' if dim else ''}{place} in the {hour}"]
    if place != "landscape":
        parts.append(f"with {looks.wall_name[1]} {looks.wall_name[0]} walls")
    ground = "ground" if place == "landscape" else "floor"
    parts.append(f"{looks.floor_name[1]} {looks.floor_name[0]} {ground}")
    ahead = sorted(props, key=lambda prop: abs(np.arctan2(prop.x, prop.z)))[:3]
    parts += [f"a {_nearest_colour(prop.surface.colour)} {prop.kind}" for prop in ahead]
    return ", ".join(parts)


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

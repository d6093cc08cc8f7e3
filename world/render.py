"""A vectorised ray caster for procedural scenes: pictures from camera poses, in torch, on any device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .scenes import EYE_HEIGHT, Colour, Prop, Scene, Surface

FAR = 1.0e6
FOG_DISTANCE = 45.0


def render(
    scene: Scene,
    poses: np.ndarray | Tensor,
    intrinsics: np.ndarray | Tensor,
    width: int,
    height: int,
    supersample: int = 2,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Render frames of a scene.

    Args:
        poses: (F, 4, 4) camera-to-world, OpenCV axes, scene units.
        intrinsics: (F, 4) fx fy cx cy, normalised by width and height.
        supersample: rays along each side of a pixel.

    Returns:
        (F, height, width, 3) uint8.
    """
    pose = torch.as_tensor(np.array(poses), dtype=torch.float32, device=device)
    lens = torch.as_tensor(np.array(intrinsics), dtype=torch.float32, device=device)
    rows, columns = height * supersample, width * supersample
    direction = _ray_directions(pose, lens, columns, rows)
    origin = pose[:, :3, 3].repeat_interleave(rows * columns, dim=0)
    colour = _shade(scene, origin.unbind(1), direction.unbind(1))
    picture = torch.stack(colour, dim=0).reshape(3, len(pose), height, supersample, width, supersample)
    picture = picture.mean(dim=(3, 5)).clamp(0, 1)
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 3, 0).contiguous()


Vector = tuple[Tensor, Tensor, Tensor]


def _ray_directions(pose: Tensor, lens: Tensor, columns: int, rows: int) -> Tensor:
    x = (torch.arange(columns, device=pose.device) + 0.5) / columns
    y = (torch.arange(rows, device=pose.device) + 0.5) / rows
    across = (x[None] - lens[:, 2:3]) / lens[:, 0:1]
    down = (y[None] - lens[:, 3:4]) / lens[:, 1:2]
    frames = len(pose)
    camera = torch.stack(
        [
            across[:, None, :].expand(frames, rows, columns),
            down[:, :, None].expand(frames, rows, columns),
            torch.ones(frames, rows, columns, device=pose.device),
        ],
        dim=-1,
    )
    camera = camera / camera.norm(dim=-1, keepdim=True)
    return torch.einsum("fij,fhwj->fhwi", pose[:, :3, :3], camera).reshape(-1, 3)


def _shade(scene: Scene, origin: Vector, direction: Vector) -> Vector:
    colour = _background(scene, origin, direction)
    nearest, colour = colour[0], colour[1]
    for prop in scene.props:
        colour, nearest = _paint_prop(scene, prop, origin, direction, colour, nearest)
    if scene.place == "landscape":
        fog = 1 - torch.exp(-torch.where(nearest < FAR / 2, nearest, torch.zeros_like(nearest)) / FOG_DISTANCE)
        colour = _mix(colour, _constant(scene.sky_low, nearest), fog)
    return colour


def _background(scene: Scene, origin: Vector, direction: Vector) -> tuple[Tensor, Vector]:
    """Sky, floor, walls and ceiling: the distance to them and their colour."""
    ox, oy, oz = origin
    dx, dy, dz = direction
    far = torch.full_like(ox, FAR)
    colour = _sky(scene, direction)
    nearest = far

    to_floor = torch.where(dy > 1e-5, (EYE_HEIGHT - oy) / dy.clamp_min(1e-5), far)
    floor = _floor(scene, ox + dx * to_floor, oz + dz * to_floor, to_floor)
    hit = to_floor < nearest
    colour, nearest = _choose(hit, floor, colour), torch.where(hit, to_floor, nearest)
    if scene.place == "landscape":
        return nearest, colour

    x0, x1, z0, z1 = scene.bounds
    top = EYE_HEIGHT - scene.wall_height
    if scene.place == "room":
        to_ceiling = torch.where(dy < -1e-5, (top - oy) / dy.clamp_max(-1e-5), far)
        hit = to_ceiling < nearest
        px, pz = ox + dx * to_ceiling, oz + dz * to_ceiling
        corner = _corner_shade(torch.minimum(torch.minimum(px - x0, x1 - px), torch.minimum(pz - z0, z1 - pz)))
        ceiling = tuple(channel * corner for channel in _constant(scene.ceiling, ox))
        colour, nearest = _choose(hit, ceiling, colour), torch.where(hit, to_ceiling, nearest)

    for wall in range(4):
        along_x = wall in (0, 1)
        plane = (z0, z1, x0, x1)[wall]
        position, heading = (oz, dz) if along_x else (ox, dx)
        outward = -1.0 if wall in (0, 2) else 1.0
        facing = heading * outward > 1e-5
        distance = torch.where(facing, (plane - position) / torch.where(facing, heading, far), far)
        distance = torch.where(distance > 1e-4, distance, far)
        across = (ox + dx * distance - x0) if along_x else (oz + dz * distance - z0)
        above = EYE_HEIGHT - (oy + dy * distance)
        length = (x1 - x0) if along_x else (z1 - z0)
        hit = (distance < nearest) & (above <= scene.wall_height)
        normal = (0.0, 0.0, -outward) if along_x else (-outward, 0.0, 0.0)
        light = scene.ambient + (1 - scene.ambient) * (0.55 + 0.45 * _lambert(scene, normal))
        edge = torch.minimum(torch.minimum(across, length - across), above)
        if scene.place == "room":
            edge = torch.minimum(edge, scene.wall_height - above)
        shade = light * _corner_shade(edge)
        painted = tuple(channel * shade for channel in _pattern(scene.walls[wall], across, above))
        for opening in scene.openings:
            if opening.wall == wall:
                painted = _paint_opening(scene, opening, painted, across, above, shade)
        colour, nearest = _choose(hit, painted, colour), torch.where(hit, distance, nearest)
    return nearest, colour


def _sky(scene: Scene, direction: Vector) -> Vector:
    dx, dy, dz = direction
    up = (-dy).clamp(0, 1)
    blend = (up * 1.7).clamp(0, 1) ** 0.6
    colour = _mix(_constant(scene.sky_low, dx), _constant(scene.sky_top, dx), blend)
    glow = (dx * scene.sun[0] + dy * scene.sun[1] + dz * scene.sun[2]).clamp_min(0)
    colour = tuple((channel + 0.25 * glow**24 + 0.8 * glow**600).clamp(0, 1) for channel in colour)
    yaw = torch.atan2(dx, dz)
    crest = sum((0.5 + 0.5 * torch.sin(waves * yaw + phase)) * size for waves, phase, size in scene.hills)
    hill = _mix(_constant(scene.hill_colour, dx), _constant(scene.sky_low, dx), torch.full_like(dx, 0.3))
    return _choose(up / (dx * dx + dz * dz).sqrt().clamp_min(1e-4) < crest, hill, colour)  # type: ignore[arg-type]


def _floor(scene: Scene, x: Tensor, z: Tensor, distance: Tensor) -> Vector:
    colour = _pattern(scene.floor, x, z)
    # Fine patterns fade with distance, as a real lens would blur them.
    average = tuple((a + b) / 2 for a, b in zip(scene.floor.colour, scene.floor.second, strict=True))
    colour = _mix(colour, _constant(average, x), (distance / 22 - 0.25).clamp(0, 1))  # type: ignore[arg-type]
    shade = torch.full_like(x, scene.ambient + (1 - scene.ambient) * (0.55 + 0.45 * max(0.0, -scene.sun[1])))
    if scene.place != "landscape":
        x0, x1, z0, z1 = scene.bounds
        shade = shade * _corner_shade(torch.minimum(torch.minimum(x - x0, x1 - x), torch.minimum(z - z0, z1 - z)))
    for prop in scene.props:
        shade = shade * (1 - 0.5 * _shadow(scene, prop, x, z))
    return tuple(channel * shade for channel in colour)  # type: ignore[return-value]


def _shadow(scene: Scene, prop: Prop, x: Tensor, z: Tensor) -> Tensor:
    """Soft shadow: a capsule on the floor from the foot of the prop, away from the sun."""
    reach = min(prop.height / max(-scene.sun[1], 0.35), 2.2) * (0.35 if scene.place == "room" else 0.8)
    tip_x, tip_z = -scene.sun[0] * reach, -scene.sun[2] * reach
    length = max(tip_x**2 + tip_z**2, 1e-4)
    along = (((x - prop.x) * tip_x + (z - prop.z) * tip_z) / length).clamp(0, 1)
    gap = ((x - prop.x - along * tip_x) ** 2 + (z - prop.z - along * tip_z) ** 2).sqrt()
    return 1 - ((gap - 0.75 * prop.radius) / (0.5 * prop.radius)).clamp(0, 1)


def _paint_opening(scene: Scene, opening, painted: Vector, across: Tensor, above: Tensor, shade: Tensor) -> Vector:
    inside = (across > opening.left) & (across < opening.right) & (above > opening.bottom) & (above < opening.top)
    u = (across - opening.left) / (opening.right - opening.left)
    v = (above - opening.bottom) / (opening.top - opening.bottom)
    width, height = opening.right - opening.left, opening.top - opening.bottom
    rim = torch.minimum(torch.minimum(u, 1 - u) * width, torch.minimum(v, 1 - v) * height) < 0.08
    if opening.kind == "window":
        glass = _mix(_constant(scene.sky_low, u), _constant(scene.sky_top, u), v.clamp(0, 1))
        glass = _choose(v < 0.25, _constant(scene.hill_colour, u), glass)
        bars = rim | ((u - 0.5).abs() * width < 0.035)
        content = _choose(bars, tuple(0.9 * shade for _ in range(3)), glass)  # type: ignore[arg-type]
    elif opening.kind == "door":
        panel = (((u * 2) % 1 - 0.5).abs() < 0.36) & (((v * 2) % 1 - 0.5).abs() < 0.40)
        base = _constant(opening.colour, u)
        content = _choose(panel, base, tuple(channel * 0.8 for channel in base))
        content = tuple(channel * shade for channel in content)
    else:
        frame = _constant((0.25, 0.19, 0.13), u)
        content = _choose(
            (u - 0.5).abs() + (v - 0.5).abs() < 0.32, _constant(opening.second, u), _constant(opening.colour, u)
        )
        content = tuple(channel * shade for channel in _choose(rim, frame, content))
    return _choose(inside, content, painted)  # type: ignore[arg-type]


def _paint_prop(
    scene: Scene, prop: Prop, origin: Vector, direction: Vector, colour: Vector, nearest: Tensor
) -> tuple[Vector, Tensor]:
    """Paint one prop where it is nearer than all so far; only rays that pass close to it are traced."""
    ox, oy, oz = (component - offset for component, offset in zip(origin, (prop.x, 0.0, prop.z), strict=True))
    dx, dy, dz = direction
    flat = (dx * dx + dz * dz).clamp_min(1e-8)
    along = -(ox * dx + oz * dz)
    miss = (ox * dz - oz * dx) ** 2 / flat
    reach = (prop.radius * 1.5) ** 2
    near = torch.nonzero((miss < reach) & ((along > 0) | (ox * ox + oz * oz < reach))).squeeze(1)
    if near.numel() == 0:
        return colour, nearest
    origin_near = (ox[near], oy[near], oz[near])
    direction_near = (dx[near], dy[near], dz[near])
    distance, normal, u, v = _HIT[prop.kind](prop, origin_near, direction_near)
    hit = (distance < nearest[near]) & (distance > 0.02)
    light = scene.ambient + (1 - scene.ambient) * (
        normal[0] * scene.sun[0] + normal[1] * scene.sun[1] + normal[2] * scene.sun[2]
    ).clamp_min(0)
    light = light * (0.75 + 0.25 * ((EYE_HEIGHT - (origin_near[1] + direction_near[1] * distance)) / 0.5).clamp(0, 1))
    painted = _pattern(prop.surface, u, v)
    index = near[hit]
    mixed = tuple(
        channel.index_put((index,), (paint * light)[hit]) for channel, paint in zip(colour, painted, strict=True)
    )
    return mixed, nearest.index_put((index,), distance[hit])  # type: ignore[return-value]


Hit = tuple[Tensor, Vector, Tensor, Tensor]


def _hit_ball(prop: Prop, origin: Vector, direction: Vector) -> Hit:
    centre_y = EYE_HEIGHT - prop.radius
    ox, oy, oz = origin[0], origin[1] - centre_y, origin[2]
    dx, dy, dz = direction
    b = ox * dx + oy * dy + oz * dz
    root = b * b - (ox * ox + oy * oy + oz * oz - prop.radius**2)
    distance = torch.where(root > 0, -b - root.clamp_min(0).sqrt(), torch.full_like(b, FAR))
    normal = tuple((o + d * distance) / prop.radius for o, d in zip((ox, oy, oz), direction, strict=True))
    u = torch.atan2(normal[0], normal[2]) * prop.radius
    return distance, normal, u, -normal[1] * prop.radius  # type: ignore[return-value]


def _hit_pillar(prop: Prop, origin: Vector, direction: Vector) -> Hit:
    ox, oy, oz = origin
    dx, dy, dz = direction
    far = torch.full_like(ox, FAR)
    a = (dx * dx + dz * dz).clamp_min(1e-8)
    b = ox * dx + oz * dz
    root = b * b - a * (ox * ox + oz * oz - prop.radius**2)
    side = torch.where(root > 0, (-b - root.clamp_min(0).sqrt()) / a, far)
    above = EYE_HEIGHT - (oy + dy * side)
    side = torch.where((above >= 0) & (above <= prop.height), side, far)
    lid, on_lid = _lid(prop, origin, direction)
    distance = torch.minimum(side, lid)
    x, z = (ox + dx * distance) / prop.radius, (oz + dz * distance) / prop.radius
    flat = on_lid & (lid < side)
    normal = (x.masked_fill(flat, 0), torch.where(flat, -1.0, 0.0), z.masked_fill(flat, 0))
    return distance, normal, torch.atan2(x, z) * prop.radius, EYE_HEIGHT - (oy + dy * distance)


def _lid(prop: Prop, origin: Vector, direction: Vector) -> tuple[Tensor, Tensor]:
    """Distance to the round top of a pillar."""
    ox, oy, oz = origin
    dx, dy, dz = direction
    top = EYE_HEIGHT - prop.height
    distance = torch.where(dy > 1e-5, (top - oy) / dy.clamp_min(1e-5), torch.full_like(ox, FAR))
    on_lid = ((ox + dx * distance) ** 2 + (oz + dz * distance) ** 2 < prop.radius**2) & (distance > 0)
    return torch.where(on_lid, distance, torch.full_like(ox, FAR)), on_lid


def _hit_cone(prop: Prop, origin: Vector, direction: Vector) -> Hit:
    tip = EYE_HEIGHT - prop.height
    slope = (prop.radius / prop.height) ** 2
    ox, oy, oz = origin[0], origin[1] - tip, origin[2]
    dx, dy, dz = direction
    far = torch.full_like(ox, FAR)
    a = dx * dx + dz * dz - slope * dy * dy
    a = torch.where(a.abs() < 1e-6, torch.full_like(a, 1e-6), a)
    b = ox * dx + oz * dz - slope * oy * dy
    root = b * b - a * (ox * ox + oz * oz - slope * oy * oy)
    span = root.clamp_min(0).sqrt()
    candidates = ((-b - span) / a, (-b + span) / a)
    distance = far
    for candidate in candidates:
        below = oy + dy * candidate
        valid = (root > 0) & (candidate > 0) & (below >= 0) & (below <= prop.height)
        distance = torch.where(valid & (candidate < distance), candidate, distance)
    x, z, below = ox + dx * distance, oz + dz * distance, oy + dy * distance
    length = (x * x + z * z).sqrt().clamp_min(1e-4)
    tilt = prop.radius / prop.height
    scale = 1 / (1 + tilt**2) ** 0.5
    normal = (x / length * scale, torch.full_like(x, -tilt * scale), z / length * scale)
    return distance, normal, torch.atan2(x, z) * prop.radius, prop.height - below


def _hit_box(prop: Prop, origin: Vector, direction: Vector) -> Hit:
    cos, sin = float(np.cos(prop.yaw)), float(np.sin(prop.yaw))
    ox, oz = cos * origin[0] - sin * origin[2], sin * origin[0] + cos * origin[2]
    dx, dz = cos * direction[0] - sin * direction[2], sin * direction[0] + cos * direction[2]
    oy, dy = origin[1], direction[1]
    half, top = prop.radius, EYE_HEIGHT - prop.height
    enter = torch.full_like(ox, -FAR)
    leave = torch.full_like(ox, FAR)
    axis = torch.zeros_like(ox, dtype=torch.long)
    for number, (o, d, low, high) in enumerate(
        ((ox, dx, -half, half), (oy, dy, top, EYE_HEIGHT), (oz, dz, -half, half))
    ):
        safe = torch.where(d.abs() < 1e-6, torch.full_like(d, 1e-6), d)
        first, second = (low - o) / safe, (high - o) / safe
        near, far = torch.minimum(first, second), torch.maximum(first, second)
        axis = torch.where(near > enter, torch.full_like(axis, number), axis)
        enter, leave = torch.maximum(enter, near), torch.minimum(leave, far)
    distance = torch.where((enter < leave) & (enter > 0), enter, torch.full_like(enter, FAR))
    x, y, z = ox + dx * distance, oy + dy * distance, oz + dz * distance
    side_x = torch.where(axis == 0, -torch.sign(dx), torch.zeros_like(dx))
    side_y = torch.where(axis == 1, -torch.sign(dy), torch.zeros_like(dy))
    side_z = torch.where(axis == 2, -torch.sign(dz), torch.zeros_like(dz))
    normal = (cos * side_x + sin * side_z, side_y, -sin * side_x + cos * side_z)
    u = torch.where(axis == 0, z, x)
    v = torch.where(axis == 1, z, EYE_HEIGHT - y)
    return distance, normal, u, v


_HIT: dict[str, Callable[[Prop, Vector, Vector], Hit]] = {
    "ball": _hit_ball,
    "pillar": _hit_pillar,
    "cone": _hit_cone,
    "box": _hit_box,
}


def _pattern(surface: Surface, u: Tensor, v: Tensor) -> Vector:
    first, second = _constant(surface.colour, u), _constant(surface.second, u)
    scale = surface.scale
    kind = surface.pattern
    if kind == "striped":
        return _choose((u / scale) % 1 < 0.5, first, second)
    if kind == "panelled":
        return _choose((v < 0.95) | (v > 2.25), second, first)
    if kind == "brick":
        row = torch.floor(v / 0.28)
        joint = ((v / 0.28) % 1 < 0.12) | (((u / 0.7 + 0.5 * (row % 2)) % 1) < 0.05)
        return _choose(joint, second, first)
    if kind == "checkered":
        return _choose((torch.floor(u / scale) + torch.floor(v / scale)) % 2 < 0.5, first, second)
    if kind == "planked":
        plank = torch.floor(u / 0.4)
        tone = 0.85 + 0.15 * torch.sin(plank * 12.9898) ** 2
        joint = ((u / 0.4) % 1 < 0.08) | (((v / 2.4 + 0.37 * plank) % 1) < 0.03)
        return _choose(joint, second, tuple(channel * tone for channel in first))  # type: ignore[arg-type]
    if kind == "tiled":
        joint = ((u / scale) % 1 < 0.07) | ((v / scale) % 1 < 0.07)
        return _choose(joint, second, first)
    if kind == "stone":
        cell = torch.sin(torch.floor(u / scale) * 127.1 + torch.floor(v / scale) * 311.7)
        return _mix(first, second, 0.5 + 0.5 * cell)
    if kind in ("grassy", "sandy"):
        patches = torch.sin(u * 1.7 + torch.sin(v * 1.3)) + torch.sin(v * 2.3 + torch.sin(u * 0.9))
        return _mix(first, second, 0.5 + 0.25 * patches)
    return first


def _corner_shade(edge: Tensor) -> Tensor:
    return 0.78 + 0.22 * (edge / 0.6).clamp(0, 1)


def _lambert(scene: Scene, normal: tuple[float, float, float]) -> float:
    return max(0.0, sum(n * s for n, s in zip(normal, scene.sun, strict=True)))


def _constant(colour: Colour, like: Tensor) -> Vector:
    return tuple(torch.full_like(like, channel) for channel in colour)  # type: ignore[return-value]


def _mix(first: Vector, second: Vector, share: Tensor) -> Vector:
    return tuple(torch.lerp(a, b, share) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]


def _choose(where: Tensor, first: Vector, second: Vector) -> Vector:
    return tuple(torch.where(where, a, b) for a, b in zip(first, second, strict=True))  # type: ignore[return-value]

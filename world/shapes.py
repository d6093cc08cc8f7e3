"""The objects that stand in a scene: where a ray meets a box, pillar, ball or cone, and what it finds there.

The origin of rays is three 0-d tensors where all rays start at one camera, else three tensors of one number a ray.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .patterns import pattern
from .scenes import EYE_HEIGHT, Prop, Scene

FAR = 1.0e6
Vector = tuple[Tensor, Tensor, Tensor]


def picked(vector: Vector, index: Tensor) -> Vector:
    """The rays of `index`; what all rays share stays shared. From parts (rays,) those of ``index`` (n,)."""
    return tuple(part if part.ndim == 0 else part[index] for part in vector)  # type: ignore[return-value]


def paint_prop(
    scene: Scene, prop: Prop, origin: Vector, direction: Vector, colour: Tensor, nearest: Tensor
) -> None:
    """Paint one prop into `colour` (3, rays) where it is nearer than `nearest` (rays,), and lower that."""
    ox, oy, oz = (component - offset for component, offset in zip(origin, (prop.x, 0.0, prop.z), strict=True))
    dx, dy, dz = direction
    along = -(ox * dx + oz * dz)
    reach = (prop.radius * 1.5) ** 2
    around = ox * ox + oz * oz < reach
    close = (ox * dz - oz * dx) ** 2 < reach * (dx * dx + dz * dz)
    near = torch.nonzero(close & ((along > 0) | around)).squeeze(1)
    if near.numel() == 0:
        return
    start, heading = picked((ox, oy, oz), near), picked(direction, near)
    distance, normal, u, v = _HIT[prop.kind](prop, start, heading)
    hit = torch.nonzero((distance < nearest[near]) & (distance > 0.02)).squeeze(1)
    if hit.numel() == 0:
        return
    facing = normal[0] * scene.sun[0] + normal[1] * scene.sun[1] + normal[2] * scene.sun[2]
    light = scene.ambient + (1 - scene.ambient) * facing.clamp_min(0)
    light = light * (0.75 + 0.25 * ((EYE_HEIGHT - (start[1] + heading[1] * distance)) / 0.5).clamp(0, 1))
    index = near[hit]
    colour[:, index] = pattern(prop.surface, u[hit], v[hit]) * light[hit]
    nearest[index] = distance[hit]


def shadow(scene: Scene, prop: Prop, x: Tensor, z: Tensor, indoors: bool) -> Tensor:
    """Soft shadow in 0..1: a capsule on the floor from the foot of the prop, away from the sun. ``x`` and ``z``,
    in metres, and the result are (n,), one for each ray."""
    reach = min(prop.height / max(-scene.sun[1], 0.35), 2.2) * (0.35 if indoors else 0.8)
    tip_x, tip_z = -scene.sun[0] * reach, -scene.sun[2] * reach
    length = max(tip_x**2 + tip_z**2, 1e-4)
    from_x, from_z = x - prop.x, z - prop.z
    along = ((from_x * tip_x + from_z * tip_z) / length).clamp(0, 1)
    gap = ((from_x - along * tip_x) ** 2 + (from_z - along * tip_z) ** 2).sqrt()
    return 1 - ((gap - 0.75 * prop.radius) / (0.5 * prop.radius)).clamp(0, 1)


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
    far = torch.full_like(dx, FAR)
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
    distance = torch.where(dy > 1e-5, (top - oy) / dy.clamp_min(1e-5), torch.full_like(dx, FAR))
    on_lid = ((ox + dx * distance) ** 2 + (oz + dz * distance) ** 2 < prop.radius**2) & (distance > 0)
    return torch.where(on_lid, distance, torch.full_like(dx, FAR)), on_lid


def _hit_cone(prop: Prop, origin: Vector, direction: Vector) -> Hit:
    tip = EYE_HEIGHT - prop.height
    slope = (prop.radius / prop.height) ** 2
    ox, oy, oz = origin[0], origin[1] - tip, origin[2]
    dx, dy, dz = direction
    far = torch.full_like(dx, FAR)
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
    enter = torch.full_like(dx, -FAR)
    leave = torch.full_like(dx, FAR)
    axis = torch.zeros_like(dx, dtype=torch.long)
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



"""A vectorised ray caster for procedural scenes: pictures and depth from camera poses, in torch, on any device.

Places are boxes joined by doorways. A ray that meets a doorway goes on in the next room, so walls hide what is behind
them and an open door shows it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..memory.cameras.projection import pixel_middles, slopes, split
from .patterns import pattern, tint
from .scenes import EYE_HEIGHT, Opening, Prop, Room, Scene
from .shapes import FAR, Vector, paint_prop, picked, shadow

FOG_DISTANCE = 45.0
DEEPEST = 8
# Small pieces stay in a processor's cache; a GPU wants large ones.
FRAMES_AT_ONCE = {"cpu": 1, "cuda": 64}


def render(
    scene: Scene,
    poses: np.ndarray | Tensor,
    intrinsics: np.ndarray | Tensor,
    width: int,
    height: int,
    supersample: int = 2,
    device: torch.device | str = "cpu",
    times: np.ndarray | None = None,
) -> Tensor:
    """Pictures of a scene, (F, height, width, 3) uint8; see `render_with_depth`."""
    return render_with_depth(scene, poses, intrinsics, width, height, supersample, device, times)[0]


def render_with_depth(
    scene: Scene,
    poses: np.ndarray | Tensor,
    intrinsics: np.ndarray | Tensor,
    width: int,
    height: int,
    supersample: int = 2,
    device: torch.device | str = "cpu",
    times: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Render frames of a scene.

    Args:
        poses: (F, 4, 4) camera-to-world, OpenCV axes, scene units.
        intrinsics: (F, 4) fx fy cx cy, normalised by width and height.
        supersample: rays along each side of a pixel.
        times: (F,) seconds, for the things that move; all zero where not given.

    Returns:
        (F, height, width, 3) uint8, and z-depth along the optical axis (F, height, width) float32: that of the
        nearest thing in each pixel, inf where there is only sky.
    """
    pose = torch.as_tensor(np.array(poses), dtype=torch.float32, device=device)
    intrinsic = torch.as_tensor(np.array(intrinsics), dtype=torch.float32, device=device)
    moving = any(prop.speed for prop in scene.props)
    step = 1 if moving else FRAMES_AT_ONCE.get(pose.device.type, 1)
    pictures, depths = [], []
    for first in range(0, len(pose), step):
        at = float(times[first]) if moving and times is not None else 0.0
        picture, depth = _frames(
            scene, pose[first : first + step], intrinsic[first : first + step], width, height, supersample, at
        )
        pictures.append(picture)
        depths.append(depth)
    return torch.cat(pictures), torch.cat(depths)


def _frames(
    scene: Scene, pose: Tensor, intrinsics: Tensor, width: int, height: int, supersample: int, at: float
) -> tuple[Tensor, Tensor]:
    frames, rows, columns = len(pose), height * supersample, width * supersample
    along, direction = _ray_directions(pose, intrinsics, columns, rows)
    if frames == 1:
        origin: Vector = tuple(pose[0, :3, 3])  # type: ignore[assignment]
    else:
        origin = tuple(pose[:, :3, 3].repeat_interleave(rows * columns, dim=0).unbind(1))  # type: ignore[assignment]
    colour = torch.empty(3, direction[0].numel(), device=pose.device)
    nearest = torch.full_like(direction[0], FAR)
    starts = [scene.room_at(float(position[0]), float(position[2])) for position in pose[:, :3, 3]]
    for number in dict.fromkeys(starts):
        if starts.count(number) == frames:
            nearest, colour = _surroundings(scene, number, origin, direction)
            continue
        inside = torch.tensor([start == number for start in starts], device=pose.device)
        index = torch.nonzero(inside.repeat_interleave(rows * columns)).squeeze(1)
        nearest[index], colour[:, index] = _surroundings(scene, number, picked(origin, index), picked(direction, index))
    for prop in scene.props:
        now = prop.at(at)
        if frames > 1 or _may_show(now, pose[0], intrinsics[0]):
            paint_prop(scene, now, origin, direction, colour, nearest)
    if scene.place == "landscape":
        fog = 1 - torch.exp(-torch.where(nearest < FAR / 2, nearest, 0.0) / FOG_DISTANCE)
        colour = torch.lerp(colour, tint(scene.sky_low, fog), fog[None])
    shape = (frames, height, supersample, width, supersample)
    picture = (colour.view(3, *shape).mean(dim=(3, 5)).clamp(0, 1) * 255).round().to(torch.uint8)
    depth = (nearest / along).view(shape).amin(dim=(2, 4))
    return picture.permute(1, 2, 3, 0).contiguous(), torch.where(depth < FAR / 10, depth, torch.inf)


def _may_show(prop: Prop, pose: Tensor, intrinsics: Tensor) -> bool:
    """Whether a ball around the prop reaches into the cone around the picture."""
    size = (prop.radius * prop.radius * 2 + prop.height * prop.height / 4) ** 0.5
    centre = torch.tensor([prop.x, EYE_HEIGHT - prop.height / 2, prop.z], device=pose.device) - pose[:3, 3]
    distance = float(centre.norm())
    if distance < size * 1.5:
        return True
    fx, fy, cx, cy = intrinsics.tolist()
    corner = ((max(cx, 1 - cx) / fx) ** 2 + (max(cy, 1 - cy) / fy) ** 2) ** 0.5
    angle = np.arccos(np.clip(float(centre @ pose[:3, 2]) / distance, -1, 1))
    return bool(angle < np.arctan(corner) + np.arcsin(size / distance))


def _ray_directions(pose: Tensor, intrinsics: Tensor, columns: int, rows: int) -> tuple[Tensor, Vector]:
    """Length of each pixel's ray for one unit of depth, and unit directions in the world."""
    x, y = (pixel_middles(torch.arange(side, device=pose.device)) for side in (columns, rows))
    across, down = slopes(x, y[:, None], split(intrinsics, 2))
    length = (across.square() + down.square() + 1).sqrt()
    turn = pose[:, :3, :3, None, None]
    direction = tuple(
        ((turn[:, axis, 0] * across + turn[:, axis, 1] * down + turn[:, axis, 2]) / length).flatten()
        for axis in range(3)
    )
    return length.flatten(), direction  # type: ignore[return-value]


def _surroundings(
    scene: Scene, number: int, origin: Vector, direction: Vector, deep: int = 0
) -> tuple[Tensor, Tensor]:
    """Distance (rays,) and colour (3, rays) of the room's surfaces, and through its doorways of the next rooms'."""
    room = scene.rooms[number]
    dx, dy, dz = direction
    ox, oy, oz = origin
    tiny = 1e-6
    to_level = torch.where(
        dy > 1e-5,
        (EYE_HEIGHT - oy) / dy.clamp_min(1e-5),
        (EYE_HEIGHT - room.height - oy) / dy.clamp_max(-1e-5) if room.roofed else FAR,
    )
    if scene.place == "landscape":
        distance, face = to_level, torch.where(dy > 1e-5, 4, 6)
    else:
        x0, x1, z0, z1 = room.bounds
        to_x = (torch.where(dx > 0, x1, x0) - ox) / torch.where(dx.abs() < tiny, tiny, dx)
        to_z = (torch.where(dz > 0, z1, z0) - oz) / torch.where(dz.abs() < tiny, tiny, dz)
        side = torch.minimum(to_x, to_z)
        wall = torch.where(to_x < to_z, torch.where(dx > 0, 3, 2), torch.where(dz > 0, 1, 0))
        if not room.roofed:
            wall = torch.where(EYE_HEIGHT - (oy + dy * side) > room.height, 6, wall)
        distance = torch.minimum(side, to_level)
        face = torch.where(to_level < side, torch.where(dy > 0, 4, 5), wall)
    colour = torch.empty(3, dx.numel(), device=dx.device)
    for which in range(7):
        index = torch.nonzero(face == which).squeeze(1)
        if index.numel() == 0:
            continue
        start, heading, far = picked(origin, index), picked(direction, index), distance[index]
        if which == 6:
            colour[:, index], distance[index] = _sky(scene, heading), FAR
        elif which == 5:
            x, z = start[0] + heading[0] * far, start[2] + heading[2] * far
            colour[:, index] = tint(room.ceiling, x) * _corner_shade(_to_walls(room, x, z))
        elif which == 4:
            colour[:, index] = _floor(scene, room, start[0] + heading[0] * far, start[2] + heading[2] * far, far)
        else:
            painted, far = _wall(scene, room, which, start, heading, far, deep)
            colour[:, index], distance[index] = painted, far
    return distance, colour


def _wall(
    scene: Scene, room: Room, wall: int, origin: Vector, direction: Vector, distance: Tensor, deep: int
) -> tuple[Tensor, Tensor]:
    """Colour and distance of rays that reach a wall: it, what hangs on it, or the room behind a doorway."""
    x0, x1, z0, z1 = room.bounds
    along_x = wall in (0, 1)
    outward = -1.0 if wall in (0, 2) else 1.0
    across = (origin[0] + direction[0] * distance - x0) if along_x else (origin[2] + direction[2] * distance - z0)
    above = EYE_HEIGHT - (origin[1] + direction[1] * distance)
    length = (x1 - x0) if along_x else (z1 - z0)
    facing = max(0.0, -outward * (scene.sun[2] if along_x else scene.sun[0]))
    light = scene.ambient + (1 - scene.ambient) * (0.55 + 0.45 * facing)
    edge = torch.minimum(torch.minimum(across, length - across), above)
    if room.roofed:
        edge = torch.minimum(edge, room.height - above)
    shade = light * _corner_shade(edge)
    painted = pattern(room.walls[wall], across, above) * shade
    for opening in room.openings:
        if opening.wall == wall:
            _paint_opening(scene, opening, painted, across, above, shade)
    for doorway in room.doorways:
        if doorway.wall != wall:
            continue
        rim = (across > doorway.left - 0.1) & (across < doorway.right + 0.1) & (above < doorway.top + 0.1)
        if not rim.any():
            continue
        painted = torch.where(rim, tint(doorway.colour, shade) * shade, painted)
        through = (across > doorway.left) & (across < doorway.right) & (above < doorway.top)
        index = torch.nonzero(through).squeeze(1)
        if index.numel() and deep < DEEPEST:
            beyond, seen = _surroundings(
                scene, doorway.leads_to, picked(origin, index), picked(direction, index), deep + 1
            )
            painted[:, index], distance[index] = seen, beyond
    return painted, distance


def _sky(scene: Scene, direction: Vector) -> Tensor:
    dx, dy, dz = direction
    up = (-dy).clamp(0, 1)
    low, top = tint(scene.sky_low, dx), tint(scene.sky_top, dx)
    blend = (up * 1.7).clamp(0, 1) ** 0.6
    glow = (dx * scene.sun[0] + dy * scene.sun[1] + dz * scene.sun[2]).clamp_min(0)
    colour = (torch.lerp(low, top, blend[None]) + 0.25 * glow**24 + 0.8 * glow**600).clamp(0, 1)
    yaw = torch.atan2(dx, dz)
    crest = sum((0.5 + 0.5 * torch.sin(waves * yaw + phase)) * size for waves, phase, size in scene.hills)
    hill = torch.lerp(tint(scene.hill_colour, dx), low, 0.3)
    return torch.where(up / (dx * dx + dz * dz).sqrt().clamp_min(1e-4) < crest, hill, colour)


def _floor(scene: Scene, room: Room, x: Tensor, z: Tensor, distance: Tensor) -> Tensor:
    colour = pattern(room.floor, x, z)
    # Fine patterns fade with distance, as a real lens would blur them.
    average = tint(tuple((a + b) / 2 for a, b in zip(room.floor.colour, room.floor.second, strict=True)), x)  # type: ignore[arg-type]
    colour = torch.lerp(colour, average, (distance / 22 - 0.25).clamp(0, 1)[None])
    shade = torch.full_like(x, scene.ambient + (1 - scene.ambient) * (0.55 + 0.45 * max(0.0, -scene.sun[1])))
    if scene.place != "landscape":
        shade = shade * _corner_shade(_to_walls(room, x, z))
    for prop in scene.props:
        if scene.place == "landscape" or room.holds(prop.x, prop.z):
            shade = shade * (1 - 0.5 * shadow(scene, prop, x, z, room.roofed))
    return colour * shade


def _paint_opening(
    scene: Scene, opening: Opening, painted: Tensor, across: Tensor, above: Tensor, shade: Tensor
) -> None:
    """Paint a window, door or picture into `painted` (3, rays)."""
    inside = (across > opening.left) & (across < opening.right) & (above > opening.bottom) & (above < opening.top)
    index = torch.nonzero(inside).squeeze(1)
    if index.numel() == 0:
        return
    width, height = opening.right - opening.left, opening.top - opening.bottom
    u, v, shade = (across[index] - opening.left) / width, (above[index] - opening.bottom) / height, shade[index]
    rim = torch.minimum(torch.minimum(u, 1 - u) * width, torch.minimum(v, 1 - v) * height) < 0.08
    if opening.kind == "window":
        glass = torch.lerp(tint(scene.sky_low, u), tint(scene.sky_top, u), v.clamp(0, 1)[None])
        glass = torch.where(v < 0.25, tint(scene.hill_colour, u), glass)
        content = torch.where(rim | ((u - 0.5).abs() * width < 0.035), 0.9 * shade, glass)
    elif opening.kind == "door":
        panel = (((u * 2) % 1 - 0.5).abs() < 0.36) & (((v * 2) % 1 - 0.5).abs() < 0.40)
        content = tint(opening.colour, u) * torch.where(panel, 1.0, 0.8) * shade
    else:
        diamond = (u - 0.5).abs() + (v - 0.5).abs() < 0.32
        content = torch.where(diamond, tint(opening.second, u), tint(opening.colour, u))
        content = torch.where(rim, tint((0.25, 0.19, 0.13), u), content) * shade
    painted[:, index] = content


def _to_walls(room: Room, x: Tensor, z: Tensor) -> Tensor:
    x0, x1, z0, z1 = room.bounds
    return torch.minimum(torch.minimum(x - x0, x1 - x), torch.minimum(z - z0, z1 - z))


def _corner_shade(edge: Tensor) -> Tensor:
    return 0.78 + 0.22 * (edge / 0.6).clamp(0, 1)

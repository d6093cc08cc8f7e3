"""Several remembered frames fused into target views, pixel by pixel.

A target view is cut into small cells. Splatted points say which surfaces a cell may show: the nearest, and at the rim
of a thing what is behind it. For each surface every frame is asked whether it saw it and how well, and the two best are
followed at full size: the pixel is taken to the frame by its nearness, the frame's own depth there corrects it, and
what does not come back to the same pixel is not the same point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .sources import MARGIN, Sources

LAYER = 0.08
"""Surfaces whose nearness differs by less than this share are one."""

SHARP = 4.0
EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Cameras:
    """For T targets and F frames, float32.

    ``to_source`` (T, F, 3, 4) takes (u, v, 1, nearness) of a target to homogeneous positions in the tall picture of the
    frames, whose third part is the frame's depth over the target's. ``to_target`` (T, F, 3, 4) takes (slopes, 1,
    nearness) of a frame to homogeneous picture positions of the target. ``back`` (T, F, 4) takes (positions in the tall
    picture, 1, nearness in the frame) to the target's depth over the frame's. ``top`` (F,) is where a frame begins in
    the tall picture, ``finer`` (T, F) how many pixels of the frame a pixel of the target has at the same depth,
    ``allowed`` (T, F) which frames may be used.
    """

    to_source: Tensor
    to_target: Tensor
    back: Tensor
    top: Tensor
    finer: Tensor
    allowed: Tensor


def cameras_of(
    sources: Sources, poses: Tensor, intrinsics: Tensor, aims: Tensor, aim_intrinsics: Tensor, size: tuple[int, int],
    turning: bool, allowed: Tensor,
) -> Cameras:
    """From float64 poses (F, 4, 4), (T, 4, 4) and intrinsics (F, 4), (T, 4); ``turning`` leaves out all positions."""
    count, height, width = sources.count, sources.height, sources.width
    turn = torch.einsum("fji,tjk->tfik", poses[:, :3, :3], aims[:, :3, :3])
    move = torch.einsum("fji,tfj->tfi", poses[:, :3, :3], aims[:, None, :3, 3] - poses[None, :, :3, 3])
    move = move * (0.0 if turning else 1.0)
    matrix, aim_matrix = _matrix(intrinsics), _matrix(aim_intrinsics)
    # Picture positions to grid_sample's positions in the tall picture.
    tall = torch.zeros(count, 3, 3, dtype=poses.dtype, device=poses.device)
    tall[:, 0, 0] = 2 * width / sources.wide
    tall[:, 0, 2] = 2 * MARGIN / sources.wide - 1
    tall[:, 1, 1] = 2 * height / sources.tall
    number = torch.arange(count, dtype=poses.dtype, device=poses.device)
    top = 2 * (number * (height + 2 * MARGIN) + MARGIN) / sources.tall - 1
    tall[:, 1, 2] = top
    tall[:, 2, 2] = 1
    frame = tall @ matrix
    to_source = torch.cat(
        [frame @ turn @ torch.linalg.inv(aim_matrix)[:, None], (frame @ move[..., None])], dim=-1
    )
    home = turn.transpose(-1, -2)
    away = -(home @ move[..., None])
    to_target = aim_matrix[:, None] @ torch.cat([home, away], dim=-1)
    back = torch.cat([home[..., 2:, :] @ torch.linalg.inv(frame), away[..., 2:, :]], dim=-1)[..., 0, :]
    finer = (intrinsics[:, 0] * width)[None] / (aim_intrinsics[:, 0] * size[1])[:, None]
    return Cameras(to_source.float(), to_target.float(), back.float(), top.float(), finer.float(), allowed)


def _matrix(intrinsics: Tensor) -> Tensor:
    """(n, 3, 3) of intrinsics (n, 4): slopes to picture positions."""
    matrix = torch.zeros(len(intrinsics), 3, 3, dtype=intrinsics.dtype, device=intrinsics.device)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2] = intrinsics.unbind(1)
    matrix[:, 2, 2] = 1
    return matrix


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of ``side`` x ``side`` pixels over a target of H x W, the last ones reaching over its border."""

    height: int
    width: int
    side: int

    @property
    def rows(self) -> int:
        return -(-self.height // self.side)

    @property
    def columns(self) -> int:
        return -(-self.width // self.side)

    def middles(self, device: torch.device) -> Tensor:
        """(3, cells): picture positions of the cells' middles, and 1."""
        u = (torch.arange(self.columns, device=device) + 0.5) * self.side / self.width
        v = (torch.arange(self.rows, device=device) + 0.5) * self.side / self.height
        u, v = u.expand(self.rows, -1), v[:, None].expand(-1, self.columns)
        return torch.stack([u, v, torch.ones_like(u)]).flatten(1)

    def offsets(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Right and down (n, 1), n = side * side, from a cell's middle to its pixels' in picture positions."""
        step = torch.arange(self.side, device=device) - (self.side - 1) / 2
        right, down = step.repeat(self.side), step.repeat_interleave(self.side)
        return right[:, None] / self.width, down[:, None] / self.height

    def corners(self, cells: Tensor) -> Tensor:
        """(T * cells,) for each of the ``cells`` (T * cells,) the one at the left top of its four."""
        number = torch.arange(len(cells), device=cells.device).view(-1, self.rows, self.columns)
        four = number[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2)
        return four[:, : self.rows, : self.columns].flatten()

    def joined(self, phases: Tensor) -> Tensor:
        """(T, H, W, ...) of what is known as (side * side, T * cells, ...)."""
        side, rest = self.side, phases.shape[2:]
        spread = phases.view(side, side, -1, self.rows, self.columns, *rest)
        order = (2, 3, 0, 4, 1, *range(5, 5 + len(rest)))
        whole = spread.permute(order).reshape(-1, self.rows * side, self.columns * side, *rest)
        return whole[:, : self.height, : self.width]


def splatted(sources: Sources, cameras: Cameras, grid: Grid) -> Tensor:
    """(T, rows, columns): the nearest point of all frames in each cell; -1 where there is none."""
    points = sources.points
    seen = cameras.to_target @ points
    behind = seen[:, :, 2].clamp_min(EPSILON).reciprocal_()
    there = (seen[:, :, 2] > EPSILON) & (points[:, 3] >= 0) & cameras.allowed[..., None]
    near = torch.where(there, points[:, 3] * behind, -1.0)
    # One more cell all around takes what is outside.
    rows, columns = grid.rows + 2, grid.columns + 2
    x = (seen[:, :, 0] * behind).mul_(grid.width / grid.side).clamp_(-1, grid.columns).add_(1).int()
    y = (seen[:, :, 1] * behind).mul_(grid.height / grid.side).clamp_(-1, grid.rows).add_(1).int()
    found = torch.full((len(near), rows * columns), -1.0, device=near.device)
    found.scatter_reduce_(1, y.mul_(columns).add_(x).flatten(1).long(), near.flatten(1), "amax")
    return found.view(-1, rows, columns)[:, 1:-1, 1:-1]


def layers(own: Tensor) -> tuple[Tensor, Tensor]:
    """The two surfaces (T, rows * columns) that each cell may show, of what ``splatted`` found: the nearest, and what
    is behind it; -1 where there is none."""
    most = F.max_pool2d(F.pad(own[:, None], (1, 1, 1, 1), value=-1.0), 3, 1)[:, 0]
    high = F.pad(torch.where(own < 0, torch.inf, own)[:, None], (1, 1, 1, 1), value=torch.inf)
    least = -F.max_pool2d(-high, 3, 1)[:, 0]
    least = torch.where(least.isinf(), -1.0, least)
    rim = (own < 0) | (most > own * (1 + LAYER))
    near = torch.where(rim, most, own)
    behind = torch.where((own >= 0) & rim, own, least)
    far = torch.where(behind < near * (1 - LAYER), behind, -1.0)
    return near.flatten(1), far.flatten(1)


def worth(sources: Sources, cameras: Cameras, target: Tensor, middle: Tensor, near: Tensor) -> Tensor:
    """(F, n): how well each frame shows a surface of nearness (n,) in the cells with ``middle`` (3, n) of targets (n,);
    0 where it does not."""
    matrix = cameras.to_source.permute(1, 2, 3, 0).contiguous()[..., target]
    base, e = _based(matrix, middle)
    finer, allowed = cameras.finer.T.contiguous()[:, target], cameras.allowed.T.contiguous()[:, target]
    z = base[:, 2] + near * e[:, 2]
    ahead = z > EPSILON
    inverse = 1 / z.clamp_min(EPSILON)
    x = (base[:, 0] + near * e[:, 0]) * inverse
    y = (base[:, 1] + near * e[:, 1]) * inverse
    to_x, to_y = sources.wide / 2, sources.tall / 2
    left = (x + 1) * to_x - MARGIN
    top = (y - cameras.top[:, None]) * to_y
    rim = torch.minimum(torch.minimum(left, sources.width - left), torch.minimum(top, sources.height - top))
    # A cell that reaches over the border is followed too: its pixels are looked at one by one.
    inside = ahead & (rim > -3.0) & (near >= 0) & allowed
    positions = torch.stack([x, y], dim=-1).clamp(-2, 2)[:, None]
    least, most, frontal = F.grid_sample(
        sources.rough.expand(len(positions), -1, -1, -1), positions, "nearest", "border", align_corners=False
    )[:, :, 0].unbind(1)
    wanted = near * inverse
    # Pixels of the frame for a unit of the target's nearness; a surface may be off by what moves it a pixel.
    slope = torch.hypot((e[:, 0] - x * e[:, 2]) * to_x, (e[:, 1] - y * e[:, 2]) * to_y) * inverse
    slack = inverse / slope.clamp_min(1e-9)
    there = inside & (wanted >= least * (1 - LAYER) - slack) & (wanted <= most * (1 + LAYER) + slack)
    fine = finer * inverse
    moved = 0.05 * near * slope
    density = fine * fine * frontal.clamp(0.05, 1)
    border = (rim / (0.1 * min(sources.height, sources.width))).clamp(0.03, 1)
    liking = density / (density + 0.3) / (1 + 0.25 * moved * moved) * border
    return torch.where(there, liking.pow(SHARP).clamp_min(1e-12), 0.0)


def _based(matrix: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 3, n) twice: where ``matrix`` (..., 3, 4, n) takes what is infinitely far at ``middle`` (3, n), and how
    that moves for a unit of nearness."""
    base = torch.addcmul(matrix[..., 2, :], matrix[..., 0, :], middle[0])
    return base.addcmul_(matrix[..., 1, :], middle[1]), matrix[..., 3, :]


BESIDE = 0.15
"""How far beside a picture, as a share of half its size, what it saw still tells."""

STEPS = 8
"""Places along a ray at which it is asked whether the way is free; the last is too near its end to tell."""


def unseen(
    sources: Sources, cameras: Cameras, target: Tensor, frame: Tensor, middle: Tensor, near: Tensor
) -> Tensor:
    """(n,) whether the way from targets (n,) to surfaces of nearness (n,) in cells with ``middle`` (3, n) leads through
    space that no frame saw, where a wall may stand that nobody knows of. ``frame`` (n,) is asked first.

    What is nearer to the camera than all but a few things ever were to one is taken to be free.
    """
    along = (torch.arange(STEPS - 1, device=near.device)[:, None] + 0.5) / STEPS
    place = near.clamp_min(sources.farthest) / along
    hidden = place < sources.clear
    every = cameras.to_source.permute(2, 3, 0, 1).contiguous()
    hidden &= ~_free(sources, every[:, :, target, frame], cameras.top[frame], middle, place)
    left = torch.nonzero(hidden.any(0))[:, 0]
    if sources.count > 1 and len(left):
        count = sources.count
        matrix = every.transpose(2, 3)[..., target[left]].flatten(2)
        top = cameras.top.repeat_interleave(len(left))
        free = _free(sources, matrix, top, middle[:, left].repeat(1, count), place[:, left].repeat(1, count))
        free = free.view(len(free), count, -1) & cameras.allowed[target[left]].T
        hidden[:, left] &= ~free.any(1)
    return hidden.any(0)


def _free(sources: Sources, matrix: Tensor, top: Tensor, middle: Tensor, near: Tensor) -> Tensor:
    """(m, n) whether frames (n,), as ``matrix`` (3, 4, n) and ``top`` (n,), saw through what has nearness (m, n)."""
    base, e = _based(matrix, middle)
    z = torch.addcmul(base[2], near, e[2])
    inverse = 1 / z.clamp_min(EPSILON)
    x, y = (torch.addcmul(base[i], near, e[i]).mul_(inverse) for i in (0, 1))
    # What is just beside the picture is taken to be as free as its border.
    half, high = 1 - 2 * MARGIN / sources.wide, 2 * sources.height / sources.tall
    inside = (z > EPSILON) & (x.abs() < half * (1 + BESIDE)) & ((y - top - high / 2).abs() < high / 2 * (1 + BESIDE))
    positions = torch.stack([x.clamp(-half, half), torch.minimum(torch.maximum(y, top), top + high)], dim=-1)[:, None]
    most = F.grid_sample(
        sources.surface.expand(len(positions), -1, -1, -1)[:, :1], positions, "nearest", "border", align_corners=False
    )[:, 0, 0]
    return inside & (near * inverse >= most * (1 - LAYER))


@dataclass(frozen=True, eq=False)
class Followed:
    """Pixels (side * side, n) of cells followed into one frame each: ``near``ness in the target, how ``sure`` 0..1,
    ``colour`` (side * side, 3, n), and whether the surface may ``cover`` the pixel although it is not sure."""

    near: Tensor
    sure: Tensor
    colour: Tensor
    cover: Tensor


def follow(
    sources: Sources, cameras: Cameras, grid: Grid, target: Tensor, frame: Tensor, middle: Tensor, near: Tensor
) -> Followed:
    """Follow a surface of nearness (n,) in cells with ``middle`` (3, n) of targets (n,) into frames (n,)."""
    matrix = cameras.to_source.permute(2, 3, 0, 1).contiguous()[:, :, target, frame]
    back = cameras.back.permute(2, 0, 1).contiguous()[:, target, frame]
    top = cameras.top[frame]
    base, e = _based(matrix, middle)
    to_x, to_y = sources.wide / 2, sources.tall / 2

    def taken(x: Tensor, y: Tensor, z: Tensor, n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inverse = 1 / torch.addcmul(z, n, e[2]).clamp_min_(EPSILON)
        return torch.addcmul(x, n, e[0]).mul_(inverse), torch.addcmul(y, n, e[1]).mul_(inverse), inverse

    def read(x: Tensor, y: Tensor, picture: Tensor, mode: str = "bilinear") -> Tensor:
        positions = torch.stack([x, y], dim=-1)[:, None]
        return F.grid_sample(
            picture.expand(len(positions), -1, -1, -1), positions, mode, "border", align_corners=False
        )[:, :, 0]

    def corrected(x: Tensor, y: Tensor, there: Tensor) -> Tensor:
        depth = torch.addcmul(back[2], x, back[0])
        depth = depth.addcmul_(y, back[1]).addcmul_(there, back[3])
        return there / depth.clamp_min_(EPSILON)

    # First at the middle and to its sides, for the surface's slope.
    step = grid.side / 2
    sides = torch.tensor([[0.0, 0.0], [-step, 0], [step, 0], [0, -step], [0, step]], device=near.device)
    right, down = sides[:, :1] / grid.width, sides[:, 1:] / grid.height
    x0, y0, z0 = (base[i] + right * matrix[i, 0] + down * matrix[i, 1] for i in range(3))
    n = near.expand(5, -1)
    for _ in range(3):
        x, y, inverse = taken(x0, y0, z0, n)
        fresh = corrected(x, y, read(x, y, sources.surface[:, :1])[:, 0])
        n = torch.where((fresh - near).abs() <= 0.2 * near, fresh, n)
    centre = n[0]
    across, along = (n[2] - n[1]) / (2 * step), (n[4] - n[3]) / (2 * step)
    flat = ((n[1] + n[2] - 2 * n[0]).abs() < 0.02 * near) & ((n[3] + n[4] - 2 * n[0]).abs() < 0.02 * near)
    across, along = torch.where(flat, across, 0.0), torch.where(flat, along, 0.0)
    # Pixels of the frame for a unit of nearness, the frame's nearness over the target's, and what is before it: over a
    # cell these hardly change.
    inverse = inverse[0]
    slope = torch.hypot((e[0] - x[0] * e[2]) * to_x, (e[1] - y[0] * e[2]) * to_y) * inverse
    ahead = (z0 + near * e[2]).amin(0) > EPSILON

    right, down = grid.offsets(near.device)
    x0, y0, z0 = (base[i] + right * matrix[i, 0] + down * matrix[i, 1] for i in range(3))
    n = (centre + (right * grid.width) * across + (down * grid.height) * along).clamp_min_(0)
    x, y, _ = taken(x0, y0, z0, n)
    n = corrected(x, y, read(x, y, sources.surface[:, :1])[:, 0])
    n = torch.where((n - near).abs_() <= 0.3 * near, n, near)
    x, y, _ = taken(x0, y0, z0, n)
    there, jump, nearer = read(x, y, sources.surface).unbind(1)
    last = corrected(x, y, there)
    off, doubt = (last - n).mul_(slope), jump * (slope / inverse)
    wrong = (off * off).addcmul_(doubt, doubt)
    inside = (x.abs() < sources.width / sources.wide - 0.3 / to_x) & ahead
    inside &= (y - (top + sources.height / to_y / 2)).abs_() < (sources.height / 2 - 0.3) / to_y
    kept = (last - near).abs_() <= 0.25 * near + 1 / slope.clamp_min(1e-9)
    kept &= inside & (wrong < 4)
    sure = torch.where(kept, torch.exp(wrong.neg_()), 0.0)
    # Where the frame's depth is unknown, too, what is expected there may be there.
    cover = inside & ~(there + nearer < near * inverse * (1 - LAYER))
    x, y, _ = taken(x0, y0, z0, last)
    return Followed(last, sure, read(x, y, sources.colours, "bicubic"), cover)


@dataclass(frozen=True, eq=False)
class Fused:
    """T target views: ``colour`` (T, H, W, 3) uint8, ``sure`` (T, H, W) 0..1, ``near``ness (T, H, W), ``frame`` (T, H,
    W) int32, -1 where nothing is known."""

    colour: Tensor
    sure: Tensor
    near: Tensor
    frame: Tensor


def fused(sources: Sources, cameras: Cameras, grid: Grid, through_unseen: bool = False) -> Fused:
    """What the frames show of the targets of ``cameras``; ``through_unseen`` also where no frame saw the way to it."""
    device = sources.colours.device
    targets, cells = len(cameras.allowed), grid.rows * grid.columns
    near, far = (part.flatten() for part in layers(splatted(sources, cameras, grid)))
    target = torch.arange(targets, device=device).repeat_interleave(cells)
    middle = grid.middles(device).repeat(1, targets)
    # One cell of four stands for those that show the same surface.
    corner = grid.corners(near)
    itself = ((near - near[corner]).abs() > LAYER * near) | (corner == torch.arange(len(near), device=device))
    alone = torch.nonzero(itself)[:, 0]
    stands = itself.cumsum(0) - 1
    stands = torch.where(itself, stands, stands[corner])
    liking = worth(sources, cameras, target[alone], middle[:, alone], near[alone])
    best, order = liking.topk(min(3, sources.count), dim=0)
    if sources.count < 3:
        best, order = (F.pad(part, (0, 0, 0, 3 - sources.count)) for part in (best, order))
    blocked = torch.zeros(len(alone), dtype=torch.bool, device=device)
    if not through_unseen:
        blocked = unseen(sources, cameras, target[alone], order[0], middle[:, alone], near[alone])
    best, order, blocked = best[:, stands], order[:, stands], blocked[stands]
    rim = torch.nonzero(far >= 0)[:, 0]
    behind, behind_order = worth(sources, cameras, target[rim], middle[:, rim], far[rim]).max(0)
    # What nobody saw at the middle of the cell does not count; then the surface behind is the only one.
    gone = best[0, rim] <= 0
    only, both = rim[gone & (behind > 0)], (~gone) & (behind > 0)
    near[only], order[0, only] = far[only], behind_order[gone & (behind > 0)]
    first = best[0] > 0
    first[only] = True
    second_near, second_frame = near.clone(), order[1].clone()
    share = (best[1] - best[2]) / (best[0] + best[1] - 2 * best[2]).clamp_min(1e-30)
    share = torch.where(best[1] > 0, share, 0.0)
    share[only] = 0
    second = share > 0.02
    two = rim[both]
    second_near[two], second_frame[two], second[two] = far[two], behind_order[both], True
    if not through_unseen:
        blocked[only] = unseen(sources, cameras, target[only], order[0, only], middle[:, only], near[only])
        first &= ~blocked
        # Elsewhere the second frame shows the same surface.
        second &= first
        second[two] &= ~unseen(
            sources, cameras, target[two], second_frame[two], middle[:, two], second_near[two]
        )

    phases = grid.side**2
    pixels = Fused(
        torch.zeros(phases, 3, len(near), device=device), torch.zeros(phases, len(near), device=device),
        torch.zeros(phases, len(near), device=device),
        torch.full((phases, len(near)), -1, dtype=torch.int32, device=device),
    )  # fmt: skip
    cover = torch.zeros(phases, len(near), dtype=torch.bool, device=device)
    for cell in _portions(first):
        made = follow(sources, cameras, grid, target[cell], order[0, cell], middle[:, cell], near[cell])
        where: Tensor | slice = cell
        if int(cell[-1]) - int(cell[0]) == len(cell) - 1:
            where = slice(int(cell[0]), int(cell[-1]) + 1)
        pixels.colour[:, :, where], pixels.sure[:, where], pixels.near[:, where] = made.colour, made.sure, made.near
        pixels.frame[:, where] = order[0, cell].int().expand(phases, -1)
        cover[:, where] = made.cover
    for cell in _portions(second):
        made = follow(sources, cameras, grid, target[cell], second_frame[cell], middle[:, cell], second_near[cell])
        merge(cell, share[cell], second_frame[cell], made, cover[:, cell], pixels)
    frame = torch.where(pixels.sure > LEAST, pixels.frame, -1)
    colour = pixels.colour.add_(0.5).clamp_(0, 255).to(torch.uint8).transpose(1, 2)
    return Fused(*(grid.joined(part) for part in (colour, pixels.sure, pixels.near, frame)))


AT_ONCE = {"cpu": 4096}
"""Cells that are followed together: few stay in a processor's cache."""


def _portions(asked: Tensor) -> Iterator[Tensor]:
    """The numbers of the cells that are ``asked`` for, (n,) of them bool, AT_ONCE at a time."""
    cells = torch.nonzero(asked)[:, 0]
    step = AT_ONCE.get(asked.device.type, len(asked))
    return (cells[start : start + step] for start in range(0, len(cells), step))

LEAST = 0.3


def merge(cell: Tensor, share: Tensor, number: Tensor, other: Followed, cover: Tensor, pixels: Fused) -> None:
    """Put what ``other`` found in cells (n,) together with what ``pixels`` (side * side, n) have, in place."""
    a_sure, a_near, a_colour = pixels.sure[:, cell], pixels.near[:, cell], pixels.colour[:, :, cell]
    b_sure = other.sure
    a_on, b_on = a_sure > LEAST, b_sure > LEAST
    same = (a_near - other.near).abs() <= LAYER * torch.maximum(a_near, other.near)
    blend = share * b_sure / ((1 - share) * a_sure + share * b_sure).clamp_min(1e-6)
    part = torch.where(same, blend, (other.near > a_near).float())
    part = torch.where(a_on & b_on, part, (b_on & ~a_on & ~(cover & ~same)).float())
    pixels.colour[:, :, cell] = torch.lerp(a_colour, other.colour, part[:, None])
    sure = torch.where(a_on & b_on & same, torch.maximum(a_sure, b_sure), torch.lerp(a_sure, b_sure, part))
    pixels.sure[:, cell] = sure
    taken = part > 0.5
    pixels.near[:, cell] = torch.where(taken, other.near, a_near)
    pixels.frame[:, cell] = torch.where(taken, number.int(), pixels.frame[:, cell])

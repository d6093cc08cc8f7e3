"""Depth at the size of its picture, from the small map that a memory keeps beside a frame.

Between samples of one surface nearness, one over depth, is linear in the picture, so there it is interpolated. At the
edge of a thing an average of near and far would be a distance at which there is nothing: there a pixel takes the side
whose colour is like its own, so that the edge lies where the picture has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

JUMP = 0.06
"""Share of nearness by which samples around a pixel may differ, beyond an even slope, and be of one surface."""

COLOUR = 20.0
"""Levels by which colours of one surface differ."""

FLOOR = 0.05
"""How much a sample of another colour still counts: colour alone does not tell a painted wall from another."""


def finer_depth(
    depth: NDArray[np.floating[Any]], pictures: NDArray[np.uint8], device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """Z-depth (F, H, W) of ``pictures`` (F, H, W, 3) from small maps ``depth`` (F, h, w), NaN where it is unknown.

    Raises ``ValueError`` for another number of maps than of pictures.
    """
    if depth.ndim != 3 or pictures.ndim != 4 or len(depth) != len(pictures):
        raise ValueError(f"The depth has the shape {depth.shape}, the pictures {pictures.shape}: expected (F, h, w) "
                         "and (F, H, W, 3).")
    result = np.empty(pictures.shape[:3], dtype=np.float32)
    for row, (small, picture) in enumerate(zip(depth, pictures, strict=True)):
        result[row] = _finer(
            torch.from_numpy(np.asarray(small, dtype=np.float32)).to(device),
            torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1).float(),
        ).cpu().numpy()
    return result


def _finer(depth: Tensor, picture: Tensor) -> Tensor:
    """One map (h, w) at the size of its picture (3, H, W)."""
    near = torch.where(depth > 0, 1 / depth, torch.nan)
    whole = F.interpolate(near[None, None], picture.shape[1:], mode="bilinear")[0, 0]
    sides = zip(picture.shape[1:], depth.shape, strict=True)
    rows, columns = (_beside(side, kept, near.device) for side, kept in sides)
    y, x = _edges(near)[rows.first][:, columns.first].nonzero(as_tuple=True)
    if not len(y):
        return 1 / whole
    # A sample is the depth of the one pixel at the middle of its cell, not a mean of all of them.
    colours = F.interpolate(picture[None], depth.shape, mode="nearest-exact")[0]
    own, found, counts = picture[:, y, x], [], []
    steps_down, steps_right = _slope(near, 0), _slope(near, 1)
    below, beside = rows.share[y], columns.share[x]
    for row, away_down in ((rows.first[y], below), (rows.second[y], below - 1)):
        for column, away_right in ((columns.first[x], beside), (columns.second[x], beside - 1)):
            sample = near[row, column]
            reached = sample + steps_down[row, column] * away_down + steps_right[row, column] * away_right
            # No surface is followed so far that it would be twice as near or as far.
            sample = reached.clamp(sample / 2, sample * 2)
            down, right = 1 - away_down.abs(), 1 - away_right.abs()
            alike = FLOOR + torch.exp(-((own - colours[:, row, column]).abs().mean(0) / COLOUR).square())
            found.append(torch.where(sample.isfinite(), sample, 0))
            counts.append((down * right).clamp_min(1e-3) * alike * sample.isfinite())
    samples, weights = torch.stack(found), torch.stack(counts)
    most = samples.amax(0)
    least = torch.where(weights > 0, samples, torch.inf).amin(0)
    # Two surfaces: the one that most speaks for, and the mean of its samples alone.
    nearer = samples > (most + least) / 2
    side = torch.where((weights * nearer).sum(0) > weights.sum(0) / 2, nearer, ~nearer)
    weights = torch.where(most - least > JUMP * most, weights * side, weights)
    whole[y, x] = (weights * samples).sum(0) / weights.sum(0)
    return 1 / whole


@dataclass(frozen=True)
class _Beside:
    """For each pixel of a side the samples ``first`` before and ``second`` behind it, (n,) int64, and how near it is to
    the second, ``share`` (n,) 0 to 1."""

    first: Tensor
    second: Tensor
    share: Tensor


def _beside(side: int, samples: int, device: torch.device) -> _Beside:
    place = ((torch.arange(side, device=device) + 0.5) * samples / side - 0.5).clamp(0, samples - 1)
    before = place.floor()
    return _Beside(before.long(), (before + 1).clamp_max(samples - 1).long(), place - before)


def _slope(near: Tensor, axis: int) -> Tensor:
    """(h, w): by how much nearness grows from sample to sample along an axis: of the steps on both sides the smaller,
    which is the one that stays on the surface."""
    ahead = near.diff(dim=axis)
    nothing = torch.full_like(near.narrow(axis, 0, 1), torch.inf)
    behind, ahead = (torch.cat(part, axis).nan_to_num(torch.inf) for part in ([nothing, ahead], [ahead, nothing]))
    step = torch.where(behind.abs() < ahead.abs(), behind, ahead)
    return torch.where(step.isfinite(), step, 0.0)


def _edges(near: Tensor) -> Tensor:
    """(h, w): whether an edge lies among a sample and those to its right, below it, and both.

    On a thing before another the step to the farther side is larger than the slope on this side tells.
    """
    wide = F.pad(near[None, None], (1, 2, 1, 2), mode="replicate")[0, 0]
    found = torch.zeros_like(wide, dtype=torch.bool)
    for axis in (0, 1):
        ahead, back = wide.roll(-1, axis), wide.roll(1, axis)
        before = (wide - ahead) - (back - wide) > JUMP * wide
        behind = ((wide - back) - (ahead - wide) > JUMP * wide).roll(-1, axis)
        edge = (before & (wide > ahead)) | (behind & (ahead > wide)) | ~(wide.isfinite() & ahead.isfinite())
        # A pixel lies among four samples: the pair of the next row or column counts as well.
        found |= edge | edge.roll(-1, 1 - axis)
    return found[1:-2, 1:-2]

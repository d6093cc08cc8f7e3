"""Colours and patterns of surfaces, as torch tensors of shape (3, rays)."""

from __future__ import annotations

import torch
from torch import Tensor

from .scenes import Colour, Surface


def tint(colour: Colour, like: Tensor) -> Tensor:
    """A colour as (3, 1), to be broadcast over rays."""
    return torch.tensor(colour, dtype=torch.float32, device=like.device)[:, None]


def pattern(surface: Surface, u: Tensor, v: Tensor) -> Tensor:
    """Colour of a surface at `u` along it and `v` up it (or across the floor), in metres. Both (rays,); the colour is
    (3, rays), or (3, 1) where all rays share it."""
    first, second = tint(surface.colour, u), tint(surface.second, u)
    scale, kind = surface.scale, surface.pattern
    if kind == "striped":
        return torch.where((u / scale) % 1 < 0.5, first, second)
    if kind == "panelled":
        return torch.where((v < 0.95) | (v > 2.25), second, first)
    if kind == "brick":
        course = v / 0.28
        row = torch.floor(course)
        joint = (course - row < 0.12) | (((u / 0.7 + 0.5 * (row % 2)) % 1) < 0.05)
        return torch.where(joint, second, first)
    if kind == "checkered":
        return torch.where((torch.floor(u / scale) + torch.floor(v / scale)) % 2 < 0.5, first, second)
    if kind == "planked":
        plank = torch.floor(u / 0.4)
        tone = 0.85 + 0.15 * torch.sin(plank * 12.9898) ** 2
        joint = ((u / 0.4) - plank < 0.08) | (((v / 2.4 + 0.37 * plank) % 1) < 0.03)
        return torch.where(joint, second, first * tone)
    if kind == "tiled":
        joint = ((u / scale) % 1 < 0.07) | ((v / scale) % 1 < 0.07)
        return torch.where(joint, second, first)
    if kind == "stone":
        cell = torch.sin(torch.floor(u / scale) * 127.1 + torch.floor(v / scale) * 311.7)
        return torch.lerp(first, second, (0.5 + 0.5 * cell)[None])
    if kind in ("grassy", "sandy"):
        patches = torch.sin(u * 1.7 + torch.sin(v * 1.3)) + torch.sin(v * 2.3 + torch.sin(u * 0.9))
        return torch.lerp(first, second, (0.5 + 0.25 * patches)[None])
    return first.expand(3, u.numel())

"""Known pixels as Wans take them: a control video that is grey where nothing is known, and masks that promise no more
than what is known.

A latent frame stands for one picture (the first) or STRIDE of them, a latent pixel for CELL x CELL pixels. Of what is
known in part only, a latent holds a mixture of picture and grey; so a cell counts as known only where all of its pixels
are, in all of its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...film.segment import Segment
from ..inputs import as_image
from .options import STRIDE

GREY = 0.5
CELL = 8


@dataclass(frozen=True, eq=False)
class KnownVideo:
    """Of a segment of T = STRIDE * n + 1 pictures: ``pictures``, the host's IMAGE (T, H, W, 3) in 0..1, and ``known``
    (T, H, W) bool. Both belong together: what is not known is grey."""

    pictures: Tensor
    known: Tensor

    def promised(self) -> KnownVideo:
        """The same, with no more of it known than a latent holds: ``whole_cells``."""
        return replace(self, known=at_pixels(whole_cells(self.known)))

    @property
    def video(self) -> Tensor:
        """The host's IMAGE (T, H, W, 3), GREY where nothing is known."""
        return torch.where(self.known[..., None], self.pictures, GREY)

    @property
    def mask(self) -> Tensor:
        """The host's MASK (T, H, W) float32: 1 where it is to be made, 0 where it is known."""
        return (~self.known).float()


def known_video(segment: Segment) -> KnownVideo | None:
    """What is known of a segment's pixels, the pictures that it begins with included; None where nothing is."""
    if segment.view is not None:
        known = torch.from_numpy(segment.view.known)
        return KnownVideo(as_image(segment.view.pictures), known) if bool(known.any()) else None
    begun = segment.known if segment.known is not None else segment.begins_with
    if begun is None:
        return None
    first = as_image(begun)
    shape = (len(segment) - len(first), *first.shape[1:])
    pictures = torch.cat([first, torch.full(shape, GREY)])
    known = torch.zeros(pictures.shape[:3], dtype=torch.bool)
    known[: len(first)] = True
    return KnownVideo(pictures, known)


def is_held(segment: Segment, low_noise: Any) -> bool:
    """Whether a segment's known pixels are to be kept at each step.

    Raises ValueError for a pair of models: the second one goes on without noise of its own, which what is kept would
    need.
    """
    held = segment.view is not None and segment.view.held
    if held and low_noise is not None:
        raise ValueError(
            "hold_known is on, but the model is a pair for high and low noise, whose second half cannot hold known "
            "pixels. Switch hold_known off, or use a single model."
        )
    return held


def known_cells(known: Tensor) -> Tensor:
    """(T, H / CELL, W / CELL) bool of ``known`` (T, H, W) bool: cells of which all pixels are known."""
    unknown = F.max_pool2d((~known).float()[:, None], CELL)[:, 0]
    return unknown == 0


def known_latents(cells: Tensor) -> Tensor:
    """((T - 1) / STRIDE + 1, h, w) bool of ``cells`` (T, h, w) bool: those that are known in all pictures of a latent
    frame."""
    later = cells[1:].unflatten(0, (-1, STRIDE)).all(dim=1) if len(cells) > 1 else cells[:0]
    return torch.cat([cells[:1], later])


def per_picture(latents: Tensor) -> Tensor:
    """(T, h, w) of latent frames (n, h, w): each for all pictures that it stands for."""
    return torch.cat([latents[:1], latents[1:].repeat_interleave(STRIDE, dim=0)])


def whole_cells(known: Tensor) -> Tensor:
    """(T, h, w) bool of ``known`` (T, H, W) bool: what is known of each picture without promising more than a latent
    holds. Pictures that are known from edge to edge count by themselves, as the host has first and last ones."""
    cells = known_cells(known)
    return per_picture(known_latents(cells)) | known.all(dim=(1, 2))[:, None, None]


def at_pixels(cells: Tensor) -> Tensor:
    """(T, H, W) of cells (T, h, w)."""
    return cells.repeat_interleave(CELL, dim=1).repeat_interleave(CELL, dim=2)


def held_mask(known: Tensor) -> Tensor:
    """The host's noise mask (1, 1, n, h, w) float32 of a latent: 0 where ``known`` (T, H, W) bool has all of a cell."""
    return (~known_latents(known_cells(known))).float()[None, None]

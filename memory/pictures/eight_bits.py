"""From what a network gives to pixels: looked at before it is cut to 8 bits, which would make broken numbers black."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_LATENT = 65504.0
"""The largest number of half precision. Latents are a few units large."""

MOST_COLOUR = 100.0
"""Colours go from 0 to 1. A decoder may swing a little beyond; this far it has not made a picture."""


def fault_of(values: Tensor, most: float) -> str:
    """What makes numbers of any shape unusable, to be read after "holds"; empty where nothing does.

    ``most`` is how far from 0 they may lie.
    """
    if not values.numel():
        return "no numbers at all"
    lowest, highest = (float(end) for end in torch.aminmax(values.detach()))
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        broken = float((~torch.isfinite(values)).float().mean())
        kind = "no numbers (NaN)" if bool(torch.isnan(values).any()) else "infinite numbers"
        return f"{kind} in {max(broken, 0.001):.1%} of its numbers"
    largest = max(abs(lowest), abs(highest))
    return f"numbers as large as {largest:.3g}" if largest > most else ""


def eight_bits(colours: Tensor, most: float = MOST_COLOUR) -> NDArray[np.uint8]:
    """Pixels (..., 3) uint8 of colours (..., C) of 0 to 1, C at least 3, whose first three are red, green and blue.

    What lies a little outside is cut. Raises ``ValueError`` with what is wrong, to be read after "holds", where the
    colours are not finite or lie farther from 0 than ``most``.
    """
    if colours.shape[-1] < 3:
        raise ValueError(f"{colours.shape[-1]} channels instead of red, green and blue")
    rgb = colours[..., :3].float()
    if fault := fault_of(rgb, most):
        raise ValueError(fault)
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()

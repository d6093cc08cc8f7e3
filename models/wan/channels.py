"""The channels of a remembered frame, for models that carry known pictures beside the noise."""

from __future__ import annotations

import torch
from torch import Tensor


def as_input(shown: Tensor, known: Tensor, channels: int) -> Tensor:
    """Context frames (B, channels, K, h, w) as a network with so many input channels takes them.

    Args:
        shown: latents (B, C, K, h, w) in the place of the noise.
        known: the clean latents, in the place of the known picture where there is one: after a mask of 4 channels that
            is 1 (image to video, Fun Camera 2.2), or alone (Fun Camera 2.1).

    Raises:
        ValueError: the network's channels are none of these.
    """
    extra = channels - shown.shape[1]
    if extra == 0:
        return shown
    if extra == known.shape[1]:
        return torch.cat([shown, known], dim=1)
    if extra == known.shape[1] + 4:
        return torch.cat([shown, torch.ones_like(known[:, :4]), known], dim=1)
    raise ValueError(
        f"The model takes {channels} channels and its latents have {shown.shape[1]}: there is no known place for "
        "remembered frames. Use a text to video, image to video or Fun Camera model."
    )

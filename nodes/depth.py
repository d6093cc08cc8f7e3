"""Between the host's depth pictures and ours: distance along the line of sight, in scene units."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

NEAR_IS_WHITE, FAR_IS_WHITE = "white is near (inverse)", "white is far (linear)"
KINDS = [NEAR_IS_WHITE, FAR_IS_WHITE]
_FARTHEST = 255.0


def to_depth(image: torch.Tensor, kind: str, scale: float) -> NDArray[np.float32]:
    """IMAGE (F, H, W, C) of depth to distances (F, H, W) in scene units, NaN where they are unknown.

    `scale` is the distance of pure white. Where white is near, grey is that much farther as it is darker, as depth
    estimators give it, and black is far away. Where white is far, grey is nearer in proportion, and black, the place of
    the camera itself, is taken as unknown. A picture that is brighter than white is believed: floats can say more.
    """
    bright = image[..., :3].float().mean(dim=-1).cpu().numpy()
    if bright.size and not np.isfinite(bright).any():
        raise ValueError(
            "depth holds no numbers (NaN) anywhere: the model that estimates it overflowed, most often in half "
            "precision. Load it in fp32, or leave 'depth' open."
        )
    if kind == FAR_IS_WHITE:
        return np.where(bright > 0, bright * scale, np.nan).astype(np.float32)
    if kind == NEAR_IS_WHITE:
        return (scale / np.maximum(bright, 1 / _FARTHEST)).astype(np.float32)
    raise ValueError(f"depth_kind is {kind!r}. Use one of: {', '.join(KINDS)}.")

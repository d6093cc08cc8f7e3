"""Between the host's pictures and ours.

The host's IMAGE is float (F, H, W, C) in 0..1. Our pixels are uint8 (F, H, W, 3), and our depth is float32 (F, H, W):
the distance along the line of sight in scene units.
"""

from __future__ import annotations

import math

import comfy.utils
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..memory.pictures.eight_bits import eight_bits

NEAR_IS_WHITE, FAR_IS_WHITE = "white is near (inverse)", "white is far (linear)"
DEPTH_KINDS = [NEAR_IS_WHITE, FAR_IS_WHITE]
_FARTHEST = 255.0


def to_uint8(image: torch.Tensor) -> NDArray[np.uint8]:
    """IMAGE (F, H, W, C) to pixels (F, H, W, 3); brighter than white is white.

    Raises ValueError if it holds NaN or infinity.
    """
    try:
        return eight_bits(image, most=math.inf)
    except ValueError as fault:
        raise ValueError(
            f"The picture that is connected holds {fault}: it would be black. Look at the node that makes it; a VAE "
            "that overflows is cured by --fp32-vae."
        ) from None


def to_image(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Pixels (F, H, W, 3) to IMAGE (F, H, W, 3)."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255


def resized(image: torch.Tensor, width: int, height: int) -> NDArray[np.uint8]:
    """IMAGE (F, H, W, C) scaled and centre-cropped to pixels (F, height, width, 3); a side of 0 keeps the image's own.

    Raises ValueError if it holds NaN or infinity.
    """
    return to_uint8(fitted(image, width or image.shape[2], height or image.shape[1], "area"))


def fitted(image: torch.Tensor, width: int, height: int, method: str) -> torch.Tensor:
    """IMAGE (F, H, W, C) scaled by one of the host's methods and centre-cropped to (F, height, width, C)."""
    if (image.shape[2], image.shape[1]) == (width, height):
        return image
    scaled = comfy.utils.common_upscale(
        samples=image.movedim(-1, 1), width=width, height=height, upscale_method=method, crop="center"
    )
    return scaled.movedim(1, -1)


def to_depth(image: torch.Tensor, kind: str, scale: float) -> NDArray[np.float32]:
    """IMAGE (F, H, W, C) of depth to distances (F, H, W) in scene units, NaN where they are unknown.

    `scale` is the distance of pure white. Where white is near, grey is that much farther as it is darker, as depth
    estimators give it, and black is far away. Where white is far, grey is nearer in proportion, and black, the place of
    the camera itself, is taken as unknown. A picture that is brighter than white is believed: floats can say more.

    Raises ValueError if nothing in it is a number, or for another kind.
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
    raise ValueError(f"depth_kind is {kind!r}. Use one of: {', '.join(DEPTH_KINDS)}.")


def preview_picture(pixels: NDArray[np.uint8], least: int = 384) -> Image.Image:
    """One frame (H, W, 3) as a picture at least `least` wide, enlarged by whole numbers so that small frames show."""
    times = max(1, round(least / pixels.shape[1]))
    size = (pixels.shape[1] * times, pixels.shape[0] * times)
    return Image.fromarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC) if times > 1 else pixels)

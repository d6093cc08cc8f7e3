"""Between the host's pictures, float (F, H, W, C) in 0..1, and ours, uint8 (F, H, W, 3)."""

from __future__ import annotations

import math

import comfy.utils
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..memory.pictures.eight_bits import eight_bits


def to_uint8(image: torch.Tensor) -> NDArray[np.uint8]:
    """IMAGE (F, H, W, C) to pixels (F, H, W, 3); brighter than white is white. ``ValueError``: NaN, infinity."""
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
    """IMAGE scaled and centre-cropped to a size; a side of 0 keeps the image's own."""
    return to_uint8(fitted(image, width or image.shape[2], height or image.shape[1], "area"))


def fitted(image: torch.Tensor, width: int, height: int, method: str) -> torch.Tensor:
    """IMAGE scaled by one of the host's methods and centre-cropped to a size."""
    if (image.shape[2], image.shape[1]) == (width, height):
        return image
    return comfy.utils.common_upscale(image.movedim(-1, 1), width, height, method, "center").movedim(1, -1)


def preview_picture(pixels: NDArray[np.uint8], least: int = 384) -> Image.Image:
    """One frame (H, W, 3) as a picture at least `least` wide, enlarged by whole numbers so that small frames show."""
    times = max(1, round(least / pixels.shape[1]))
    size = (pixels.shape[1] * times, pixels.shape[0] * times)
    return Image.fromarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC) if times > 1 else pixels)

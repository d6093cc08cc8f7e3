"""Pictures of one size become pictures of another: the middle is cut out and scaled, and lens and depth go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray


@dataclass(frozen=True)
class Fit:
    """From pictures of the size ``source`` to ``size``, both (height, width): the largest part of the shape wanted,
    from the middle, scaled. Raises ``ValueError`` for a side below 1.

    >>> Fit((100, 400), (50, 50)).box
    (0, 150, 100, 100)
    """

    source: tuple[int, int]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if min(*self.source, *self.size) < 1:
            raise ValueError(f"Pictures of {shown(self.source)} cannot become {shown(self.size)}: a side has at least "
                             "1 pixel.")

    @property
    def box(self) -> tuple[int, int, int, int]:
        """What is cut out, in whole pixels of the source: top, left, height, width."""
        height, width = self.source
        tall, wide = self.size
        if width * tall > wide * height:
            wide, tall = max(1, round(height * wide / tall)), height
        else:
            wide, tall = width, max(1, round(width * tall / wide))
        return (height - tall) // 2, (width - wide) // 2, tall, wide

    def picture(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of the source's size, (h, w, 3)."""
        top, left, tall, wide = self.box
        part = picture[top : top + tall, left : left + wide]
        if (tall, wide) == self.size:
            return np.ascontiguousarray(part)
        method = cv2.INTER_AREA if tall >= self.size[0] else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(part, self.size[::-1], interpolation=method), dtype=np.uint8)

    def depth(self, depth: NDArray[Any]) -> NDArray[Any]:
        """Depth (n, h, w) of whole source pictures, of any size of its own, cut as they are; its points stay as they
        are, for between near and far there is nothing."""
        top, left, tall, wide = self.box
        down, across = depth.shape[1] / self.source[0], depth.shape[2] / self.source[1]
        first, start = round(top * down), round(left * across)
        last, end = max(first + 1, round((top + tall) * down)), max(start + 1, round((left + wide) * across))
        return depth[:, first:last, start:end]

    def lens(self, intrinsics: FloatArray) -> FloatArray:
        """Normalised intrinsics (n, 4) of what is left of pictures that had ``intrinsics`` (n, 4)."""
        top, left, tall, wide = self.box
        across, down = self.source[1] / wide, self.source[0] / tall
        moved = np.array([0.0, 0.0, left / self.source[1], top / self.source[0]])
        return np.asarray((intrinsics - moved) * np.array([across, down, across, down]), dtype=np.float64)


def shown(size: tuple[int, int]) -> str:
    """(height, width) as artists say it."""
    return f"{size[1]} x {size[0]}"

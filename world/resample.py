"""Colours between the pixels of remembered pictures, so that a copy of a copy stays as sharp as the first.

A long film copies the same wall hundreds of times, each time a fraction of a pixel further. Straight lines between
pixels blur it a little every time; a plain cubic loses fine detail in ten copies and rings after forty. So pictures are
first enlarged by a windowed sinc, which keeps nearly all that pixels of this size can hold; a cubic between the pixels
of the large picture then loses little; and no colour may leave the range of its neighbours by much.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

LARGER = 4
REACH = 6
"""Pixels to either side that the windowed sinc looks at."""

SLACK = 0.1
"""How far a colour may leave the range of its neighbours, as a share of that range."""

MARGIN = 2


class Source:
    """Pictures (3, K, H, W) in [-1, 1], ready to be sampled."""

    def __init__(self, pictures: Tensor) -> None:
        self.count, self.height, self.width = pictures.shape[1:]
        high, wide = (enlarging(side, LARGER, MARGIN).to(pictures) for side in (self.height, self.width))
        self.large = _stacked(high @ pictures @ wide.T)
        least, most = _around(pictures, torch.minimum), _around(pictures, torch.maximum)
        slack = SLACK * (most - least)
        self.range = _stacked(F.pad(torch.cat([least - slack, most + slack]), (MARGIN,) * 4, mode="replicate"))

    def sampled(self, grid: Tensor, order: Tensor) -> Tensor:
        """Colours (F, n, 3, H, W) at points `grid` (F, K, H, W, 2) of the pictures that `order` (F, n, H, W) names.

        Places are in [-1, 1] as torch.nn.functional.grid_sample has them, corners not aligned.
        """
        tall = self.height + 2 * MARGIN
        point = grid.gather(1, order[..., None].expand(*order.shape, 2)).clamp(-1, 1)
        x = ((point[..., 0] + 1) * self.width / 2 + MARGIN) / (self.width + 2 * MARGIN) * 2 - 1
        y = ((point[..., 1] + 1) * self.height / 2 + MARGIN + order * tall) / (self.count * tall) * 2 - 1
        points = torch.stack([x, y], dim=-1).flatten(1, 2)
        # The same tall picture for every frame: a processor's threads share the work by the first dimension alone.
        large, extremes = (part.expand(len(points), -1, -1, -1) for part in (self.large, self.range))
        colours = F.grid_sample(large, points, "bicubic", "border", align_corners=False)
        least, most = F.grid_sample(extremes, points, "nearest", "border", align_corners=False).chunk(2, dim=1)
        kept = torch.minimum(torch.maximum(colours, least), most).clamp(-1, 1)
        return kept.unflatten(2, order.shape[1:3]).transpose(1, 2)


def _around(frames: Tensor, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The least or most of each pixel and its eight neighbours: much quicker than pooling, which notes where it was."""
    wide = F.pad(frames, (1, 1, 1, 1), mode="replicate")
    row = extreme(extreme(wide[..., :-2], wide[..., 1:-1]), wide[..., 2:])
    return extreme(extreme(row[..., :-2, :], row[..., 1:-1, :]), row[..., 2:, :])


def _stacked(frames: Tensor) -> Tensor:
    """(C, K, H, W) as one tall picture (1, C, K * H, W), so that one sampling serves all."""
    return frames.flatten(1, 2)[None]


@lru_cache(maxsize=32)
def enlarging(size: int, larger: int, margin: int = 0) -> Tensor:
    """The matrix that enlarges a row of `size` pixels by a sinc windowed by a wider one.

    Its shape is (larger * (size + 2 * margin), size): the first and last pixel of the large row are repeated over its
    margins.
    """
    samples = (torch.arange(larger * size, dtype=torch.float64) + 0.5) / larger - 0.5
    pixels = torch.arange(-REACH, size + REACH, dtype=torch.float64)
    away = samples[:, None] - pixels
    weight = torch.sinc(away) * torch.sinc(away / REACH) * (away.abs() < REACH)
    weight /= weight.sum(1, keepdim=True)
    matrix = torch.zeros(larger * size, size, dtype=torch.float64)
    matrix.index_add_(1, pixels.long().clamp(0, size - 1), weight)
    rows = torch.arange(-margin * larger, (size + margin) * larger).clamp(0, larger * size - 1)
    return matrix[rows].float()

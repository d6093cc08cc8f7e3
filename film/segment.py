"""What one sampling pass is given: the cameras of the frames to make, and the past frames to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..memory.cameras.trajectory import Trajectory

CERTAIN = 0.5
"""Confidence from which a pixel counts as known."""


@dataclass(frozen=True, eq=False)
class ContextFrames:
    """Past frames, oldest first: pixels (K, H, W, 3) uint8, poses (K, 4, 4) c2w, intrinsics (K, 4).

    `latents` (1, C, K, h, w) in the VAE's space, for an adapter with `context_latents`. `numbers` (K,) says which
    frames of the film they are.
    """

    pixels: NDArray[np.uint8]
    poses: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    latents: Tensor | None = None
    numbers: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True, eq=False)
class KnownPixels:
    """What the memory knows of the T frames to be made: remembered frames moved to where their cameras see them.

    `pictures` (T, H, W, 3) uint8, of no meaning where unknown; `confidence` (T, H, W) float32 from 0, unknown, to 1;
    `depth` (T, H, W) float32 z-depth in scene units, inf where it is infinite or unknown. `frames` are the remembered
    frames that the pixels come from. `held`: the sampler is to keep what is known at each of its steps.
    """

    pictures: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    depth: NDArray[np.float32]
    frames: ContextFrames
    held: bool = False

    @property
    def known(self) -> NDArray[np.bool_]:
        """(T, H, W), whether a pixel is certain enough to be given to a model as known."""
        return self.confidence >= CERTAIN

    @property
    def share(self) -> float:
        """The share 0..1 of all pixels that are known."""
        return float(self.known.mean())


@dataclass(frozen=True, eq=False)
class Segment:
    """The frames to make: their cameras, size and what they may look back at.

    `begins_with` (H, W, 3): the first of them, where it is known already. `first_frame`: its number in the film.
    `known` (n, H, W, 3): all of the first ones that are known, for an adapter with a longer overlap.
    `view`: what the memory knows of all of them, `known` included; None where it is not asked or nothing is remembered.
    Compared by identity: the same object on positive and negative conditioning lets the host batch both.
    """

    trajectory: Trajectory
    width: int
    height: int
    context: ContextFrames | None = None
    begins_with: NDArray[np.uint8] | None = None
    first_frame: int = 0
    known: NDArray[np.uint8] | None = None
    view: KnownPixels | None = None

    def __len__(self) -> int:
        return len(self.trajectory)

"""The distances of a retrieval in scene units: as set, or estimated from the scale of the scene."""

from __future__ import annotations

from dataclasses import dataclass

from ..cameras.trajectory import Trajectory
from ..state.state import MemoryState
from .points import MEDIAN
from .scale import scene_scale
from .settings import RetrievalSettings

NEAR, FAR, REACH = 0.02, 6.0, 2.5
"""In scales: what is nearer or farther does not count; how far the coming views are taken to see."""


@dataclass(frozen=True)
class Distances:
    """All in scene units: ``scale`` of the scene; ``near``, ``depth`` (the median) and ``far`` of what is looked at;
    ``reach`` within which past cameras are looked for."""

    scale: float
    near: float
    depth: float
    far: float
    reach: float


def distances(state: MemoryState, targets: Trajectory, settings: RetrievalSettings) -> Distances:
    """What ``settings`` says; where it says 0, an estimate. The median depth, if set, is the scale's measure too."""
    scale = settings.depth / MEDIAN if settings.depth else scene_scale(state, targets)
    near, depth, far = settings.near, settings.depth, settings.far
    if far and not settings.depth:
        scale = min(scale, far / (2 * MEDIAN))
    if near and not settings.depth:
        scale = max(scale, 2 * near / MEDIAN)
    depth = depth or MEDIAN * scale
    near = near or min(NEAR * scale, depth / 2)
    far = far or max(FAR * scale, 2 * depth)
    return Distances(scale, near, depth, far, min(far, REACH * scale))

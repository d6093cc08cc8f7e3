"""The distances of a retrieval in scene units: as set, or estimated from the scale of the scene.

The scale is the distance that the camera goes in five seconds of moving, from its cameras alone, so that no setting
needs scene units. People film a room slowly and a landscape fast, so it grows with what is filmed; and it scales with
the scene, whatever its unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..state.state import MemoryState
from .points import MEDIAN
from .settings import RetrievalSettings

SECONDS = 5.0
SAMPLES, STRIDE = 48, 8
LOOKED_AT = 32
_STANDING = 0.1


def scene_scale(state: MemoryState, targets: Trajectory) -> float:
    """Scene units; 1 where no camera ever moves, and then any value does: all look from one place.

    O(1): looks at a few dozen frames of the film and at the coming path.
    """
    speeds = [_speeds(targets.poses[::STRIDE, :3, 3], np.arange(0, len(targets), STRIDE) / targets.fps)]
    if state.frames > 1:
        first = spread(state.frames - 1, SAMPLES)
        second = np.minimum(first + STRIDE, state.frames - 1)
        both = np.concatenate([first, second])
        places, times = state.cameras(both)[0][:, :3, 3], state.times_at(both)
        gone = np.linalg.norm(places[len(first) :] - places[: len(first)], axis=1)
        speeds.append(gone / np.maximum(times[len(first) :] - times[: len(first)], 1e-9))
    found = np.concatenate(speeds)
    moving = found[found > _STANDING * np.percentile(found, 90)] if len(found) else found
    scale = SECONDS * float(np.median(moving)) if len(moving) else 0.0
    return scale if np.isfinite(scale) and scale > 0.0 else 1.0


def typical_distance(state: MemoryState, frames: NDArray[np.int64]) -> float:
    """About how far away things are in ``frames`` (n,), in scene units: the median of the depth that is kept with them
    or, without any, what the cameras' movement says."""
    looked = frames[spread(len(frames), LOOKED_AT)]
    if state.has_depth:
        depth = state.depth(looked)
        known = depth[np.isfinite(depth)]
        if len(known):
            return float(np.median(known))
    return scene_scale(state, Trajectory(*state.cameras(looked), state.fps or 1.0, "looked at"))


def _speeds(places: FloatArray, times: FloatArray) -> FloatArray:
    if len(places) < 2:
        return np.zeros(0)
    return np.asarray(np.linalg.norm(np.diff(places, axis=0), axis=1) / np.diff(times))


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

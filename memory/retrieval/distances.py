"""The distances of a retrieval in scene units: as set, or estimated from the scale of the scene.

The scale is the distance that the camera goes in five seconds of moving, from its cameras alone, so that no setting
needs scene units. People film a room slowly and a landscape fast, so it grows with what is filmed; and it scales with
the scene, whatever its unit.

A slow dolly or a fast drone belies it by a factor of ten. `coverage` therefore asks less of it: how far the camera gets
around in a minute has a say too, for a drone turns where its hall ends and a dolly gets somewhere in the end; and what
comes of that is one guess of three. Where past frames have depth, that says how large the scene is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..state.state import MemoryState
from .points import MEDIAN, STEP, Scales
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
    seen_from = Trajectory(*state.cameras(looked), state.fps or 1.0, "looked at")
    return _known_distance(state, looked) or scene_scale(state, seen_from)


def _known_distance(state: MemoryState, frames: NDArray[np.int64]) -> float:
    """The median in scene units of the depth that is kept with ``frames`` (n,); 0 where there is none."""
    if not state.has_depth:
        return 0.0
    depth = state.depth(frames)
    known = depth[np.isfinite(depth)]
    return float(np.median(known)) if len(known) else 0.0


def _speeds(places: FloatArray, times: FloatArray) -> FloatArray:
    if len(places) < 2:
        return np.zeros(0)
    return np.asarray(np.linalg.norm(np.diff(places, axis=0), axis=1) / np.diff(times))


NEAR, FAR, REACH = 0.02, 6.0, 5.0
"""What is nearer or farther does not count for rules that go by the map, in scales; how far the coming views are taken
to see, in the likeliest of the sizes."""


@dataclass(frozen=True)
class Distances:
    """All in scene units: ``scale`` of the scene by its speed; ``near``, ``depth`` (the median) and ``far`` of what is
    looked at; ``reach`` within which past cameras are looked for.

    For `coverage` the likeliest scale is ``size``, and the only one where that is ``sure``, as it is set. ``nearest``
    and ``farthest`` bound what is looked at where that was set, else 0 and infinite.
    """

    scale: float
    near: float
    depth: float
    far: float
    reach: float
    size: float
    sure: bool
    nearest: float = 0.0
    farthest: float = math.inf

    @property
    def scales(self) -> Scales:
        """What the scale may be, in scene units, and how likely each is."""
        if self.sure:
            return ((self.size, 1.0),)
        return tuple((self.size * math.exp(STEP * at), likely) for at, likely in LIKELY)


def distances(state: MemoryState, targets: Trajectory, settings: RetrievalSettings) -> Distances:
    """What ``settings`` says; where it says 0, an estimate. The median depth, if set, is the scale's measure too."""

    def within(scale: float) -> float:
        if settings.far:
            scale = min(scale, settings.far / (2 * MEDIAN))
        return max(scale, 2 * settings.near / MEDIAN) if settings.near else scale

    scale = settings.depth / MEDIAN if settings.depth else within(scene_scale(state, targets))
    depth = settings.depth or MEDIAN * scale
    near = settings.near or min(NEAR * scale, depth / 2)
    far = settings.far or max(FAR * scale, 2 * depth)
    if settings.depth:
        size = scale
    elif known := _known_distance(state, spread(state.frames, LOOKED_AT)):
        size = within(known / MEDIAN)
    else:
        size = within(_corrected(scale, _extent(state)))
    farthest = settings.far or math.inf
    reach = min(farthest, REACH * size)
    return Distances(scale, near, depth, far, reach, size, bool(settings.depth), settings.near, farthest)


LIKELY = ((-1.0, 0.25), (0.0, 0.5), (1.0, 0.25))
"""Guesses of the scale: by how many ``STEP`` its logarithm is off, and how likely each is."""
MINUTE, WINDOWS, PLACES = 64.0, 6, 16
"""Seconds of film in which a camera gets around; how many such parts, and places in each, are looked at."""
USUAL, SAY, MOST = 2.0, 0.7, 16.0
"""How far a walk gets around, in scales; the say that this has (the power of it); and the most that it may differ."""


def _corrected(scale: float, extent: float) -> float:
    """The scale by the speed, corrected by how far the camera gets around."""
    return scale * float(np.clip(extent / (USUAL * scale), 1 / MOST, MOST)) ** SAY if extent > 0.0 else scale


def _extent(state: MemoryState) -> float:
    """How far in scene units cameras are from their middle within a minute (root of the mean square), the median over
    some minutes of the film; 0 where there are too few."""
    if state.frames < 2:
        return 0.0
    long = max(2, min(state.frames, round(MINUTE * (state.fps or 1.0))))
    rows = spread(state.frames - long + 1, WINDOWS)[:, None] + spread(long, PLACES)
    places = state.cameras(rows.ravel())[0][:, :3, 3].reshape(*rows.shape, 3)
    square = ((places - places.mean(axis=1, keepdims=True)) ** 2).sum(axis=2)
    extent = float(np.median(np.sqrt(square.mean(axis=1))))
    return extent if np.isfinite(extent) else 0.0

"""Whether depth stays at one scale over a long film, when every map comes at a scale and shift of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....film.depth import AS_IT_IS, SCALE_AND_SHIFT, DepthSource, Pixels, segment_depth
from ....memory.cameras.trajectory import Trajectory
from ....memory.document import canonical
from ....memory.state.depth import DEPTH_NOTE, FARTHEST, depth_to_keep
from ....memory.state.records import SegmentRecord
from ....memory.state.state import MemoryState
from ....world.render import render_with_depth
from ....world.scenes import Scene, make_scene
from ....world.walks import tour

SEEDS = (9101, 9102, 9103, 9104)
SEGMENTS, FRAMES, KEYFRAMES = 40, 16, 3
SIZE = (96, 160)
OFF = 0.15
"""By how much the scale of a map is off, and its shift as a share of the inverse of its median depth, at most."""


@dataclass(frozen=True)
class OffDepth:
    """True z-depth of a scene along a path, each map but the film's first at a random scale and shift."""

    scene: Scene
    path: Trajectory
    seed: int
    name: str = "off depth"
    metric: bool = True
    frames: int = 0
    told: str = ""

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """Z-depth (K, h, w) of the ``frames`` (K,) of the path; nothing is read off the ``pictures`` (K, H, W, 3)."""
        found = true_depth(self.scene, self.path, frames)
        for number, depth in zip(frames.tolist(), found, strict=True):
            if number == 0:
                continue
            rng = np.random.default_rng([self.seed, number])
            shift = rng.uniform(-OFF, OFF) / np.median(depth[np.isfinite(depth)])
            sight = np.isfinite(depth)
            depth[sight] = 1 / np.maximum((1 / depth[sight] - shift) * rng.uniform(1 - OFF, 1 + OFF), 1e-6)
        return found


def figures(seeds: Sequence[int] = SEEDS, segments: int = SEGMENTS) -> dict[str, float]:
    """How far the scale of depth is off, as a share, in the worst map of all scenes, and in the median one: joined by
    the fit, and without it."""
    result = {}
    for name, fit in (("", SCALE_AND_SHIFT), ("_without_fit", AS_IT_IS)):
        off = [drift(seed, segments, fit) for seed in seeds]
        result[f"depth_scale_drift{name}"] = max(float(one.max()) for one in off)
        result[f"depth_scale_drift{name}_median"] = float(np.median(np.concatenate(off)))
    return result


def drift(seed: int, segments: int, fit: str) -> NDArray[np.float64]:
    """(maps,) by how much the scale of each map of a film is off, as a share: the median of depth against truth."""
    rng = np.random.default_rng(seed)
    scene = make_scene(int(rng.integers(1 << 30)), "any")
    path = Trajectory(*tour(scene, segments * FRAMES, rng), 8.0, "tour")
    source = DepthSource(OffDepth(scene, path, seed), KEYFRAMES, fit)
    state, off = MemoryState(), []
    for start in range(0, len(path), FRAMES):
        part = path[start : start + FRAMES]
        made = segment_depth(state, source, part, np.zeros((FRAMES, *SIZE, 3), dtype=np.uint8), start)
        name = hashlib.sha256(str(start).encode()).hexdigest()
        record = SegmentRecord(name, state.id, start, FRAMES, 0, "", SIZE, 8.0, canonical({DEPTH_NOTE: made.notes}))
        state = state.with_segment(record, part.poses, part.intrinsics, depth=made.depth)
        if made.depth is None:
            off.append(1.0)
            continue
        rows = np.array(made.notes["frames"])
        truth = depth_to_keep(true_depth(scene, part, rows), len(rows), state.depth_size).astype(np.float64)
        for row, depth in zip(rows, truth, strict=True):
            if start + row:
                here = made.depth[row].astype(np.float64)
                both = np.isfinite(depth) & np.isfinite(here) & (depth < FARTHEST) & (here < FARTHEST)
                off.append(abs(float(np.median(here[both] / depth[both])) - 1))
    return np.array(off)


def true_depth(scene: Scene, path: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
    """Z-depth (K, h, w) of what the ``frames`` (K,) of a path see, inf for the sky."""
    found = render_with_depth(scene, path.poses[frames], path.intrinsics[frames], SIZE[1], SIZE[0], supersample=1)[1]
    return np.array(found.numpy(), dtype=np.float32)

"""The bench of joined depth measures what it says: depth that is off without the fit, and not with it."""

from __future__ import annotations

import numpy as np

from scene_memory.dev.bench._geometry.depth import OffDepth, figures, true_depth
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.world.scenes import make_scene
from scene_memory.world.walks import tour


def test_the_scale_stays_where_the_fit_keeps_it() -> None:
    found = figures(seeds=(17,), segments=2)
    assert found["depth_scale_drift"] < 0.03 < found["depth_scale_drift_without_fit"]
    assert found["depth_scale_drift_median"] <= found["depth_scale_drift"]


def test_all_maps_but_the_first_are_off_and_always_alike() -> None:
    rng = np.random.default_rng(18)
    scene = make_scene(3, "room")
    path = Trajectory(*tour(scene, 8, rng), 8.0)
    frames, nothing = np.array([0, 3, 7]), np.zeros((3, 4, 4, 3), dtype=np.uint8)
    maps = OffDepth(scene, path, 5).maps(nothing, path, frames)
    true = true_depth(scene, path, frames)
    assert np.array_equal(maps[0], true[0])
    assert (np.abs(np.nanmedian(maps[1:] / true[1:], axis=(1, 2)) - 1) > 0.005).all()
    assert np.array_equal(maps, OffDepth(scene, path, 5).maps(nothing, path, frames))

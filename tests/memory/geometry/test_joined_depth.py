"""Depth maps of several cameras join what is known, point by point, and what stands in the way is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import FloatArray, intrinsics_from_fov, pose
from scene_memory.memory.cameras.projection import pixel_middles, slopes, split
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.depth_fit import DepthApart, DepthFit, DepthMisfit, in_scale
from scene_memory.memory.geometry.joined_depth import Samples, coarser, join_depth

SIZE = (36, 60)
LENS = intrinsics_from_fov(70.0, SIZE[1] / SIZE[0])


def cameras(*stands: tuple[float, float, float]) -> Trajectory:
    """Cameras at (x, z) turned by so many degrees."""
    return Trajectory(np.stack([pose([x, 0.0, z], rotation(yaw=yaw)) for x, z, yaw in stands]), LENS, 8.0)


def corner(path: Trajectory, pillar: bool = False) -> FloatArray:
    """Z-depth (n, 36, 60) of two walls and a floor: x = 3, z = 5, y = 1, or of a pillar at x = 0, z = 2 before them."""
    u, v = pixel_middles(np.arange(float(SIZE[1]))), pixel_middles(np.arange(float(SIZE[0])))
    maps = []
    for one in path.poses:
        across, down = np.broadcast_arrays(*slopes(u, v[:, None], split(LENS)))
        ways = np.stack([across, down, np.ones_like(across)], axis=-1) @ one[:3, :3].T
        found = np.full(SIZE, np.inf)
        for axis, place in ((0, 3.0), (1, 1.0), (2, 5.0)):
            with np.errstate(divide="ignore"):
                z = (place - one[axis, 3]) / ways[..., axis]
            found = np.where(z > 0, np.minimum(found, z), found)
        if pillar:
            z = (2.0 - one[2, 3]) / ways[..., 2]
            found = np.where((np.abs(one[0, 3] + z * ways[..., 0]) < 0.7) & (z > 0), np.minimum(found, z), found)
        maps.append(found)
    return np.stack(maps)


def as_a_model(depth: FloatArray, scale: float, shift: float) -> FloatArray:
    return 1 / ((1 / depth - shift) * scale)


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(0.3, 3.0), shift=st.floats(-0.03, 0.03), x=st.floats(-1, 1), z=st.floats(-1, 1),
    yaw=st.floats(-25, 35),
)  # fmt: skip
def test_a_map_from_another_place_comes_to_the_scale_of_what_is_known(
    scale: float, shift: float, x: float, z: float, yaw: float
) -> None:
    before, now = cameras((0, 0, 0), (0.5, 0, 20)), cameras((x, z, yaw))
    true = corner(now)
    (fit,) = join_depth(as_a_model(true, scale, shift), now, Samples.of(corner(before), before))
    assert isinstance(fit, DepthFit)
    np.testing.assert_allclose(fit.depth, true[0], rtol=0.02)
    assert fit.residual < 0.01


def test_maps_join_one_another_where_only_one_sees_what_is_known() -> None:
    before, now = cameras((0, 0, -40)), cameras((0, 0, 70), (0, 0, 15))
    true = corner(now)
    new = np.concatenate([as_a_model(true[:1], 0.7, 0.01), as_a_model(true[1:], 1.3, -0.01)])
    known = Samples.of(corner(before), before)
    fits = join_depth(new, now, known)
    for fit, depth in zip(fits, true, strict=True):
        assert isinstance(fit, DepthFit)
        sky = np.isinf(depth)
        np.testing.assert_allclose(np.where(sky, 1, fit.depth), np.where(sky, 1, depth), rtol=0.03)
    alone = join_depth(new[:1], now[:1], known)[0]
    assert isinstance(alone, DepthApart) and "pixels of the new depth show something that is known" in str(alone)


def test_what_a_new_thing_hides_and_what_the_known_hides_do_not_bend_the_fit() -> None:
    before, now = cameras((0, 0, 0)), cameras((0.4, 0.3, 5))
    for known, new in ((corner(before), corner(now, True)), (corner(before, True), corner(now, True))):
        (fit,) = join_depth(as_a_model(new, 1.2, 0.02), now, Samples.of(known, before))
        assert isinstance(fit, DepthFit)
        np.testing.assert_allclose(fit.depth, new[0], rtol=0.02)


@pytest.mark.parametrize("smooth", [0, 6])
def test_a_map_of_something_else_is_left_out_and_the_others_join(smooth: int) -> None:
    before, now = cameras((0, 0, 0)), cameras((0.2, 0, 5), (0.3, 0, 10))
    true = corner(now)
    noise = np.exp(gaussian_filter(np.random.default_rng(1).normal(0, 1 + 20 * bool(smooth), SIZE), smooth))
    fits = join_depth(np.stack([noise, 2 * true[1]]), now, Samples.of(corner(before), before))
    assert isinstance(fits[0], DepthMisfit) and not isinstance(fits[0], DepthApart)
    assert isinstance(fits[1], DepthFit) and fits[1].scale == pytest.approx(0.5, rel=0.02)


def test_where_nothing_is_known_nothing_tells_the_scale() -> None:
    now = cameras((0, 0, 0))
    assert isinstance(join_depth(corner(now), now, Samples.none())[0], DepthApart)


def test_looking_the_other_way_shares_nothing() -> None:
    before, now = cameras((0, 0, 180)), cameras((0, 0, 0))
    known = np.full((1, *SIZE), 4.0)
    assert isinstance(join_depth(corner(now), now, Samples.of(known, before))[0], DepthApart)


def test_a_smaller_map_is_exact_on_surfaces_and_keeps_to_one_side_of_edges() -> None:
    path = cameras((0, 0, 10))
    fine = corner(path)
    small = coarser(fine, (12, 20))
    inside = (slice(None), slice(1, -1), slice(1, -1))
    middles = fine[:, 1::3, 1::3]
    np.testing.assert_allclose(small[inside], middles[inside], rtol=1e-6)

    step = np.where(np.arange(60) < 30, 2.0, 8.0) * np.ones((1, *SIZE))
    assert set(np.unique(coarser(step, (9, 16)))) == {2.0, 8.0}
    step[0, :, 30:] = np.inf
    assert set(np.unique(coarser(step, (9, 16)))) == {np.float32(2.0), np.float32(np.inf)}


def test_in_scale_is_the_formula() -> None:
    given_ = np.array([[1.0, 2.0, np.inf, np.nan, -1.0, 40.0]])
    there = in_scale(given_, 2.0, -0.1)
    np.testing.assert_allclose(there, [[1 / 0.4, 1 / 0.15, np.inf, np.nan, np.nan, np.nan]], rtol=1e-6)

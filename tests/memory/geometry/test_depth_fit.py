"""A new depth map is brought to what is known, whatever a third of the pixels say, or is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scene_memory.memory.geometry.depth_fit import DepthMisfit, fit_depth

SIZE = (36, 64)


def a_room(rng: np.random.Generator) -> NDArray[np.float64]:
    """Depth (36, 64) of a slanted wall with a nearer block, 1 to 12 scene units away."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / SIZE[1]
    wall = rng.uniform(3, 7) + rng.uniform(-3, 3) * x + rng.uniform(-1.5, 1.5) * y
    block = (np.abs(x - rng.uniform(0.2, 0.8)) < 0.15) & (y > 0.2)
    return np.clip(np.where(block, rng.uniform(0.3, 0.8) * wall, wall), 1.0, 12.0)


def seen_by_a_model(depth: NDArray[np.float64], scale: float, shift: float) -> NDArray[np.float64]:
    """What a model gives for which ``scale`` and ``shift`` are the answer."""
    return 1 / ((1 / depth - shift) * scale)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), factor=st.floats(0.2, 5.0), part=st.floats(-0.15, 0.15), outliers=st.floats(0.0, 0.3),
    nearer=st.booleans(),
)  # fmt: skip
def test_a_third_of_wrong_pixels_does_not_move_the_fit(
    seed: int, factor: float, part: float, outliers: float, nearer: bool
) -> None:
    rng = np.random.default_rng(seed)
    true = a_room(rng)
    shift = part / np.median(true)
    known = true * np.exp(rng.normal(0, 0.01, SIZE))
    wrong = rng.random(SIZE) < outliers
    known[wrong] *= np.exp((-1 if nearer else 1) * rng.uniform(0.2, 1.5, int(wrong.sum())))
    known[:, : rng.integers(0, 30)] = np.nan

    fit = fit_depth(seen_by_a_model(true, factor, shift), known)

    assert np.abs(fit.depth / true - 1).max() < 0.03
    assert np.median(fit.depth / true) == pytest.approx(1, abs=0.006)
    assert 0.004 < fit.residual < 0.03
    assert fit.agreeing > 0.6


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), times=st.floats(0.05, 20.0))
def test_the_scale_is_in_scene_units_for_each_unit_of_the_map(seed: int, times: float) -> None:
    true = a_room(np.random.default_rng(seed))
    assert fit_depth(true, true * times, with_shift=False).scale == pytest.approx(times, rel=1e-4)
    assert fit_depth(true, true * times).scale == pytest.approx(times, rel=0.01)


def test_scale_and_shift_are_those_of_the_formula() -> None:
    true = a_room(np.random.default_rng(3))
    new = seen_by_a_model(true, 2.5, 0.02)
    fit = fit_depth(new, true)
    assert fit.scale == pytest.approx(2.5, rel=0.01) and fit.shift == pytest.approx(0.02, abs=0.001)
    np.testing.assert_allclose(fit.depth, 1 / (1 / (fit.scale * new) + fit.shift), rtol=1e-5)


def test_without_a_shift_a_shifted_map_keeps_its_shape() -> None:
    true = a_room(np.random.default_rng(4))
    new = seen_by_a_model(true, 1.3, 0.03)
    fit = fit_depth(new, true, with_shift=False)
    assert fit.shift == 0 and fit.residual > 0.01
    np.testing.assert_allclose(fit.depth, fit.scale * new, rtol=1e-5)


def test_pixels_that_are_all_as_far_do_not_bend_the_map() -> None:
    rng = np.random.default_rng(5)
    true = a_room(rng)
    known = np.where(np.abs(true / np.median(true) - 1) < 0.01, true * np.exp(rng.normal(0, 0.02, SIZE)), np.nan)
    fit = fit_depth(true * 1.1, known)
    assert abs(fit.shift) * np.median(true) < 0.05
    np.testing.assert_allclose(fit.depth, true, rtol=0.1)


def test_several_known_maps_count_and_a_weight_says_how_much() -> None:
    rng = np.random.default_rng(6)
    true = a_room(rng)
    drifted = true * 1.2
    known = np.stack([true, true, drifted])
    assert fit_depth(true, known).scale == pytest.approx(1, rel=0.01)
    worth = np.stack([np.full(SIZE, 0.1), np.full(SIZE, 0.1), np.ones(SIZE)])
    assert fit_depth(true, known, worth).scale == pytest.approx(1.2, rel=0.01)
    assert fit_depth(true, known).shared == true.size


def test_the_same_maps_give_the_same_fit() -> None:
    rng = np.random.default_rng(7)
    true = a_room(rng)
    known = true * np.exp(rng.normal(0, 0.1, SIZE))
    one, other = fit_depth(true, known), fit_depth(true, known)
    assert (one.scale, one.shift, one.residual) == (other.scale, other.shift, other.residual)
    assert np.array_equal(one.depth, other.depth)


def test_what_is_unknown_stays_unknown_and_is_no_evidence() -> None:
    true = a_room(np.random.default_rng(8))
    new = true.copy()
    new[0, 0], new[0, 1], new[0, 2], new[0, 3] = np.nan, 0, -1, np.inf
    known = true * 2
    known[5] = np.inf
    fit = fit_depth(new, known)
    assert np.isnan(fit.depth[0, :3]).all() and fit.depth[0, 3] == np.inf and np.isfinite(fit.depth[1:]).all()
    assert fit.shared == true.size - 4 - SIZE[1]


def test_what_a_shift_puts_behind_infinity_is_unknown() -> None:
    true = a_room(np.random.default_rng(9))
    new = seen_by_a_model(true, 1.0, -0.05)
    new[0, 0] = 1000.0
    fit = fit_depth(new, true)
    assert fit.shift < -0.04 and np.isnan(fit.depth[0, 0]) and np.isfinite(fit.depth[1:]).all()


def test_too_few_common_pixels_are_refused() -> None:
    true = a_room(np.random.default_rng(10))
    known = np.full(SIZE, np.nan)
    known[:5, :9] = true[:5, :9]
    with pytest.raises(DepthMisfit, match="Only 45 pixels of the new depth show something that is known, and 48"):
        fit_depth(true, known)


def test_a_map_of_another_place_is_refused() -> None:
    rng = np.random.default_rng(11)
    noise = np.exp(rng.normal(0, 1, SIZE))
    with pytest.raises(DepthMisfit, match="off by .*% from what is known, .*15% is allowed"):
        fit_depth(noise, a_room(rng), with_shift=False)
    with pytest.raises(DepthMisfit, match="is of another place, or near and far are the wrong way round"):
        fit_depth(noise, a_room(rng))


def test_where_half_is_nearer_than_the_map_says_it_is_refused_not_averaged() -> None:
    rng = np.random.default_rng(12)
    true = a_room(rng)
    known = true.copy()
    wrong = rng.permutation(true.size) < 0.48 * true.size
    known.ravel()[wrong.nonzero()] *= np.exp(-rng.uniform(0.3, 1.5, int(wrong.sum())))
    with pytest.raises(DepthMisfit, match="Only 5.% of what both see agrees, and 48% speaks against it"):
        fit_depth(true, known)


def test_what_stands_before_half_of_what_was_known_may_be_new() -> None:
    rng = np.random.default_rng(13)
    known = a_room(rng)
    true = known.copy()
    true[:, 26:] = np.minimum(rng.uniform(0.5, 0.9), 0.8 * known[:, 26:])
    fit = fit_depth(seen_by_a_model(true, 1.4, 0.01), known)
    np.testing.assert_allclose(fit.depth, true, rtol=0.01)
    assert fit.agreeing == pytest.approx(26 / 64, abs=0.01)


@pytest.mark.parametrize("shape", [(3, 4), (2, 36, 63)])
def test_maps_of_other_pixels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="of the same pixels"):
        fit_depth(np.ones(SIZE), np.ones(shape))
    with pytest.raises(ValueError, match="as the known depth"):
        fit_depth(np.ones(SIZE), np.ones(SIZE), np.ones(shape))

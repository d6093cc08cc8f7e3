"""Metrics: known figures for known pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.dev.metrics import motion, psnr, revisit_pairs, revisit_psnr
from scene_memory.memory.cameras.presets import make_preset


def flat(value: float, frames: int = 2) -> np.ndarray:
    return np.full((frames, 6, 10, 3), value)


def test_a_difference_of_a_tenth_is_20_db():
    assert psnr(flat(0.5), flat(0.6)) == pytest.approx(20.0)


def test_bytes_have_their_peak_at_255():
    assert psnr(np.uint8([[0]]), np.uint8([[255]])) == pytest.approx(0.0)
    assert psnr(np.uint8([[100]]), np.uint8([[101]])) == pytest.approx(20 * math.log10(255))


def test_equal_pictures_have_no_noise():
    assert psnr(flat(0.3), flat(0.3)) == math.inf


@pytest.mark.parametrize(("a", "b"), [(flat(0)[:1], flat(0)), (flat(0)[:0], flat(0)[:0])])
def test_pictures_that_cannot_be_compared_are_refused(a: np.ndarray, b: np.ndarray):
    with pytest.raises(ValueError, match="cannot be compared|no pictures"):
        psnr(a, b)


def test_motion_is_the_mean_step_and_a_static_film_has_none():
    film = np.random.default_rng(0).integers(0, 256, (5, 6, 10, 3), dtype=np.uint8)
    assert motion(np.concatenate([flat(0.2, 1), flat(0.5, 1), flat(0.5, 1)])) == pytest.approx(0.15)
    assert motion(film[:1]) == 0.0 and motion(np.repeat(film[:1], 5, axis=0)) == 0.0 and motion(film) > 0.2


@given(st.integers(5, 60), st.floats(40, 300))
def test_a_path_that_comes_back_pairs_frame_i_with_its_mirror(frames: int, amount: float):
    path = make_preset("turn away and come back", frames=frames, fps=8, amount=amount, fov=60, aspect=1.6)
    pairs = revisit_pairs(path.poses, 2)
    assert (0, frames - 1) in pairs
    assert all(np.array_equal(path.poses[i], path.poses[j]) for i, j in pairs)
    if amount < 179:
        assert all(i + j == frames - 1 for i, j in pairs)


def test_a_path_that_never_leaves_has_no_revisit():
    for name in ("static", "pan", "turn away and come back"):
        path = make_preset(name, frames=40, fps=8, amount=20, fov=60, aspect=1.6)
        assert revisit_pairs(path.poses, 2) == []


def test_walking_off_counts_as_leaving():
    path = make_preset("dolly", frames=20, fps=8, amount=2, fov=60, aspect=1.6)
    there_and_back = np.concatenate([path.poses, path.poses[::-1]])
    assert (0, 39) in revisit_pairs(there_and_back, 2)
    assert revisit_pairs(there_and_back, 2, excursion_distance=3.0) == []


def test_frames_closer_than_the_gap_are_no_pair():
    path = make_preset("turn away and come back", frames=41, fps=8, amount=90, fov=60, aspect=1.6)
    assert all(j - i >= 30 for i, j in revisit_pairs(path.poses, 30)) and revisit_pairs(path.poses, 50) == []


def test_the_nearest_return_is_taken_within_the_tolerance():
    poses = np.stack([np.eye(4)] * 4)
    poses[:, 0, 3] = [0.0, 5.0, 0.02, 0.01]
    assert (0, 3) in revisit_pairs(poses, 1, 0.05, 1.0)
    assert revisit_pairs(poses, 1, 0.001, 1.0) == []


def test_revisit_psnr_is_the_mean_over_pairs_and_equal_frames_count_100_db():
    film = np.concatenate([flat(0.5, 1), flat(0.1, 1), flat(0.6, 1), flat(0.1, 1)])
    assert revisit_psnr(film, [(0, 2)]) == pytest.approx(20.0)
    assert revisit_psnr(film, [(0, 2), (1, 3)]) == pytest.approx(60.0)


def test_no_pairs_are_an_error_with_the_cure():
    with pytest.raises(ValueError, match="leaves and comes back"):
        revisit_psnr(flat(0.5), [])

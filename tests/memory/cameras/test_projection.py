"""Points, pixels and rays: what is projected comes back, in numpy and torch alike, with the bits that films hang on."""

from __future__ import annotations

import doctest
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras import angles, projection
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import pose
from scene_memory.memory.cameras.projection import pixel_middles, project, slopes, split, to_camera, to_world, unproject

SEEDS = st.integers(0, 2**32 - 1)


def cameras(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    turns = random.uniform(-180, 180, (count, 3))
    poses = np.stack([pose(random.normal(size=3), rotation(*map(float, turn))) for turn in turns])
    return poses, np.concatenate([random.uniform(0.3, 3.0, (count, 2)), random.uniform(0.2, 0.8, (count, 2))], axis=1)


@pytest.mark.parametrize("module", [angles, projection])
def test_the_examples_hold(module: ModuleType):
    ran = doctest.testmod(module)
    assert ran.attempted > 1 and ran.failed == 0


@given(SEEDS)
def test_a_point_is_projected_to_where_it_was_unprojected_from(seed: int):
    poses, intrinsics = cameras(seed, 5)
    u, v, z = np.random.default_rng(seed).uniform(0.1, 9.0, (3, 5, 7))
    local = np.stack(unproject(u, v, z, split(intrinsics, 1)), axis=-1)
    back = to_camera(to_world(local, poses), poses)
    np.testing.assert_allclose(back, local, rtol=1e-9, atol=1e-9)
    found = project(back[..., 0], back[..., 1], back[..., 2], split(intrinsics, 1))
    np.testing.assert_allclose(found, (u, v), rtol=1e-8, atol=1e-8)


@given(SEEDS)
def test_numpy_and_torch_give_the_same_bits(seed: int):
    _, intrinsics = cameras(seed, 4)
    x, y, z = np.random.default_rng(seed).normal(size=(3, 4, 6)).astype(np.float32)
    lens = intrinsics.astype(np.float32)
    theirs = tuple(torch.from_numpy(part) for part in (x, y, z))
    for function in (project, unproject):
        ours = function(x, y, z, split(lens, 1))
        for mine, other in zip(ours, function(*theirs, split(torch.from_numpy(lens), 1)), strict=True):
            assert mine.dtype == np.float32 and mine.tobytes() == other.numpy().tobytes()
    theirs_too = pixel_middles(torch.arange(7, dtype=torch.float64)).numpy()
    assert pixel_middles(np.arange(7.0)).tobytes() == theirs_too.tobytes()


@given(SEEDS)
def test_the_order_of_the_arithmetic_is_that_of_before(seed: int):
    """Frames are chosen and colours anchored by these numbers: each function is held to the expression it took over."""
    _, intrinsics = cameras(seed, 4)
    u, v, z = np.random.default_rng(seed).uniform(-2.0, 2.0, (3, 4, 6))
    fx, fy, cx, cy = (intrinsics[:, number, None] for number in range(4))
    assert np.array_equal(slopes(u, v, split(intrinsics, 1)), ((u - cx) / fx, (v - cy) / fy))
    assert np.array_equal(unproject(u, v, z, split(intrinsics, 1))[0], (u - cx) / fx * z)
    assert np.array_equal(project(u, v, z, split(intrinsics, 1)), (fx * u / z + cx, fy * v / z + cy))
    assert np.array_equal(project(u / z, v / z, 1.0, split(intrinsics, 1)), (u / z * fx + cx, v / z * fy + cy))


def test_the_gradient_of_a_picture_position_reaches_the_point():
    point = torch.tensor([0.4, -0.2, 2.0], requires_grad=True)
    u, _ = project(point[0], point[1], point[2], split(torch.tensor([0.7, 1.1, 0.5, 0.5])))
    u.backward()
    assert point.grad is not None and point.grad.tolist() == pytest.approx([0.35, 0.0, -0.07])

"""Remembered frames seen from other cameras, against closed forms and the truth of rendered scenes."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.geometry.view import view
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

WIDTH, HEIGHT = 96, 60


def path(*stands: tuple[float, float, float], degrees: float = 70.0) -> Trajectory:
    """Cameras at (x, z, yaw in degrees)."""
    poses = np.stack([pose((x, 0, z), rotation(yaw=yaw)) for x, z, yaw in stands])
    return Trajectory(poses, intrinsics_from_fov(degrees, WIDTH / HEIGHT), 16)


def rendered(seed: int, place: str, cameras: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """(F, H, W, 3) uint8 and z-depth (F, H, W) of a scene."""
    frames, depth = render_with_depth(make_scene(seed, place), cameras.poses, cameras.intrinsics, WIDTH, HEIGHT)
    return frames.numpy(), depth.numpy()


def decibels(wrong: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(np.square(wrong / 255.0)) + 1e-12))


def test_the_same_camera_sees_the_same_picture() -> None:
    cameras = path((0, 0, 10))
    frames, depth = rendered(4, "room", cameras)
    made = view(frames, depth, cameras, cameras)
    assert made.known.mean() > 0.97
    assert decibels((made.pictures.astype(float) - frames)[made.known]) > 36
    assert np.allclose(made.depth[made.known], depth[made.known], rtol=0.02)


@pytest.mark.parametrize("place", ["room", "rooms", "landscape"])
def test_pixels_land_where_the_other_camera_sees_them(place: str) -> None:
    cameras, targets = path((0, 0, 0), (0.1, 0, 20)), path((0.3, 0.2, 5), (0, 0.5, 0))
    frames, depth = rendered(6, place, cameras)
    truth, _ = rendered(6, place, targets)
    made = view(frames, depth, cameras, targets)
    assert made.pictures.shape == truth.shape and made.known.mean() > 0.75
    assert decibels((made.pictures.astype(float) - truth)[made.known]) > 22


def test_behind_the_camera_nothing_is_known() -> None:
    cameras = path((0, 0, 0))
    frames, depth = rendered(4, "room", cameras)
    made = view(frames, depth, cameras, path((0, 0, 180)))
    assert not made.known.any() and (made.source == -1).all() and np.isinf(made.depth).all()


def test_without_depth_a_turn_is_exact_and_a_step_is_refused() -> None:
    cameras, turned, stepped = path((0, 0, 0)), path((0, 0, 15)), path((0.5, 0, 15))
    frames, _ = rendered(4, "room", cameras)
    truth, _ = rendered(4, "room", turned)
    made = view(frames, None, cameras, turned)
    assert made.known.mean() > 0.6
    assert decibels((made.pictures.astype(float) - truth)[made.known]) > 24
    assert not view(frames, None, cameras, stepped).known.any()
    assert view(frames, None, cameras, stepped, scene_distance=1000.0).known.any()


def test_no_frames_know_nothing() -> None:
    made = view(np.zeros((0, HEIGHT, WIDTH, 3), np.uint8), None, path((0, 0, 0)), path((0, 0, 0), (0, 0, 5)))
    assert made.pictures.shape == (2, HEIGHT, WIDTH, 3) and not made.known.any()

"""Colours anchored to remembered frames: casts are undone where both see the same, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

DISTANCE = 3.0


@pytest.fixture(scope="module")
def colour(comfy: Any) -> Any:
    from scene_memory.film import colour

    return colour


def scene(seed: int = 1) -> np.ndarray:
    """A wide picture of soft coloured patches: what a camera that turns looks at."""
    patches = np.random.default_rng(seed).integers(30, 220, (6, 60, 3), dtype=np.uint8)
    return cv2.resize(patches, (1440, 144), interpolation=cv2.INTER_CUBIC)


def turning(degrees: list[float], panorama: np.ndarray) -> tuple[np.ndarray, Any]:
    """Pictures (n, 60, 96, 3) and cameras that stand still and look these ways: every pixel a line of sight."""
    from scene_memory.memory.cameras.angles import rotation
    from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
    from scene_memory.memory.cameras.trajectory import Trajectory

    lens = intrinsics_from_fov(60.0, 1.6)
    u, v = np.meshgrid((np.arange(96) + 0.5) / 96, (np.arange(60) + 0.5) / 60)
    pictures = []
    for angle in degrees:
        sight = (
            np.stack([(u - lens[2]) / lens[0], (v - lens[3]) / lens[1], np.ones_like(u)], -1) @ rotation(yaw=angle).T
        )
        column = (np.degrees(np.arctan2(sight[..., 0], sight[..., 2])) % 360 * 4).astype(np.float32)
        row = (72 + 100 * sight[..., 1] / np.hypot(sight[..., 0], sight[..., 2])).astype(np.float32)
        pictures.append(cv2.remap(panorama, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    poses = np.stack([pose([0.0, 0.0, 0.0], rotation(yaw=angle)) for angle in degrees])
    return np.stack(pictures), Trajectory(poses, np.tile(lens, (len(degrees), 1)), 8.0)


def tinted(pictures: np.ndarray, cast: tuple[float, float, float] = (14.0, -2.0, -8.0)) -> np.ndarray:
    return (pictures + np.array(cast)).clip(0, 255).round().astype(np.uint8)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float).mean(axis=(0, 1, 2)) - other.astype(float).mean(axis=(0, 1, 2))).max())


def test_every_pixel_comes_back_from_oklab(colour: Any) -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    assert np.array_equal(colour.srgb(colour.oklab(pixels)), pixels)
    white, red = colour.oklab(np.array([[255, 255, 255], [255, 0, 0]], np.uint8))
    assert white == pytest.approx([1, 0, 0], abs=1e-3)
    assert red == pytest.approx([0.628, 0.225, 0.126], abs=1e-3), "the value of Ottosson's page"


def test_a_cast_is_undone_where_the_same_places_are_remembered(colour: Any) -> None:
    old, seen_from = turning([0.0, 30.0], scene())
    new, path = turning([10.0, 20.0, 30.0, 40.0], scene())
    red = tinted(new)
    whole = colour.anchored(red, path, old, seen_from, 1.0, DISTANCE)
    half = colour.anchored(red, path, old, seen_from, 0.5, DISTANCE)
    assert error(red, new) > 12
    assert error(whole, new) < 2
    assert 4 < error(half, new) < 9
    assert whole.dtype == np.uint8 and whole.shape == red.shape


def test_lost_contrast_comes_back(colour: Any) -> None:
    old, seen_from = turning([0.0, 30.0], scene())
    new, path = turning([10.0, 20.0], scene())
    pale = (128 + 0.85 * (new.astype(float) - 128)).round().astype(np.uint8)
    whole = colour.anchored(pale, path, old, seen_from, 1.0, DISTANCE)
    assert abs(whole.std() - new.std()) < 0.25 * abs(pale.std() - new.std())


def test_right_colours_stay_though_another_part_of_the_scene_is_shown(colour: Any) -> None:
    panorama = scene()
    panorama[:, 360:720] = (panorama[:, 360:720] * 0.3).astype(np.uint8)
    old, seen_from = turning([0.0, 50.0], panorama)
    new, path = turning([70.0, 90.0], panorama)
    assert error(old, new) > 25, "what is shown does differ"
    assert error(colour.anchored(new, path, old, seen_from, 1.0, DISTANCE), new) < 2


def test_something_that_came_into_the_picture_does_not_tint_the_rest(colour: Any) -> None:
    old, seen_from = turning([0.0, 30.0], scene())
    new, path = turning([10.0, 20.0], scene())
    new[:, 20:50, 20:50] = (250, 30, 30)
    assert error(colour.anchored(new, path, old, seen_from, 1.0, DISTANCE), new) < 2.5


def test_nothing_happens_without_a_common_place_or_with_strength_0(colour: Any) -> None:
    old, seen_from = turning([0.0], scene())
    new, path = turning([10.0], scene())
    away, there = turning([180.0], scene())
    red = tinted(new)
    assert colour.anchored(red, path, old, seen_from, 0.0, DISTANCE) is red
    assert np.array_equal(colour.anchored(red, path, away, there, 1.0, DISTANCE), red)
    assert np.array_equal(colour.anchored(red, path, old[:0], seen_from, 1.0, DISTANCE), red)


def test_another_scene_from_the_same_camera_is_left_alone(colour: Any) -> None:
    old, seen_from = turning([0.0, 30.0], scene(seed=1))
    for seed in (2, 3, 4):
        new, path = turning([10.0, 20.0], scene(seed=seed))
        assert np.array_equal(colour.anchored(new, path, old, seen_from, 1.0, DISTANCE), new)


def test_no_segment_is_changed_by_more_than_the_cap(colour: Any) -> None:
    old, seen_from = turning([0.0, 30.0], scene())
    new, path = turning([10.0, 20.0], scene())
    dark = (new * 0.3).astype(np.uint8)
    change = colour.change_between(*colour.pairs(dark, path, old, seen_from, DISTANCE))
    assert np.abs(change.shift).max() <= colour.MOST_SHIFT + 1e-6
    assert change.gain.max() <= colour.MOST_GAIN + 1e-6 and change.gain.min() >= 1 / colour.MOST_GAIN - 1e-6

"""Remembered pixels, moved to other views: where they land, what hides them, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.world import reproject
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import Scene, make_scene
from scene_memory.world.training.dataset import FARTHEST

WIDTH, HEIGHT = 96, 60
LENS = intrinsics_from_fov(70, WIDTH / HEIGHT)


def cameras(*stands: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Poses and lenses at (x, z, yaw in degrees)."""
    poses = np.stack([pose((x, 0, z), rotation(yaw=yaw)) for x, z, yaw in stands])
    return poses, np.tile(LENS, (len(stands), 1))


def moved(
    scene: Scene, context: list[tuple[float, float, float]], target: list[tuple[float, float, float]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(F, CHANNELS, H, W) woven pictures, true target pictures in [-1, 1] (F, 3, H, W) and true nearness (F, H, W)."""
    seen, depth = render_with_depth(scene, *cameras(*context), WIDTH, HEIGHT)
    truth, true_depth = render_with_depth(scene, *cameras(*target), WIDTH, HEIGHT)
    given = [torch.from_numpy(part).float()[None] for part in (*cameras(*context), *cameras(*target))]
    near = (1 / depth).clamp_min(1 / FARTHEST)[None]
    woven = reproject.reproject(seen.permute(3, 0, 1, 2)[None] / 127.5 - 1, near, *given)[0]
    return woven, truth.permute(0, 3, 1, 2) / 127.5 - 1, (1 / true_depth).clamp_min(1 / FARTHEST)


def decibels(wrong: torch.Tensor) -> float:
    return float(-10 * torch.log10((wrong / 2).square().mean()))


def test_the_same_view_is_the_same_picture_and_wholly_certain() -> None:
    woven, truth, _ = moved(make_scene(4, "room"), [(0, 0, 10)], [(0, 0, 10)])
    assert (woven[0, 3] > 0.95).float().mean() > 0.97
    assert decibels(woven[0, :3] - truth[0]) > 34


@pytest.mark.parametrize("target", [(0.0, 0.0, 14.0), (0.3, 0.2, 5.0), (0.0, 0.5, 0.0)])
@pytest.mark.parametrize("place", ["room", "rooms", "landscape"])
def test_pixels_land_where_the_other_camera_sees_them(place: str, target: tuple[float, float, float]) -> None:
    woven, truth, near = moved(make_scene(6, place), [(0, 0, 0), (0.1, 0, 20)], [target])
    sure = woven[0, 3] > 0.5
    assert sure.float().mean() > 0.8
    wrong = (woven[0, :3] - truth[0])[:, sure]
    assert decibels(wrong) > 20
    still = decibels((moved(make_scene(6, place), [(0, 0, 0)], [(0, 0, 0)])[0][0, :3] - truth[0])[:, sure])
    assert decibels(wrong) > still + 3, "better than leaving them where they were"
    assert ((woven[0, -1] - near[0]).abs() / near[0])[sure].median() < 0.05


def test_what_no_frame_saw_is_not_known() -> None:
    woven, _, _ = moved(make_scene(4, "room"), [(0, 0, 0)], [(0, 0, 120)])
    assert (woven[0, 3] == 0).all() and (woven[0, -1] == 0).all() and (woven[0, :3] == 0).all()


def test_a_nearer_thing_hides_what_is_behind_it() -> None:
    """A wall at 4 and a square before it at 2: from the side, the square covers another part of the wall."""
    near = torch.full((1, 1, HEIGHT, WIDTH), 1 / 4)
    colours = torch.full((1, 3, 1, HEIGHT, WIDTH), -0.5)
    near[0, 0, 20:40, 40:56], colours[0, :, 0, 20:40, 40:56] = 1 / 2, 0.8
    given = [torch.from_numpy(part).float()[None] for part in (*cameras((0, 0, 0)), *cameras((0.5, 0, 0)))]
    woven = reproject.reproject(colours, near, *given)[0, 0]
    shift = round(0.5 / 2 * LENS[0] * WIDTH)
    assert (woven[0, 25:35, 42 - shift : 54 - shift] - 0.8).abs().max() < 0.05
    assert (woven[3, 25:35, 58 - shift : 64 - shift] < 0.5).float().mean() > 0.5, "wall that the square had hidden"
    assert (woven[0, 25:35, 70:84] + 0.5).abs().max() < 0.05


def test_no_holes_open_when_the_camera_comes_nearer() -> None:
    woven, _, _ = moved(make_scene(4, "room"), [(0, 0, 0)], [(0, 1.0, 0)])
    inner = woven[0, 3, 5:-5, 5:-5]
    assert (inner > 0.5).float().mean() > 0.93


def test_the_second_picture_comes_from_another_frame() -> None:
    woven, _, _ = moved(make_scene(4, "room"), [(0, 0, 0), (0, 0, 5)], [(0, 0, 2)])
    both = (woven[0, 3] > 0.9) & (woven[0, 7] > 0.9)
    assert both.float().mean() > 0.7
    assert ((woven[0, :3] - woven[0, 4:7]).abs().amax(0)[both] > 0).float().mean() > 0.2
    alone, _, _ = moved(make_scene(4, "room"), [(0, 0, 0)], [(0, 0, 2)])
    assert (alone[0, 4:8] == 0).all()

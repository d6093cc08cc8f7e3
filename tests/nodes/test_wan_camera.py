"""A camera path for Wan's Fun-Camera models: the numbers of ComfyUI's own node, for any path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.models.wan.plucker import cropped, wan_camera_embedding

STOCK = [
    "Static", "Pan Up", "Pan Down", "Pan Left", "Pan Right", "Zoom In", "Zoom Out", "Anti Clockwise (ACW)",
    "ClockWise (CW)",
]  # fmt: skip


def stock_path(name: str, length: int, width: int, height: int, speed: float) -> Trajectory:
    """The cameras of one of the stock node's moves, worked out by its own code, as a path of ours."""
    from comfy_extras.nodes_camera_trajectory import CAMERA_DICT, get_camera_motion

    move = CAMERA_DICT[name]
    poses = np.tile(np.eye(4), (length, 1, 1))
    poses[:, :3] = get_camera_motion(np.array(move["angle"]), np.array(move["T"]), speed, length)
    # The stock node takes fx = fy = 0.5 for a picture of 1280 x 720 and crops that to the size asked for.
    lens = [0.5, 0.5, 0.5, 0.5]
    if 1280 / 720 > width / height:
        lens[0] = height * (1280 / 720) * 0.5 / width
    else:
        lens[1] = width / (1280 / 720) * 0.5 / height
    return Trajectory(poses, np.array(lens), 16.0, name)


def test_these_are_all_the_moves_of_the_stock_node(comfy: Path) -> None:
    from comfy_extras.nodes_camera_trajectory import CAMERA_DICT, WanCameraEmbedding

    assert [name for name in CAMERA_DICT if not name.startswith("base")] == STOCK
    assert WanCameraEmbedding.define_schema().inputs[0].options == STOCK


@pytest.mark.parametrize("name", STOCK)
@pytest.mark.parametrize(("width", "height", "length", "speed"), [(96, 64, 81, 1.0), (64, 96, 13, 2.5)])
def test_the_numbers_are_those_of_the_stock_node(
    comfy: Path, name: str, width: int, height: int, length: int, speed: float
) -> None:
    from comfy_extras.nodes_camera_trajectory import WanCameraEmbedding

    theirs = WanCameraEmbedding.execute(name, width, height, length, speed).result[0]
    path = stock_path(name, length, width, height, speed)
    ours = wan_camera_embedding(path, width, height, square_pixels=False)
    assert ours.shape == theirs.shape == (1, 24, (length + 3) // 4, height, width) and ours.dtype == theirs.dtype
    assert (ours - theirs).abs().max().item() == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_any_path_has_the_rays_that_the_stock_code_gives_it(comfy: Path, seed: int) -> None:
    from comfy_extras.nodes_camera_trajectory import ray_condition

    path = make_preset("walk", frames=9, fps=16.0, amount=90.0, fov=63.0, aspect=1.5, seed=seed, handheld=3.0)
    path = path.after(pose([50.0, -3.0, 8.0], rotation(120.0, 10.0)))
    ours = wan_camera_embedding(path, 96, 64)
    poses = torch.as_tensor(path.relative().poses.astype(np.float32))[None]
    pixels = torch.as_tensor((path.intrinsics * [96, 64, 96, 64]).astype(np.float32))[None]
    theirs = ray_condition(pixels, poses, 64, 96, "cpu")[0].movedim(-1, 1)
    unpacked = ours[0].unflatten(0, (6, 4)).movedim(1, 0)
    assert torch.equal(unpacked[0, :, 0], theirs[0])
    for frame in range(1, 9):
        assert torch.equal(unpacked[(frame - 1) % 4, :, (frame + 3) // 4], theirs[frame])


def test_the_first_camera_is_the_origin_and_its_rays_go_through_the_pixels() -> None:
    path = make_preset("dolly", frames=5, fps=16.0, amount=2.0, fov=90.0, aspect=2.0)
    rays = wan_camera_embedding(path.after(pose([9, 9, 9], rotation(77))), 64, 32)[0].unflatten(0, (6, 4))
    assert rays[:3, :, 0].abs().max() == 0.0, "no moment where the camera is at the origin"
    corner = rays[3:, 0, 0, 0, 0]
    np.testing.assert_allclose(corner / corner[2], [-31.5 / 32, -15.5 / 32, 1.0], rtol=1e-6)
    np.testing.assert_allclose(rays[3:].norm(dim=0), 1.0, atol=1e-6)


@pytest.mark.parametrize("size", [(832, 480), (480, 832), (640, 640)])
def test_a_lens_is_cropped_about_the_centre_and_keeps_square_pixels(size: tuple[int, int]) -> None:
    width, height = size
    fx, fy, cx, cy = cropped(intrinsics_from_fov(70.0, 1.6)[None], width / height)[0]
    assert fx * width == pytest.approx(fy * height) and (cx, cy) == (0.5, 0.5)
    whole = 2 * np.degrees(np.arctan(0.5 / fx)), 2 * np.degrees(np.arctan(0.5 / fy))
    theirs = 70.0, 2 * np.degrees(np.arctan(np.tan(np.radians(35.0)) / 1.6))
    assert all(ours <= given + 1e-9 for ours, given in zip(whole, theirs, strict=True))
    assert max(ours / given for ours, given in zip(whole, theirs, strict=True)) == pytest.approx(1.0)


def test_an_axis_that_is_not_in_the_middle_stays_at_its_pixel() -> None:
    off = np.array([[0.5, 0.8, 0.4, 0.5]])
    fx, fy, cx, cy = cropped(off, 1.0)[0]
    assert (fx, fy) == pytest.approx((0.8, 0.8)) and (cx - 0.5) / fx == pytest.approx((0.4 - 0.5) / 0.5) and cy == 0.5


@pytest.mark.parametrize(
    ("frames", "size", "message"),
    [
        (80, (832, 480), "has 80 frames: Wan needs 4 n \\+ 1. Re-time it to 81 or 85"),
        (82, (832, 480), "Re-time it to 81 or 85"),
        (81, (830, 480), "width is 830: Wan needs a multiple of 16"),
        (81, (832, 0), "height is 0"),
    ],
)
def test_what_wan_cannot_take_is_refused_with_the_cure(frames: int, size: tuple[int, int], message: str) -> None:
    path = make_preset("pan", frames=frames, fps=16.0, amount=30.0, fov=70.0, aspect=1.7)
    with pytest.raises(ValueError, match=message):
        wan_camera_embedding(path, *size)

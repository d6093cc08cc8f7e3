"""Colours between pixels: exact on them, and copies of copies that stay sharp."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scene_memory.world.render import render
from scene_memory.world.resample import Source, enlarging
from scene_memory.world.scenes import make_scene
from scene_memory.world.training.learning import gradient_energy

HEIGHT, WIDTH = 60, 96


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """(3, H, W) of a room with bricks."""
    lens = torch.tensor([[0.714, 1.143, 0.5, 0.5]])
    frames = render(make_scene(1, "room"), torch.eye(4)[None], lens, WIDTH, HEIGHT)
    return frames[0].permute(2, 0, 1) / 127.5 - 1


def grid(right: float = 0.0, down: float = 0.0, count: int = 1) -> torch.Tensor:
    """(1, count, H, W, 2): every pixel, moved by so many pixels."""
    x = (torch.arange(WIDTH) + 0.5 + right) / WIDTH * 2 - 1
    y = (torch.arange(HEIGHT) + 0.5 + down) / HEIGHT * 2 - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].expand(1, count, -1, -1, -1)


def all_of(number: int) -> torch.Tensor:
    return torch.full((1, 1, HEIGHT, WIDTH), number)


def test_on_a_pixel_the_colour_is_the_pixels(picture: torch.Tensor) -> None:
    found = Source(picture[:, None]).sampled(grid(), all_of(0))[0, 0]
    assert (found - picture).abs().mean() < 0.005 and (found - picture).abs().max() < 0.12


def test_each_place_is_looked_up_in_the_picture_that_was_asked_for(picture: torch.Tensor) -> None:
    both = torch.stack([picture, -picture, picture * 0.5], 1)
    order = torch.arange(3)[None, :, None, None].expand(1, 3, HEIGHT, WIDTH)
    found = Source(both).sampled(grid(2.0, -3.0, count=3), order)[0]
    for number, scale in enumerate((1.0, -1.0, 0.5)):
        wanted = picture.roll((3, -2), (1, 2))[:, 8:-8, 8:-8] * scale
        assert (found[number][:, 8:-8, 8:-8] - wanted).abs().mean() < 0.01


def test_rows_that_enlarge_keep_an_even_colour() -> None:
    matrix = enlarging(17, 4)
    assert matrix.shape == (68, 17) and torch.allclose(matrix.sum(1), torch.ones(68), atol=1e-6)


def test_forty_copies_of_copies_stay_sharp_and_do_not_ring(picture: torch.Tensor) -> None:
    steps = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    steps[-1] = -steps[:-1].sum(0)
    ours, plain = picture.clone(), picture.clone()
    for right, down in steps.tolist():
        ours = Source(ours[:, None]).sampled(grid(right, down), all_of(0))[0, 0]
        plain = F.grid_sample(plain[None], grid(right, down)[0], "bilinear", "border", align_corners=False)[0]

    def inside(part: torch.Tensor) -> torch.Tensor:
        return part[None, :, None, 8:-8, 8:-8]

    def error(part: torch.Tensor) -> float:
        return float((inside(part) - inside(picture)).square().mean())

    sharp, blurred = (float(gradient_energy(inside(part)) / gradient_energy(inside(picture))) for part in (ours, plain))
    assert 0.7 < sharp < 1.1 and blurred < 0.4
    assert error(ours) < 0.4 * error(plain)


def test_edges_do_not_ring() -> None:
    edge = torch.where(torch.arange(WIDTH) < 48, -0.5, 0.5).expand(3, 1, HEIGHT, WIDTH)
    found = Source(edge).sampled(grid(0.5), all_of(0))
    assert found.max() <= 0.5 + 0.1 + 1e-5 and found.min() >= -0.5 - 0.1 - 1e-5

"""Depth pictures become distances in scene units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch


def picture(*greys: float) -> torch.Tensor:
    return torch.tensor(greys).reshape(1, 1, -1, 1).expand(-1, -1, -1, 3)


def test_where_white_is_near_grey_is_that_much_farther(comfy: Path) -> None:
    from scene_memory.nodes.pictures import NEAR_IS_WHITE, to_depth

    depth = to_depth(picture(1.0, 0.5, 0.25, 0.0), NEAR_IS_WHITE, 2.0)
    assert depth.shape == (1, 1, 4)
    assert depth[0, 0, :3].tolist() == [2.0, 4.0, 8.0]
    assert depth[0, 0, 3] == pytest.approx(2.0 * 255), "black is far away, not nowhere"


def test_where_white_is_far_grey_is_nearer_and_black_is_unknown(comfy: Path) -> None:
    from scene_memory.nodes.pictures import FAR_IS_WHITE, to_depth

    depth = to_depth(picture(1.0, 0.5, 1.5, 0.0), FAR_IS_WHITE, 20.0)
    assert depth[0, 0, :3].tolist() == [20.0, 10.0, 30.0]
    assert np.isnan(depth[0, 0, 3])


def test_another_kind_is_refused_with_those_that_there_are(comfy: Path) -> None:
    from scene_memory.nodes.pictures import to_depth

    with pytest.raises(ValueError, match="depth_kind is 'sideways'.*white is near"):
        to_depth(picture(1.0), "sideways", 1.0)


def test_world_scene_gives_depth_that_memory_bank_reads_back_in_units(comfy: Path) -> None:
    from scene_memory.nodes.pictures import FAR_IS_WHITE, to_depth
    from scene_memory.nodes.world.world_scene import WHITE_IS, WorldScene

    made = WorldScene.execute(place="room", seed=7, width=96, height=60, fov=70.0)
    image, caption, grey = made.result
    assert image.shape == grey.shape == (1, 60, 96, 3) and caption
    depth = to_depth(grey, FAR_IS_WHITE, WHITE_IS)
    # The floor is level: from the eye down to the picture's lower edge its depth is the eye's height by the slope.
    fy = 1.6 * 0.5 / np.tan(np.radians(35.0))
    slope = (60 - 0.5 - 30) / 60 / fy
    assert np.isfinite(depth).all()
    assert depth[0, -1].max() * slope == pytest.approx(1.5, rel=0.15), "the floor lies about 1.5 units below the eye"


@pytest.mark.parametrize("kind", ["white is near (inverse)", "white is far (linear)"])
def test_depth_of_no_numbers_is_refused_and_gaps_in_it_are_unknown(comfy: Path, kind: str) -> None:
    from scene_memory.nodes.pictures import to_depth

    broken = torch.full((2, 3, 4, 3), float("nan"))
    with pytest.raises(ValueError, match="depth holds no numbers.*fp32"):
        to_depth(broken, kind, 1.0)
    broken[0, 0, 0] = 0.5
    assert np.isfinite(to_depth(broken, kind, 1.0)).sum() == 1

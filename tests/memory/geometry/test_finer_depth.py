"""Small depth maps at the size of their pictures: slopes stay slopes, and an edge lies where the picture has it."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.geometry.finer import finer_depth
from scene_memory.memory.geometry.view import view
from scene_memory.memory.state.depth import depth_to_keep
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

HEIGHT, WIDTH = 120, 208


def slope() -> np.ndarray:
    """A floor seen flatly: depth is one over a plane of nearness."""
    down, right = np.meshgrid(np.linspace(0.1, 0.9, HEIGHT), np.linspace(0, 0.3, WIDTH), indexing="ij")
    return (1 / (down + right)).astype(np.float32)


def kept(depth: np.ndarray) -> np.ndarray:
    return depth_to_keep(depth[None], 1).astype(np.float32)


def test_along_a_slope_depth_is_interpolated_as_nearness() -> None:
    found = finer_depth(kept(slope()), np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))[0]
    inside = np.s_[4:-4, 4:-4]
    assert np.abs(found / slope() - 1)[inside].max() < 0.03
    assert np.median(np.abs(found / slope() - 1)[inside]) < 3e-3


@pytest.mark.parametrize("edge", [97, 100, 103, 106])
def test_an_edge_lies_where_the_picture_has_it_and_nothing_lies_between_near_and_far(edge: int) -> None:
    depth = np.full((HEIGHT, WIDTH), 8.0, np.float32)
    depth[:, edge:] = 2.0
    picture = np.where((depth < 4)[..., None], (200, 40, 40), (60, 80, 90)).astype(np.uint8)[None]
    found = finer_depth(kept(depth), picture)[0]
    assert set(np.unique(found.round(3))) == {2.0, 8.0}
    assert np.array_equal(found < 4, depth < 4)


def test_without_a_difference_of_colour_the_nearer_sample_counts() -> None:
    depth = np.full((HEIGHT, WIDTH), 8.0, np.float32)
    depth[:, WIDTH // 2 :] = 2.0
    found = finer_depth(kept(depth), np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))[0]
    assert set(np.unique(found.round(3))) == {2.0, 8.0}
    assert ((found < 4) != (depth < 4)).mean() < WIDTH / 64 / WIDTH


def test_unknown_samples_are_not_believed_and_far_from_any_nothing_is_known() -> None:
    depth = kept(slope())
    depth[0, :, 20:40] = np.nan
    found = finer_depth(depth, np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))[0]
    width = WIDTH / depth.shape[2]
    assert np.isnan(found[:, round(21.5 * width) : round(38.5 * width)]).all()
    sides = np.r_[0 : round(19.5 * width), round(40.5 * width) : WIDTH]
    assert np.isfinite(found[:, sides]).all()


def test_a_map_of_the_pictures_own_size_stays_as_it_is() -> None:
    found = finer_depth(slope()[None], np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))[0]
    assert np.allclose(found, slope(), rtol=1e-5)


def test_another_number_of_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 6\), the pictures \(1, 8, 12, 3\)"):
        finer_depth(np.ones((2, 4, 6)), np.zeros((1, 8, 12, 3), np.uint8))


def test_views_by_kept_depth_are_nearly_those_by_true_depth() -> None:
    """A metre aside in a room with boxes: nearest samples instead would leave steps along every slope and edge."""
    size = (180, 312)
    path = make_preset("truck", frames=3, fps=8.0, amount=0.8, fov=70.0, aspect=size[1] / size[0])
    made = render_with_depth(make_scene(7, "room"), path.poses, path.intrinsics, size[1], size[0], supersample=2)
    pictures, depth = np.asarray(made[0], dtype=np.uint8), made[1].numpy()
    ends = make_preset("truck", frames=2, fps=8.0, amount=0.8, fov=70.0, aspect=size[1] / size[0])

    def quality(maps: np.ndarray) -> tuple[float, float]:
        shown = view(pictures[::2], maps[::2], ends, path[1:2])
        error = (shown.pictures[0].astype(float) - pictures[1])[shown.known[0]]
        return float(10 * np.log10(255**2 / np.mean(error**2))), float(shown.known.mean())

    small = depth_to_keep(depth, 3).astype(np.float32)
    rows, columns = (np.arange(side) * kept // side for side, kept in zip(size, small.shape[1:], strict=True))
    true, kept, nearest = quality(depth), quality(small), quality(small[:, rows[:, None], columns])
    assert kept[0] > nearest[0] + 1.5 and kept[0] > true[0] - 6 and kept[1] > true[1] - 0.02

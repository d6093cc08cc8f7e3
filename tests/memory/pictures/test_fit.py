"""Pictures brought to another size, with their lens and depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.projection import project, split
from scene_memory.memory.pictures.fit import Fit

SIDES = st.tuples(st.integers(8, 300), st.integers(8, 300))


@given(source=SIDES, size=SIDES, u=st.floats(0.0, 1.0), v=st.floats(0.0, 1.0))
def test_a_thing_is_seen_where_the_new_lens_says(
    source: tuple[int, int], size: tuple[int, int], u: float, v: float
) -> None:
    """What the old lens shows at (u, v) of the whole picture, the new one shows there in the part that is left."""
    fit = Fit(source, size)
    top, left, tall, wide = fit.box
    lens = np.array([[0.9, 1.3, 0.45, 0.55]])
    x, y = (u - lens[0, 2]) / lens[0, 0], (v - lens[0, 3]) / lens[0, 1]
    seen = project(np.array(x), np.array(y), 1.0, split(fit.lens(lens)[0]))
    assert seen == pytest.approx(((u * source[1] - left) / wide, (v * source[0] - top) / tall))


@given(source=SIDES, size=SIDES)
def test_what_is_cut_out_lies_in_the_middle_and_has_the_shape_wanted(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    top, left, tall, wide = Fit(source, size).box
    assert 0 <= source[0] - tall - 2 * top <= 1 and 0 <= source[1] - wide - 2 * left <= 1
    assert tall == source[0] or wide == source[1]
    assert abs(wide - tall * size[1] / size[0]) <= 0.5 * max(1.0, size[1] / size[0])


def test_the_same_size_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    lens, depth = np.array([[0.7, 1.1, 0.5, 0.5]]), np.arange(12.0).reshape(1, 3, 4)
    fit = Fit((12, 20), (12, 20))
    assert np.array_equal(fit.picture(picture), picture)
    assert np.array_equal(fit.lens(lens), lens) and np.array_equal(fit.depth(depth), depth)


def test_depth_of_another_size_is_cut_at_the_same_place() -> None:
    """Twice as wide as wanted: the outer quarters go, also of a depth map of a third of the size."""
    depth = np.broadcast_to(np.arange(24.0), (1, 12, 24))
    kept = Fit((36, 72), (36, 36)).depth(depth)
    assert kept.shape == (1, 12, 12) and kept[0, 0].tolist() == list(range(6, 18))


def test_a_picture_without_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="40 x 0 cannot become 16 x 9"):
        Fit((0, 40), (9, 16))

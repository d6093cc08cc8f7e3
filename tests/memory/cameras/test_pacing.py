"""Easings and speed curves: they begin and end exactly, never turn back, and keep the pace they were given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.cameras.pacing import EASINGS, progress, speeds_from_text

SPEEDS = st.lists(st.floats(0.0, 100.0), max_size=6).filter(lambda given: not given or max(given) > 0.0)


@given(st.sampled_from(sorted(EASINGS)), st.integers(2, 200), SPEEDS)
def test_every_pace_begins_at_0_ends_at_1_and_never_turns_back(easing: str, frames: int, speed: list[float]) -> None:
    covered = progress(frames, easing, speed)
    assert covered.shape == (frames,)
    assert covered[0] == 0.0 and covered[-1] == 1.0
    assert (np.diff(covered) >= -1e-15).all()


@pytest.mark.parametrize(
    ("easing", "first", "last"),
    [("smooth", 0, 0), ("smoother", 0, 0), ("soft ends", 0, 0), ("ease in", 0, 2), ("ease out", 2, 0), ("even", 1, 1)],
)
def test_an_easing_starts_and_stops_as_its_name_says(easing: str, first: float, last: float) -> None:
    speeds = np.diff(progress(10_001, easing)) * 10_000
    assert speeds[[0, -1]] == pytest.approx([first, last], abs=1e-2)
    assert np.abs(np.diff(speeds)).max() < 0.01, "the speed changes without a jump"


def test_soft_ends_keep_one_speed_between() -> None:
    speeds = np.diff(progress(1001, "soft ends")) * 1000
    np.testing.assert_allclose(speeds[160:840], 1 / 0.85, rtol=1e-9)


def test_a_speed_curve_is_kept_at_the_moments_it_names() -> None:
    speeds = np.diff(progress(20_001, "even", [1.0, 0.2, 1.0])) * 20_000
    assert speeds[0] / speeds[10_000] == pytest.approx(5.0, rel=1e-3)
    assert speeds.min() == pytest.approx(speeds[10_000], rel=1e-3), "no slower anywhere than where it was asked for"
    np.testing.assert_allclose(progress(101, "even", [3.0, 3.0, 3.0]), progress(101), atol=0)


def test_a_speed_of_0_holds_the_camera() -> None:
    covered = progress(1001, "even", [1.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(covered[334:667], 0.5, atol=1e-9)


@pytest.mark.parametrize(("text", "speeds"), [("", ()), (" 1, 0.2 ;1 ", (1, 0.2, 1)), ("2 1e-1", (2, 0.1))])
def test_a_speed_curve_is_read_from_words(text: str, speeds: tuple[float, ...]) -> None:
    assert speeds_from_text(text) == speeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "The speed curve is 'fast': give numbers, such as 1, 0.2, 1"),
        ("1, nan", "Number 2 of the speed curve is nan"),
        ("-1", "a speed is 0 or above"),
        ("0 0", "the camera would never get there"),
        ("1 " * 2000, "it may have at most 1000"),
    ],
)
def test_what_is_no_speed_curve_is_refused_with_the_cure(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        speeds_from_text(text)


def test_an_easing_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no easing 'bouncy'. Use one of: smooth"):
        progress(3, "bouncy")

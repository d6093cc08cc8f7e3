"""The curve of how much of a path is known."""

from __future__ import annotations

import numpy as np

from scene_memory.memory.pictures.picture_of_view import KNOWN, LEFT, WIDTH, chosen_moments, view_picture


def green(picture: np.ndarray, column: int) -> int:
    """Height in pixels of the known in a column: what is greener than it is red."""
    return int((picture[:, column, 1].astype(int) > picture[:, column, 0].astype(int) + 20).sum())


def test_the_curve_is_as_high_as_the_share() -> None:
    shares = np.concatenate([np.ones(50), np.full(50, 0.5), np.zeros(50)])
    picture = view_picture(shares, 8.0)
    first, second, third = (green(picture, LEFT + (WIDTH - LEFT) * at // 12) for at in (2, 6, 10))
    assert abs(second - first / 2) <= 4 and third <= 4 < first


def test_moments_stand_above_it_and_make_it_no_wider() -> None:
    moments = [np.full((30, 48, 3), 40 * place, np.uint8) for place in range(6)]
    assert chosen_moments(100) == [0, 20, 40, 59, 79, 99] and chosen_moments(2) == [0, 1]
    plain, whole = view_picture(np.ones(9), 8.0), view_picture(np.ones(9), 8.0, moments)
    assert whole.shape[1] == plain.shape[1] == WIDTH and len(whole) > len(plain) + 80
    assert np.array_equal(whole[-len(plain) :], plain)
    assert all((whole == 40 * place).all(axis=-1).sum() > 5000 for place in range(1, 6))


def test_a_path_of_one_frame_has_a_picture() -> None:
    assert green(view_picture(np.array([1.0]), 24.0), WIDTH // 2) > 100
    assert KNOWN[1] > KNOWN[0]

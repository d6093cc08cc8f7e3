"""The pictures of what routed attention looked into, and the words of the report on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def drawing(comfy: Path) -> Any:
    from scene_memory.nodes.shot import moc_drawing

    return moc_drawing


def record_of(shares: dict[tuple[int, int], tuple[np.ndarray, bool]]) -> Any:
    from scene_memory.models.moc.record import RoutingRecord, Seen

    (first, _), *_ = shares.values()
    seen = {place: Seen(2 * given, calls=2, routed=2 * routed) for place, (given, routed) in shares.items()}
    return RoutingRecord(len(first), seen=seen, kept=30.0, total=60)


def test_the_brightest_cell_stands_where_the_largest_share_is(drawing: Any) -> None:
    shares = np.full((4, 6), 0.1)
    shares[2, 5] = 0.9
    made, remembered = (drawing.Side([str(number) for number in range(count)]) for count in shares.shape)
    picture = drawing.draw_map(shares, made, remembered, "title").astype(int)
    left, top, width = drawing.LEFT, drawing.TITLE + 20, 96
    cells = picture[top : top + 4 * 58, left : left + 6 * width].sum(axis=2)
    middles = np.array([[cells[row * 58 + 8, column * width + 60] for column in range(6)] for row in range(4)])
    assert np.unravel_index(middles.argmax(), middles.shape) == (2, 5)
    assert len(np.unique(middles)) == 2


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (21, 100), (16, 20)])
def test_maps_of_any_size_hold_their_thumbnails_and_stay_of_a_size_to_look_at(
    rows: int, columns: int, drawing: Any
) -> None:
    random = np.random.default_rng(0)

    def side(count: int) -> Any:
        thumbnails = random.integers(0, 255, (count, 60, 96, 3)).astype(np.uint8)
        return drawing.Side([f"frame {number}" for number in range(count)], thumbnails)

    picture = drawing.draw_map(random.random((rows, columns)), side(rows), side(columns), "title")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert 60 < picture.shape[0] < 1600 and 480 <= picture.shape[1] < 1800


def test_layers_that_stayed_dense_are_grey_and_the_others_are_not(drawing: Any) -> None:
    shares = np.random.default_rng(0).random((3, 5))
    record = record_of({(layer, step): (shares, layer == 1) for layer in range(2) for step in range(2)})
    picture = drawing.draw_layers(record, "title").astype(int)
    top = drawing.TITLE + 22
    high = (len(picture) - top - 28) // 2
    colourful = [np.ptp(picture[top + row * high : top + row * high + 30, 80:130], axis=2).max() for row in range(2)]
    assert colourful[0] <= 8 < 60 < colourful[1]


def test_of_many_layers_and_steps_some_are_shown_the_first_and_last_among_them(drawing: Any) -> None:
    record = record_of({(layer, step): (np.eye(4), True) for layer in range(40) for step in range(50)})
    assert drawing.draw_layers(record, "title").shape[0] < 1200
    shown = drawing.spread(len(record.layers), drawing.MOST_LAYERS)
    assert len(shown) == 16 and (shown[0], shown[-1]) == (0, 39)


def test_means_are_over_what_is_asked_for(drawing: Any) -> None:
    first, second = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    record = record_of({(0, 0): (first, True), (1, 0): (second, True)})
    assert record.shares(layer=1) == pytest.approx(second)
    assert record.shares() == pytest.approx((first + second) / 2)
    assert record.shares(layer=7).shape == (1, 0)


def test_the_report_names_the_frames_looked_into_most(drawing: Any) -> None:
    from scene_memory.nodes.shot.moc_routing import _report

    shares = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    sides = drawing.Side(["frame 8", "frame 9"]), drawing.Side(["1", "4", "6"])
    said = _report(record_of({(0, 0): (shares, True), (1, 0): (shares, False)}), *sides)
    assert "Routed in 1 of 2 layers and steps; 50% of the query-key pairs" in said
    assert "frame 8: 4 (70%), 6 (20%), 1 (10%)" in said and "frame 9: 1 (50%), 6 (40%), 4 (10%)" in said

"""Whether a film agrees with itself, on films of the scenes' own renderer whose answer is known."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.consistency.likeness import MOST_DB, features_agree, psnr, shots_agree, ssim
from scene_memory.memory.consistency.report import ConsistencyReport
from scene_memory.memory.consistency.revisits import (
    Compared,
    Revisit,
    change_a_second,
    compared,
    revisit_pairs,
)
from scene_memory.memory.pictures.picture_of_consistency import consistency_picture, least_and_best
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.frame_ranges import runs_of
from scene_memory.memory.state.state import MemoryState
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import make_scene

HEIGHT, WIDTH = 60, 96
Film = Callable[..., MemoryState]


def preset(name: str, frames: int, amount: float) -> Trajectory:
    return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=70.0, aspect=WIDTH / HEIGHT)


def rendered(path: Trajectory, seed: int = 7) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    room = make_scene(seed, "room")
    pictures, depth = render_with_depth(room, path.poses, path.intrinsics, WIDTH, HEIGHT, supersample=2)
    return np.asarray(pictures, dtype=np.uint8), depth.numpy()


@pytest.fixture
def film(tmp_path: Path) -> Film:
    bank = Bank.create(tmp_path, "film")

    def make(*parts: tuple[Trajectory, int], depth: bool = False) -> MemoryState:
        """A film of parts, each a path through the room of a seed."""
        state = bank.empty()
        for shot, (path, seed) in enumerate(parts):
            pictures, far = rendered(path, seed)
            state = bank.append(state, frames=pictures, trajectory=path, shot=shot, depth=far if depth else None)
        return state

    return make


AWAY_AND_BACK = preset("turn away and come back", 33, 150.0)


def measured(state: MemoryState) -> list[Compared]:
    return list(compared(state, revisit_pairs(state)))


def test_a_room_that_stays_agrees_and_the_pairs_have_a_look_away_between_them(film: Film) -> None:
    state = film((AWAY_AND_BACK, 7))
    pairs = revisit_pairs(state)
    headings = np.degrees(np.arctan2(state.poses[:, 0, 2], state.poses[:, 2, 2]))
    assert len(pairs) >= 5 and pairs == sorted(pairs)
    for now, then in pairs:
        assert then < now and abs(headings[now] - headings[then]) < 45.0
        assert np.abs(headings[then:now] - headings[now]).max() > 50.0, "it looked away"
    found = [one.revisit for one in measured(state)]
    assert [(one.now, one.then) for one in found] == pairs
    assert np.mean([one.psnr for one in found]) > 35.0 and min(one.ssim for one in found) > 0.97
    assert np.mean([one.first_psnr for one in found]) < np.mean([one.psnr for one in found]) - 10.0
    assert len(revisit_pairs(state, 3)) == 3


def test_another_room_at_the_same_place_is_told(film: Film) -> None:
    half = len(AWAY_AND_BACK) // 2 + 1
    same = film((AWAY_AND_BACK[:half], 7), (AWAY_AND_BACK[half:], 7))
    good = [one.revisit for one in measured(same)]
    bad = [one.revisit for one in measured(film((AWAY_AND_BACK[:half], 7), (AWAY_AND_BACK[half:], 8)))]
    assert [(one.now, one.then, one.shot, one.shot_then) for one in good] == [
        (one.now, one.then, one.shot, one.shot_then) for one in bad
    ]
    assert {(one.shot, one.shot_then) for one in good} == {(1, 0)}
    assert np.mean([one.psnr for one in bad]) < np.mean([one.psnr for one in good]) - 12.0
    assert np.mean([one.ssim for one in bad]) < np.mean([one.ssim for one in good]) - 0.2


def test_with_depth_a_place_is_compared_from_where_the_camera_has_moved_to(film: Film) -> None:
    aside = preset("truck", 5, 0.4)
    turn = preset("turn away and come back", 25, 150.0).after(aside.poses[-1])
    way = aside.concatenate(turn[1:]).concatenate(preset("truck", 6, -0.4).after(turn.poses[-1])[1:])
    assert max(one.revisit.known for one in measured(film((way, 7), depth=True))) > 0.8
    moved = {one.revisit.now for one in measured(film((way, 7), depth=True))} - {
        one.revisit.now for one in measured(film((way, 7)))
    }
    assert moved, "without depth only where the camera stands in its place"
    assert np.mean([one.revisit.psnr for one in measured(film((way, 7), depth=True))]) > 28.0


def test_frames_that_nothing_may_look_at_are_not_compared(film: Film) -> None:
    state = film((AWAY_AND_BACK, 7))
    first = {then for _, then in revisit_pairs(state)}
    left = revisit_pairs(state.with_edit(Edit("exclude", runs_of(np.array(sorted(first))))))
    assert left and not first & {frame for pair in left for frame in pair}


def test_films_in_which_nothing_is_seen_again(film: Film) -> None:
    for path, frames in ((preset("pan", 16, 120.0), 16), (preset("static", 9, 0.0), 9), (preset("static", 1, 0.0), 1)):
        state = film((path, 7))
        assert state.frames == frames and revisit_pairs(state) == [] and measured(state) == []
    still = film((preset("static", 9, 0.0), 7))
    report = ConsistencyReport(9, 1.1, 1, (), change_a_second(still))
    assert report.change == 0.0 and math.isnan(report.psnr)
    assert "No place is seen again" in report.words() and "hardly moves" in report.words()
    assert json.loads(report.json())["psnr"] is None and consistency_picture(report).shape[1] == 960
    assert math.isnan(change_a_second(film((preset("static", 1, 0.0), 7))))


def test_change_is_counted_a_second(film: Film) -> None:
    state = film((preset("pan", 33, 60.0), 7))
    pictures = state.read_frames(range(33)).astype(float)
    expected = np.mean([np.abs(pictures[start] - pictures[start + 8]).mean() for start in range(25)])
    assert change_a_second(state, 25) == pytest.approx(expected)


def random_pictures(seed: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    one = random.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    other = np.clip(one + random.normal(0.0, 30.0, one.shape), 0, 255).astype(np.uint8)
    return one, other


def test_psnr_by_its_formula_over_the_known() -> None:
    one, other = random_pictures()
    known = np.zeros((24, 31), bool)
    known[3:9, 4:20] = True
    error = np.mean((one[3:9, 4:20].astype(float) - other[3:9, 4:20]) ** 2)
    assert psnr(one, other, known) == pytest.approx(20.0 * np.log10(255.0 / np.sqrt(error)))
    assert psnr(one, one, known) == MOST_DB and math.isnan(psnr(one, other, np.zeros_like(known)))


def slow_ssim(one: NDArray[np.uint8], other: NDArray[np.uint8], row: int, column: int) -> float:
    """Wang et al. (2004), equation 13, of the 11 x 11 window around a pixel, one colour after the other."""
    steps = np.arange(-5, 6)
    window = np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for colour in range(3):
        a, b = (each[row - 5 : row + 6, column - 5 : column + 6, colour].astype(float) for each in (one, other))
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        spread_a, spread_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        together = (window * (a - mean_a) * (b - mean_b)).sum()
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        values.append((2 * mean_a * mean_b + c1) * (2 * together + c2)
                      / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2)))  # fmt: skip
    return float(np.mean(values))


def test_ssim_by_its_formula_where_the_whole_window_is_known() -> None:
    one, other = random_pictures()
    known = np.ones((24, 31), bool)
    expected = np.mean([slow_ssim(one, other, row, column) for row in range(5, 19) for column in range(5, 26)])
    assert ssim(one, other, known) == pytest.approx(expected, abs=1e-9)
    assert ssim(one, one, known) == pytest.approx(1.0)
    known[:, 20:] = False
    other[:, 20:] = 0
    expected = np.mean([slow_ssim(one, other, row, column) for row in range(5, 19) for column in range(5, 15)])
    assert ssim(one, other, known) == pytest.approx(expected, abs=1e-9), "the unknown has no say"
    assert math.isnan(ssim(one, other, np.zeros_like(known)))


def test_features_agree_with_the_frame_before_and_the_first() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    half = math.sqrt(0.5)
    assert features_agree(rows) == pytest.approx(((half + half) / 2 + (half + 0.0) / 2) / 2)
    assert math.isnan(features_agree(rows[:1]))
    assert shots_agree(rows, np.array([0, 0, 1])) == pytest.approx(math.cos(math.radians(90 - 22.5)))
    assert math.isnan(shots_agree(rows, np.array([4, 4, 4])))


def test_the_report_in_words_as_json_and_as_a_table() -> None:
    good = Revisit(30, 2, 3.75, 0.25, 1, 0, 0.9, 31.0, 0.95, 14.0)
    bad = Revisit(40, 8, 5.0, 1.0, 1, 0, 0.5, 21.0, 0.65, 12.0)
    report = ConsistencyReport(48, 6.0, 2, (good, bad), 9.0, 0.91, 0.8)
    assert report.psnr == 26.0 and report.ssim == pytest.approx(0.8) and report.first_psnr == 13.0
    words = report.words()
    assert "2 looks at a place that was seen before: 26.0 dB and SSIM 0.800 on average, over 70% of the" in words
    assert "Worst: 21.0 dB at 5.0 s (frame 40), beside 1.0 s (frame 8)" in words and "Shots agree by 0.800" in words
    assert "nearly as much" not in words and "hardly moves" not in words
    same = ConsistencyReport(48, 6.0, 2, (Revisit(30, 2, 3.75, 0.25, 0, 0, 0.9, 31.0, 0.9, 30.0),), 1.0)
    assert "nearly as much" in same.words() and "hardly moves" in same.words()
    figures = json.loads(report.json())
    assert figures["psnr"] == 26.0 and figures["features"] == 0.91 and figures["revisits"][1]["now"] == 40
    rows = list(csv.DictReader(io.StringIO(report.csv())))
    assert [float(row["psnr"]) for row in rows] == [31.0, 21.0] and rows[0]["then"] == "2"


def test_the_picture_shows_the_worst_two_and_the_best(film: Film) -> None:
    state = film((AWAY_AND_BACK, 7))
    shown: list[Compared] = []
    everything = measured(state)
    for one in everything:
        shown = least_and_best(shown, one)
    ranked = sorted(one.revisit.psnr for one in everything)
    assert [one.revisit.psnr for one in shown] == [ranked[0], ranked[1], ranked[-1]]
    report = ConsistencyReport(33, 4.1, 1, tuple(one.revisit for one in everything), 9.0)
    with_rows, alone = consistency_picture(report, shown), consistency_picture(report)
    assert with_rows.shape[1] == alone.shape[1] == 960 and len(with_rows) > len(alone) + 300

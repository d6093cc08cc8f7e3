"""The loop's benchmark and table 3: small runs of the real thing, and what their figures mean."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.dev.bench import _loop_meter, loop, table3
from scene_memory.dev.bench._walks import clear_way, is_clear, long_walk


@pytest.fixture
def host(comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(comfy))


@pytest.mark.parametrize("segments", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_figures_are_written_and_the_parts_add_up(host: None, tmp_path: Path, segments: int) -> None:
    file, repeats = tmp_path / "loop.json", segments // 2
    given = ["--segments", str(segments), "--repeats", str(repeats), "--no-server", "--json", str(file)]
    assert loop.main(given) == 0
    report: dict[str, Any] = json.loads(file.read_text())
    assert set(report["figures"]) == {"overhead_share", "segment60_over_segment2", "segment_ms", "overhead_ms"}
    assert 0 < report["figures"]["overhead_share"] < 1
    assert [row["segment"] for row in report["rows"]] == list(range(1, segments + 1))
    for row in report["rows"]:
        assert 0 < row["beside_ms"] < row["ms"] and 0 < row["model_ms"] < row["ms"]


def test_overhead_is_what_is_left_beside_model_and_vae() -> None:
    film = _loop_meter.Timed(whole=np.array([9.0, 1.0, 1.0]), model=np.array([1.0, 0.9, 0.8]))
    assert film.overhead_share == pytest.approx(0.15)
    slower = _loop_meter.Timed(whole=np.array([9.0, 2.0, 1.2]), model=np.array([1.0, 1.9, 1.1]))
    figures, rows = loop.measured([film, slower])
    assert figures["segment60_over_segment2"] == 1.0 and rows[2] == {
        "segment": 3, "ms": 1000.0, "model_ms": 800.0, "beside_ms": 100.0,
    }  # fmt: skip


def test_a_walk_keeps_clear_of_walls_and_things_and_comes_back(host: None) -> None:
    for seed, scene in table3.rooms(0, 3):
        path = long_walk(scene, 300, np.random.default_rng(seed))
        places, ahead = path.poses[:, [0, 2], 3], path.poses[:, :3, 2]
        assert sum(is_clear(scene, *place) for place in places) >= 295
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert steps.max() <= _walk_step() * 1.01 and steps.max() > 0.5 * _walk_step()
        turned = np.degrees(np.arccos(np.clip((ahead[1:] * ahead[:-1]).sum(axis=1), -1, 1)))
        assert turned.max() < 9
        again = long_walk(scene, 300, np.random.default_rng(seed))
        assert again == path
        assert clear_way(scene, tuple(places[0]), tuple(places[0]))


def _walk_step() -> float:
    from scene_memory.dev.bench._walks import STEP

    return STEP


def test_table_3_is_sorted_and_states_how_sure_it_is() -> None:
    found = {"coverage": [22.0, 24.0], "random": [20.0, 21.0], "fov_random": [20.5, 22.0]}
    scores = {name: np.array(values) for name, values in found.items()}
    rows = table3.table(scores)
    assert [row["strategy"] for row in rows] == ["random", "fov_random", "coverage"]
    assert rows[0]["psnr"] == 20.5 and rows[0]["standard_error"] == 0.5 and rows[0]["paper"] == 17.70
    assert "fov_random over random: +0.75 dB, standard error 0.25" in table3.report(scores)


def test_what_is_remembered_of_the_true_film_is_painted_from_it(host: None, tmp_path: Path) -> None:
    """With the frames of the segment itself as its past, the painting is nearer the truth than with others."""
    painter = table3.Painter()
    seed, scene = next(table3.rooms(0, 1))
    film = table3.TrueFilm(scene, long_walk(scene, 120, np.random.default_rng(seed)))
    targets, truth = film.path[100:108], film.frames(range(100, 108))
    near = painter.paint(film, targets, [99, 100, 102, 104, 106], seed=1)
    far = painter.paint(film, targets, [0, 1, 2, 3, 4], seed=1)
    assert near.shape == truth.shape
    assert table3.psnr(near, truth) > table3.psnr(far, truth)


def test_without_comfyui_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COMFYUI_PATH", "")
    with pytest.raises(SystemExit, match="python dev.py bench"):
        loop.main(["--no-server"])

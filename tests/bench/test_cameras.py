"""The benchmark of camera paths: small runs of the real thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scene_memory.dev.bench import cameras
from scene_memory.memory.camera_files import READABLE


def test_the_figures_are_written_for_every_layout(tmp_path: Path) -> None:
    file = tmp_path / "cameras.json"
    small = ["--poses", "60", "--frames", "500", "--repeats", "1", "--no-editor", "--json", str(file)]
    assert cameras.main(small) == 0
    report = json.loads(file.read_text())
    figures, rows = report["figures"], {row["what"]: row["value"] for row in report["rows"]}
    assert set(figures) == {"read_100k_s_max", "spline_1e6_s", "editor_fps"} and figures["editor_fps"] is None
    assert {f"read {name}" for name in READABLE} < set(rows)
    assert figures["read_100k_s_max"] == max(value for what, value in rows.items() if what.startswith("read "))
    assert 0 < figures["spline_1e6_s"] == rows["spline of 5e+02 frames"]


def test_the_editor_counts_by_its_slower_canvas() -> None:
    rows = [
        cameras.Row(name, value, "", "")
        for name, value in {
            "editor_fps": 58.0,
            "editor_idle_fps": 60.0,
            "editor_fps_nodes2": 51.0,
            "editor_draw_ms": 2.0,
        }.items()
    ]
    assert cameras.slowest_editor(rows) == 51.0


def test_without_a_browser_there_is_no_figure_but_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> object:
        raise ModuleNotFoundError("No module named 'playwright'")

    monkeypatch.setattr(cameras.importlib, "import_module", nothing)
    (row,) = cameras.editor_rows()
    assert cameras.slowest_editor([row]) is None
    assert "not measured" in row.line() and "playwright" in row.line()

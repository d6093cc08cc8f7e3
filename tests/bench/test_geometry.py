"""The benchmark of geometry, made small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench import geometry
from scene_memory.dev.bench._geometry import view


def test_known_pixels_beat_both_rivals_in_a_small_scene() -> None:
    row = view.measured(view.made(700_300, "room", 160, 96), 1)
    assert row["known_psnr_true_depth"] > row["rival_splat_psnr"] > row["rival_homography_psnr"]
    assert row["known_psnr_true_depth"] > row["known_psnr_depth10"]
    assert row["known_share"] > 0.8 and row["hidden_known_share"] < 0.02


def test_what_the_frames_saw_is_seen_and_what_is_behind_them_is_not() -> None:
    case = view.made(700_300, "room", 160, 96)
    assert view.seen_by(case.depth, case.cameras, case.depth, case.cameras).all()
    turned = case.cameras.poses.copy()
    turned[:, :3, [0, 2]] *= -1
    behind = type(case.cameras)(turned[:1], case.cameras.intrinsics[:1], 8.0)
    assert not view.seen_by(case.depth[:1], case.cameras[:1], case.depth[:1], behind).any()


def test_wrong_depth_is_off_by_about_a_tenth() -> None:
    true = np.linspace(2.0, 6.0, 60 * 90, dtype=np.float32).reshape(1, 60, 90).repeat(4, 0)
    off = np.log(view.wrong_depth(true, 3) / true)
    assert 0.05 < np.nanstd(off) < 0.2


def test_the_figures_of_the_parts_asked_for_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(geometry.PARTS, "depth", lambda: {"depth_scale_drift": 0.02})
    file = tmp_path / "figures.json"
    assert geometry.main(["--parts", "depth", "--json", str(file)]) == 0
    assert json.loads(file.read_text()) == {"figures": {"depth_scale_drift": 0.02}}

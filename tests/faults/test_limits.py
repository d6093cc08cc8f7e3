"""Films under a limit, killed at random instants and queued again: none is lost. The bench trust counts 200 of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene_memory.dev.bench._trust import limits


@pytest.mark.parametrize("trials", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_no_film_is_lost_under_a_limit(comfyui: Path, monkeypatch: pytest.MonkeyPatch, trials: int):
    monkeypatch.setenv("COMFYUI_PATH", str(comfyui))
    assert limits.lost_films(trials) == []

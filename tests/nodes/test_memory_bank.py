"""Memory Bank, called as the host calls it: what is remembered first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def begin(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Begins a bank of the name given, in a folder of the test's own."""
    from scene_memory.nodes import folders
    from scene_memory.nodes.remember.memory_bank import MemoryBank

    monkeypatch.setattr(folders, "banks", lambda: tmp_path / "banks")

    def make(name: str, **inputs: Any) -> MemoryState:
        given = {"mode": "new", "fov": 70.0, "fps": 8.0, "width": 0, "height": 0, **inputs}
        state: MemoryState = MemoryBank.execute(name=name, **given).result[0]
        return state

    return make


def test_depth_is_cut_as_the_start_image_is(begin: Any) -> None:
    """Twice as wide as the film: the outer quarters go, in the picture and in its depth."""
    near_left = torch.cat([torch.full((1, 40, 40, 3), 0.25), torch.full((1, 40, 40, 3), 1.0)], dim=2)
    state = begin(
        "cut", start_image=near_left, width=40, height=40, start_depth=near_left, depth_kind="white is far (linear)",
        depth_scale=8.0,
    )  # fmt: skip
    assert state.size == (40, 40)
    depth = state.depth([0])[0]
    assert np.array_equal(depth[:, : depth.shape[1] // 2 - 1], np.full_like(depth[:, : depth.shape[1] // 2 - 1], 2.0))
    assert np.array_equal(depth[:, depth.shape[1] // 2 + 1 :], np.full_like(depth[:, depth.shape[1] // 2 + 1 :], 8.0))
    assert state.read_frames([0])[0][0, 0, 0] == 64


def test_without_a_depth_picture_none_is_kept(begin: Any) -> None:
    assert not begin("flat", start_image=torch.zeros(1, 12, 16, 3)).has_depth


def test_the_same_start_gives_the_same_memory_and_another_start_leaves_it_in_the_history(begin: Any) -> None:
    white, black = torch.ones(1, 12, 16, 3), torch.zeros(1, 12, 16, 3)
    first = begin("again", start_image=white)
    assert begin("again", start_image=white) == first
    second = begin("again", start_image=black)
    assert second != first and first.id in second.bank.history()
    assert begin("again", mode="continue") == second
    assert begin("again", mode="continue", earlier=first.id[:12]) == first


def test_a_limit_of_nought_is_no_limit(begin: Any) -> None:
    assert begin("free", max_size_gb=0.0).bank.max_bytes is None
    assert begin("tight", max_size_gb=1.5).bank.max_bytes == 1_500_000_000

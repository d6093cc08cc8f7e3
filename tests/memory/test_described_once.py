"""What is described in one record is said the same on the help pages and in README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scene_memory.memory.camera_files.layouts import LAYOUTS
from scene_memory.memory.cameras.presets import PRESETS
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.strategies import STRATEGIES
from scene_memory.memory.state.state import MemoryState

ROOT = Path(__file__).resolve().parents[2]


def page(name: str) -> str:
    return (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_help_page_lists_every_move_in_order_with_what_it_does_and_an_amount():
    rows = [
        f"| **{name}** | {move.about} | {f'{move.amount:g} {move.unit}' if move.unit else ''} |".replace("|  |", "| |")
        for name, move in PRESETS.items()
    ]
    assert "\n".join(rows) in page("SceneMemoryCameraTrajectory")


def test_the_help_page_lists_every_strategy_in_order_with_what_it_takes():
    rows = [f"| **{name}** | {strategy.about} |" for name, strategy in STRATEGIES.items()]
    assert "\n".join(rows) in page("SceneMemoryFovRetriever")


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "pinned"])
def test_a_strategy_has_frames_to_choose_from(
    name: str, move: Callable[..., Trajectory], remembered: Callable[..., MemoryState]
):
    """One that looks at the pool would find nothing in it, were its pool given as 0."""
    path = move(frames=24)
    chosen = retrieve(remembered(path), path[:4], RetrievalSettings(k=4, strategy=name))
    assert len(chosen) > 1


@pytest.mark.parametrize(
    "told",
    [f"Camera Trajectory has {len(PRESETS)} ready-made moves", f"Trajectory reads {len(LAYOUTS)} layouts"],
)
def test_readme_counts_right(told: str):
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_of_camera_files_lists_every_layout_in_order_in_its_tables_and_in_words():
    told = (ROOT / "docs" / "camera_files.md").read_text(encoding="utf-8")
    for begin in ("| {} |", "- **{}**: "):
        places = [told.find(begin.format(name)) for name in LAYOUTS]
        assert -1 not in places and places == sorted(places)
    assert all(f"- **{name}**: {layout.about}\n" in told for name, layout in LAYOUTS.items())

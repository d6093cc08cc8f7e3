"""Measure Camera in the real server, on a film whose cameras are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dev.support.server import HostServer
from scene_memory.dev.bench._geometry.films import KnownFilm, known_film, scenes
from scene_memory.memory.bank.bank import Bank

BANK = "measured place"


@pytest.fixture(scope="module")
def film() -> KnownFilm:
    return known_film("textured", next(scenes(230_000, True)), 10, 320, 192)


@pytest.fixture
def place(server: HostServer, film: KnownFilm) -> dict[str, Any]:
    """A memory of four frames with depth, and after them the ten of a film as a shot without."""
    folder = server.output / "scene_memory"
    if not (folder / BANK).exists():
        bank = Bank.create(folder, BANK)
        seen = film.remembered
        path = replace(film.truth, poses=seen.poses, intrinsics=seen.intrinsics)
        state = bank.append(bank.load(), frames=seen.pictures, trajectory=path, shot=0, depth=seen.depth)
        bank.append(state, frames=film.pictures, trajectory=film.planned, shot=1)
    inputs = {"name": BANK, "mode": "continue", "fov": 70.0, "fps": 16.0, "width": 0, "height": 0}
    return {
        "bank": {"class_type": "SceneMemoryBank", "inputs": inputs},
        "frames": {"class_type": "SceneMemoryFrames", "inputs": {"memory": ["bank", 0], "frames": "4-", "at_most": 64}},
    }


def measured(place: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    node = {"class_type": "SceneMemoryMeasureCamera", "inputs": {"images": ["frames", 0], "fov": 0.0, "fps": 0.0}}
    node["inputs"].update(inputs)
    words = {"class_type": "PreviewAny", "inputs": {"source": ["measure", 1]}}
    shown = {"class_type": "SceneMemoryPreviewTrajectory", "inputs": {"trajectory": ["measure", 0]}}
    figures = {"class_type": "PreviewAny", "inputs": {"source": ["shown", 1]}}
    return {**place, "measure": node, "words": words, "shown": shown, "figures": figures}


def test_a_clip_is_measured_against_the_memory_and_its_plan(server: HostServer, place: dict[str, Any]) -> None:
    run = server.client.queue(measured(place, memory=["bank", 0], trajectory=["frames", 1]))
    assert run.ok, run.error
    words = run.outputs["words"]["text"][0]
    assert "10 frames, the cameras of 10 are sure" in words
    assert "Place and size come from the memory's depth" in words and "Parts from the plan" in words
    assert "10 frames, 0.62 s at 16 frames a second" in run.outputs["figures"]["text"][0]


def test_a_clip_from_elsewhere_needs_nothing_else(server: HostServer, place: dict[str, Any]) -> None:
    run = server.client.queue(measured(place, fov=70.0, fps=20.0))
    assert run.ok, run.error
    assert "Nothing tells how large the scene is" in run.outputs["words"]["text"][0]
    assert "at 20 frames a second" in run.outputs["figures"]["text"][0]


def test_a_path_of_another_length_is_refused(server: HostServer, place: dict[str, Any]) -> None:
    place["few"] = {"class_type": "SceneMemoryFrames", "inputs": {**place["frames"]["inputs"], "at_most": 3}}
    run = server.client.queue(measured(place, trajectory=["few", 1]))
    assert run.error is not None and "images has 10 frames and trajectory 3" in run.error["exception_message"]

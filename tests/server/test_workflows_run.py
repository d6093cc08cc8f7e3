"""Every workflow that comes with the pack runs in the real server, at reduced length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev_tools import tiny_wan
from dev_tools.paths import ROOT
from dev_tools.server import HostServer
from dev_tools.workflow_api import to_prompt
from scene_memory.memory.bank.bank import Bank

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
FRAMES = 9
SHOT = "SceneMemoryShotGenerator"


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} >= {
        "A minute in one take",
        "Three shots, one room",
        "What changed stays changed",
    }


def filmed_moves(prompt: dict[str, Any]) -> int:
    """How many camera moves the shots of a workflow follow."""
    waiting = [made["inputs"]["trajectory"][0] for made in prompt.values() if made["class_type"] == SHOT]
    moves = set(waiting)
    while waiting:
        before = prompt[waiting.pop()]["inputs"].get("before")
        if before is not None:
            moves.add(before[0])
            waiting.append(before[0])
    return len(moves)


@pytest.fixture(autouse=True)
def host(comfy: Path) -> None:
    """Tiny models are made by the host's own classes."""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_saves_its_film(server: HostServer, path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    tiny_wan.lay_out(workflow, server.base)
    prompt = to_prompt(workflow, server.client.object_info())
    if tiny_wan.needs_files(workflow):
        prompt = tiny_wan.reduced(prompt)
    for made in prompt.values():
        if made["class_type"] == "SceneMemoryCameraTrajectory":
            made["inputs"]["frames"] = FRAMES
        if made["class_type"] == "SceneMemoryBank":
            made["inputs"]["name"] = f"reduced {path.stem}"
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert any(file["filename"].endswith(".mp4") for out in run.outputs.values() for file in out.get("images", []))
    state = Bank.open(server.output / "scene_memory", f"reduced {path.stem}").load()
    assert state.frames == 1 + FRAMES * filmed_moves(prompt)
    assert server.client.queue(prompt).executed == []


def test_what_changed_stays_changed_with_the_editor_and_falls_back_without_it(server: HostServer) -> None:
    """In the third shot the model sees only frames of the second, the changed one; else frames of the first as well."""
    path = ROOT / "workflows" / "What changed stays changed.json"
    workflow = json.loads(path.read_text(encoding="utf-8"))
    first_shot = set(range(1, 1 + FRAMES))
    for mode, name in ((0, "changed"), (4, "bypassed")):
        for made in workflow["nodes"]:
            if made["type"] == "SceneMemoryEditor":
                made["mode"] = mode
        prompt = to_prompt(workflow, server.client.object_info())
        for made in prompt.values():
            if made["class_type"] == "SceneMemoryCameraTrajectory":
                made["inputs"]["frames"] = FRAMES
            if made["class_type"] == "SceneMemoryBank":
                made["inputs"]["name"] = name
            if made["class_type"] == "SceneMemoryEditor":
                made["inputs"]["frames"] = "shot 2"
        run = server.client.queue(prompt)
        assert run.ok, run.error
        state = Bank.open(server.output / "scene_memory", name).load()
        assert bool(state.edits) == (mode == 0)
        seen = {index for record in list(state.segments)[-2:] for index in record.info["context"]}
        assert bool(seen & first_shot) == (mode == 4)

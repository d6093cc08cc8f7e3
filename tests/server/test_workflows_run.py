"""Every workflow that comes with the pack runs in the real server, at reduced length."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev_tools.paths import ROOT
from dev_tools.server import HostServer
from dev_tools.workflow_api import to_prompt
from scene_memory.memory.bank import Bank

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
FRAMES = 9


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"A minute in one take", "Three shots, one room"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_saves_its_film(server: HostServer, path: Path) -> None:
    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), server.client.object_info())
    cameras = [made for made in prompt.values() if made["class_type"] == "SceneMemoryCameraTrajectory"]
    for made in cameras:
        made["inputs"]["frames"] = FRAMES
    for made in prompt.values():
        if made["class_type"] == "SceneMemoryBank":
            made["inputs"]["name"] = f"reduced {path.stem}"
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert any(file["filename"].endswith(".mp4") for out in run.outputs.values() for file in out.get("images", []))
    state = Bank.open(server.output / "scene_memory", f"reduced {path.stem}").load()
    assert state.frames == 1 + FRAMES * len(cameras)
    assert server.client.queue(prompt).executed == []

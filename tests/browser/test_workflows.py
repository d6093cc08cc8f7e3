"""The workflows that come with the pack, opened in the real frontend, in the classic canvas and in Nodes 2.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dev_tools import tiny_wan
from dev_tools.frontend import MODES, Frontend, Mode
from dev_tools.paths import ROOT
from dev_tools.server import HostServer
from dev_tools.workflow_api import to_prompt

FOLDER = ROOT / "workflows"
NAMED = {"A minute in one take", "Three shots, one room", "What changed stays changed"}
WORKFLOWS = sorted(NAMED | {path.stem for path in FOLDER.glob("*.json")})


@pytest.mark.parametrize("mode", MODES)
def test_the_frontend_opens_with_our_pack_and_without_an_error_of_ours(
    open_frontend: Callable[[Mode], Frontend], mode: Mode
) -> None:
    frontend = open_frontend(mode)
    frontend.settle()
    frontend.screenshot(f"empty-{mode}")
    assert frontend.errors == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_opens_with_every_node_and_without_an_error(
    comfy: Path, open_frontend: Callable[[Mode], Frontend], server: HostServer, name: str, mode: Mode
) -> None:
    workflow = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    tiny_wan.lay_out(workflow, server.base)
    frontend = open_frontend(mode)
    frontend.load(workflow)
    frontend.screenshot(f"{name}-{mode}")
    assert frontend.missing_nodes() == []
    assert frontend.errors == []
    assert to_prompt(workflow, server.client.object_info()) == frontend.to_prompt()
    assert len(frontend.to_workflow()["nodes"]) == len(workflow["nodes"])


@pytest.mark.parametrize("mode", MODES)
def test_a_run_shows_its_film_and_nothing_that_failed_to_load(
    open_frontend: Callable[[Mode], Frontend], server: HostServer, mode: Mode
) -> None:
    workflow = json.loads((FOLDER / "A minute in one take.json").read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "SceneMemoryCameraTrajectory":
            node["widgets_values"][1] = 16 if mode == "classic" else 17
        if node["type"] == "SceneMemoryBank":
            node["widgets_values"][0] = f"in the page {mode}"
    frontend = open_frontend(mode)
    frontend.load(workflow)
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    frontend.page.wait_for_selector("video", timeout=120_000)
    frontend.page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=30_000)
    frontend.settle(2000)
    frontend.screenshot(f"after a run-{mode}")
    assert frontend.page.get_by_text("failed to load").count() == 0
    assert frontend.errors == []

"""Workflows saved with released versions, opened in the real frontend of today: every value is where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.paths import ROOT
from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer
from dev.support.workflow_api import to_prompt

SAVED = ROOT / "tests" / "saved"


@pytest.fixture(scope="module")
def page(browser: object, comfyui_process: HostServer) -> Iterator[Callable[[Mode], Frontend]]:
    """`page(mode)` gives one page for each mode, in which the workflows are opened one after another."""
    opened: dict[Mode, Frontend] = {}

    def get(mode: Mode) -> Frontend:
        if mode not in opened:
            opened[mode] = Frontend(browser, comfyui_process, mode)  # type: ignore[arg-type]
        opened[mode].errors.clear()
        return opened[mode]

    yield get
    for frontend in opened.values():
        frontend.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", sorted(SAVED.glob("*/*.json")), ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_workflow_of_a_released_version_opens_with_every_node_link_and_value(
    page: Callable[[Mode], Frontend], server: HostServer, path: Path, mode: Mode
) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    then = json.loads((SAVED / f"{path.parent.name}.definitions.json").read_text(encoding="utf-8"))
    meant = to_prompt(workflow, {**server.client.object_info(), **then})
    frontend = page(mode)
    frontend.load(workflow)
    assert frontend.missing_nodes() == []
    assert frontend.errors == []
    now = frontend.to_prompt()
    assert [(key, node["class_type"]) for key, node in now.items()] == [(k, n["class_type"]) for k, n in meant.items()]
    for key, node in meant.items():
        kept = {name: now[key]["inputs"].get(name) for name in node["inputs"]}
        assert kept == node["inputs"], node["class_type"]

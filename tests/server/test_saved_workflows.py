"""Workflows saved with released versions: nothing that they use was renamed, moved or taken away, and they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.paths import ROOT
from dev.support.server import HostServer
from dev.support.workflow_api import to_prompt

SAVED = ROOT / "tests" / "saved"
VERSIONS = sorted(path.name.removesuffix(".definitions.json") for path in SAVED.glob("*.definitions.json"))
WORKFLOWS = sorted(SAVED.glob("*/*.json"))
FRAMES = 9


def definitions(version: str) -> dict[str, Any]:
    """The nodes as that version told the frontend of them."""
    found: dict[str, Any] = json.loads((SAVED / f"{version}.definitions.json").read_text(encoding="utf-8"))
    return found


def test_the_released_versions_are_kept() -> None:
    assert VERSIONS == ["0.1.0", "0.2.0", "0.3.0"]
    assert {path.stem for path in WORKFLOWS} >= {"A minute in one take", "Three shots, one room"}


NEVER_RAN = {("SceneMemoryFovRetriever", "k"): 0}
"""Values that a widget offered and every run refused: no workflow that ran has them."""


@pytest.mark.parametrize("version", VERSIONS)
def test_no_input_was_renamed_moved_or_made_narrower(server: HostServer, version: str) -> None:
    now = server.client.object_info()
    for name, old in definitions(version).items():
        assert name in now, f"{name} is gone"
        for group, inputs in old["input"].items():
            there = now[name]["input"][group]
            assert list(there)[: len(inputs)] == list(inputs), f"{name}: {group} inputs were moved"
            for key, (kind, options) in inputs.items():
                assert there[key][0] == kind, f"{name}.{key} was {kind}"
                assert set(options.get("options", [])) <= set(there[key][1].get("options", [])), f"{name}.{key}"
                refused = NEVER_RAN.get((name, key))
                least = options.get("min", 0) if refused is None else refused + 1
                assert there[key][1].get("min", 0) <= least, f"{name}.{key}"
                assert there[key][1].get("max", 0) >= options.get("max", 0), f"{name}.{key}"
        for group in ("required", "optional"):
            more = list(now[name]["input"].get(group, {}))[len(old["input"].get(group, {})) :]
            assert group == "optional" or not more, f"{name}: an older prompt lacks the new inputs {more}"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_output_was_moved(server: HostServer, version: str) -> None:
    now = server.client.object_info()
    for name, old in definitions(version).items():
        for key in ("output", "output_name"):
            assert now[name][key][: len(old[key])] == old[key], name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_a_workflow_of_a_released_version_runs(server: HostServer, path: Path) -> None:
    then = definitions(path.parent.name)
    # The prompt as it was made then: with no word of the inputs that came later.
    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), {**server.client.object_info(), **then})
    for made in prompt.values():
        if made["class_type"] == "SceneMemoryCameraTrajectory":
            made["inputs"]["frames"] = FRAMES
        if made["class_type"] == "SceneMemoryBank":
            made["inputs"]["name"] = f"saved {path.parent.name} {path.stem}"
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert any(file["filename"].endswith(".mp4") for out in run.outputs.values() for file in out.get("images", []))
    assert server.client.queue(prompt).executed == []

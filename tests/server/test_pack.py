"""What the server makes of this pack: it loads without a word of warning, and every node explains itself."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from dev.paths import PACK_FOLDER, ROOT
from dev.support.server import HostServer
from dev.support.tiny_files import needs_files

NODES = (
    "SceneMemoryBank",
    "SceneMemoryRememberPictures",
    "SceneMemoryDepthSource",
    "SceneMemoryFovRetriever",
    "SceneMemoryCameraTrajectory",
    "SceneMemoryMocSampler",
    "SceneMemoryMocRouting",
    "SceneMemoryShotGenerator",
    "SceneMemoryWanOptions",
    "SceneMemoryMinimaxPrompt",
    "SceneMemoryToVideo",
    "SceneMemoryLoadWorldModel",
    "SceneMemoryWorldScene",
    "SceneMemoryEmptyWorldLatent",
    "SceneMemoryEditor",
    "SceneMemoryInfo",
    "SceneMemoryFrames",
    "SceneMemoryView",
    "SceneMemoryConsistencyReport",
    "SceneMemorySave",
    "SceneMemoryLoad",
    "SceneMemoryLoadTrajectory",
    "SceneMemorySaveTrajectory",
    "SceneMemoryJoinTrajectories",
    "SceneMemoryTrajectoryFrom3DCameras",
    "SceneMemoryTrajectoryToWanCamera",
    "SceneMemoryPreviewTrajectory",
    "SceneMemoryMeasureCamera",
    "SceneMemoryLoadStoryLora",
    "SceneMemoryStoryOptions",
    "SceneMemoryStory",
    "SceneMemoryLoadStory",
    "SceneMemoryStoryCamera",
    "SceneMemoryStoryKeyframes",
    "SceneMemoryStoryFilm",
)


def our_nodes(server: HostServer) -> dict[str, Any]:
    return {name: info for name, info in server.client.object_info().items() if PACK_FOLDER in info["python_module"]}


def test_the_pack_loads_without_a_warning(server: HostServer) -> None:
    start, listening, _ = server.log_text().partition("Starting server")
    assert listening
    lines = start.splitlines()
    loaded = [line for line in lines if PACK_FOLDER in line and "seconds" in line]
    assert loaded and not any("FAILED" in line for line in loaded), loaded
    trouble = [
        line
        for line in lines
        if PACK_FOLDER in line and any(word in line.lower() for word in ("warning", "error", "cannot", "traceback"))
    ]
    assert trouble == []


def test_the_nodes_are_there_under_their_permanent_ids(server: HostServer) -> None:
    found = our_nodes(server)
    assert set(NODES) == set(found)


@pytest.mark.parametrize("node", NODES)
def test_every_input_explains_itself_and_ends_in_a_recommendation(server: HostServer, node: str) -> None:
    info = our_nodes(server)[node]
    assert info["display_name"] and info["description"] and info["category"]
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            tooltip = spec[1].get("tooltip", "") if len(spec) > 1 else ""
            assert re.search(r"Recommended: \S.*$", tooltip), f"{node}.{name}: {tooltip!r}"


def test_the_nodes_lie_in_parts_of_the_menu(server: HostServer) -> None:
    parts: dict[str, list[str]] = {}
    for node, info in our_nodes(server).items():
        parts.setdefault(info["category"], []).append(node)
    expected = ("camera", "memory", "shot", "story", "models", "world model")
    assert set(parts) == {f"SceneMemory/{part}" for part in expected}
    assert max(len(nodes) for nodes in parts.values()) <= 16


def test_every_output_has_a_name_and_a_tooltip(server: HostServer) -> None:
    silent = [
        f"{node}.{name or number}"
        for node, info in our_nodes(server).items()
        for number, (name, tooltip) in enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))
        if not name or not tooltip
    ]
    assert silent == []


def test_the_workflows_are_served_as_templates_with_their_pictures(server: HostServer) -> None:
    names = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    assert names
    assert sorted(server.client.request("/workflow_templates")[PACK_FOLDER]) == names
    for name in names:
        served = server.client.request(f"/api/workflow_templates/{PACK_FOLDER}/{quote(name)}.json")
        assert served == json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
        # A picture of what models show that are not there to be run could only be made up.
        assert needs_files(served) or (ROOT / "workflows" / f"{name}.jpg").read_bytes()[:2] == b"\xff\xd8"

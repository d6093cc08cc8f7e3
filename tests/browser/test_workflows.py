"""The workflows that come with the pack, opened in the real frontend, in the classic canvas and in Nodes 2.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dev.paths import ROOT
from dev.support import tiny_files
from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer
from dev.support.workflow_api import to_prompt

FOLDER = ROOT / "workflows"
ROOM = {"SceneMemoryShotGenerator": 330, "SceneMemoryStoryFilm": 250}
"""How far a node may grow downwards while it shows what it is making."""

DRAWN = """() => app.graph.nodes.map(node => {
  const shown = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
  const canvas = app.canvas.canvas.getBoundingClientRect(), { scale, offset } = app.canvas.ds
  const drawn = shown
    ? [(shown.x - canvas.x) / scale - offset[0], (shown.y - canvas.y) / scale - offset[1],
       shown.width / scale, shown.height / scale]
    : [node.pos[0], node.pos[1] - LiteGraph.NODE_TITLE_HEIGHT, node.size[0],
       node.size[1] + LiteGraph.NODE_TITLE_HEIGHT]
  return [node.title, node.type, ...drawn]
})"""
"""Title, type, left, top, width and height of every node as the page draws it, in the graph's own units."""
TITLES = """() => app.graph._groups.map(({ title, pos, font_size }) =>
  [title, 'title of a group', ...pos, title.length * font_size / 2, font_size * 1.4])"""
"""The same of the titles of the groups, which the page draws behind the nodes."""
NAMED = {"A minute in one take", "Three shots, one room", "What changed stays changed"}
WORKFLOWS = sorted(NAMED | {path.stem for path in FOLDER.glob("*.json")})


def touching(drawn: list[list[Any]], room: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of nodes that overlap, those in ``room`` being so much taller."""
    boxes = [(title, x, y, x + width, y + height + room.get(kind, 0)) for title, kind, x, y, width, height in drawn]
    return [
        (one[0], two[0])
        for one, two in combinations(boxes, 2)
        if one[1] < two[3] and two[1] < one[3] and one[2] < two[4] and two[2] < one[4]
    ]


@pytest.mark.parametrize("mode", MODES)
def test_the_frontend_opens_with_our_pack_and_without_an_error_of_ours(
    open_frontend: Callable[[Mode], Frontend], mode: Mode
) -> None:
    frontend = open_frontend(mode)
    frontend.settle()
    frontend.screenshot(f"empty-{mode}")
    assert frontend.errors == []


@pytest.mark.parametrize("mode", MODES)
def test_every_workflow_opens_with_every_node_and_without_an_error(
    comfy: Path, open_frontend: Callable[[Mode], Frontend], server: HostServer, mode: Mode
) -> None:
    workflows = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in WORKFLOWS}
    for workflow in workflows.values():
        tiny_files.lay_out(workflow, server.base)
    frontend, definitions = open_frontend(mode), server.client.object_info()
    for name, workflow in workflows.items():
        frontend.load(workflow)
        frontend.screenshot(f"{name}-{mode}")
        assert frontend.missing_nodes() == [], name
        assert frontend.errors == [], name
        assert to_prompt(workflow, definitions) == frontend.to_prompt(), name
        assert len(frontend.to_workflow()["nodes"]) == len(workflow["nodes"]), name
        drawn = [*frontend.page.evaluate(DRAWN), *frontend.page.evaluate(TITLES)]
        assert touching(drawn, ROOM) == [], name


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
    before = {tuple(node[:2]): node[5] for node in frontend.page.evaluate(DRAWN)}
    frontend.page.evaluate(f"""() => {{
      const drawn = {DRAWN}
      window.tallest = drawn()
      window.looking = setInterval(() => {{
        window.tallest = drawn().map((node, i) => node.with(5, Math.max(node[5], window.tallest[i][5])))
      }}, 100)
    }}""")
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    frontend.page.wait_for_selector("video", timeout=120_000)
    frontend.page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=30_000)
    frontend.settle(2000)
    frontend.screenshot(f"after a run-{mode}")
    tallest = frontend.page.evaluate("() => { clearInterval(window.looking); return window.tallest }")
    grown = {node[1]: node[5] - before[tuple(node[:2])] for node in tallest}
    assert 0 < grown["SceneMemoryShotGenerator"] <= ROOM["SceneMemoryShotGenerator"], "its live preview has room"
    assert touching(tallest, {}) == []
    assert frontend.page.get_by_text("failed to load").count() == 0
    assert frontend.errors == []

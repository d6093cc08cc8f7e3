"""A graph that is put down by hand, in the real frontend: what it has made it finds again at the next Run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from dev.paths import ROOT
from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer

WITH_SEEDS = (
    "SceneMemoryWorldScene",
    "SceneMemoryFovRetriever",
    "SceneMemoryShotGenerator",
    "SceneMemoryStoryFilm",
    "SceneMemoryMocRouting",
)
BY_HAND = """bank => {
  const put = (type, values = {}) => {
    const node = LiteGraph.createNode(type)
    node.pos = [app.graph.nodes.length % 4 * 500 + 60, Math.floor(app.graph.nodes.length / 4) * 700 + 60]
    app.graph.add(node)
    for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value
    return node
  }
  const join = (from, slot, to, name) => from.connect(slot, to, to.inputs.findIndex(input => input.name === name))
  app.graph.clear()
  const world = put('SceneMemoryLoadWorldModel')
  const scene = put('SceneMemoryWorldScene')
  const words = put('CLIPTextEncode')
  const memory = put('SceneMemoryBank', { name: bank })
  const sampler = put('SceneMemoryMocSampler')
  const camera = put('SceneMemoryCameraTrajectory', { frames: 16 })
  const retriever = put('SceneMemoryFovRetriever')
  const shot = put('SceneMemoryShotGenerator')
  const video = put('SceneMemoryToVideo', { filename_prefix: bank })
  join(world, 1, words, 'clip')
  join(scene, 1, words, 'text')
  join(scene, 0, memory, 'start_image')
  join(world, 0, sampler, 'model')
  for (const other of [camera, retriever, shot]) join(memory, 0, other, 'memory')
  for (const other of [retriever, shot]) join(camera, 0, other, 'trajectory')
  join(sampler, 0, shot, 'model')
  join(sampler, 1, shot, 'sampler')
  join(sampler, 2, shot, 'sigmas')
  join(world, 2, shot, 'vae')
  join(words, 0, shot, 'positive')
  join(retriever, 0, shot, 'retriever')
  join(shot, 0, video, 'memory')
}"""
CONTROLS = """types => types.map(type => {
  const node = LiteGraph.createNode(type)
  const seed = node.widgets.findIndex(widget => widget.name === 'seed')
  return [type, node.widgets[seed + 1].value]
})"""


def run(frontend: Frontend, server: HostServer) -> str:
    """Presses Run, waits for the end, and gives what the server logged meanwhile."""
    before, until = len(server.log_text()), time.monotonic() + 120
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    # The line of an earlier run may only be written now: what counts comes after this one was taken in.
    while "Prompt executed" not in (said := server.log_text()[before:]).partition("got prompt")[2]:
        assert time.monotonic() < until, said
        frontend.settle(200)
    frontend.settle(300)
    return said


@pytest.mark.parametrize("mode", MODES)
def test_a_graph_put_down_by_hand_finds_all_that_it_has_made_at_the_next_run(
    open_frontend: Callable[[Mode], Frontend], server: HostServer, mode: Mode
) -> None:
    frontend = open_frontend(mode)
    assert frontend.page.evaluate(CONTROLS, WITH_SEEDS) == [[kind, "fixed"] for kind in WITH_SEEDS]
    frontend.page.evaluate(BY_HAND, f"by hand {mode}")
    first = frontend.to_prompt()
    assert "segments of this shot were in the bank" not in run(frontend, server)
    assert frontend.to_prompt() == first, "a Run changes nothing in the graph"
    server.client.free()
    assert "2 of 2 segments of this shot were in the bank already" in run(frontend, server)
    assert frontend.to_prompt() == first


def test_no_template_has_a_field_that_the_frontend_refuses() -> None:
    for path in sorted((ROOT / "workflows").glob("*.json")):
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        slots = [slot for node in nodes for slot in [*node.get("inputs", ()), *node.get("outputs", ())]]
        assert all(slot.get("slot_index", 0) is not None for slot in slots), path.name

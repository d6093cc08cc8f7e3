"""Names of saved files in the real frontend: tokens mean what they mean beside them in ComfyUI's own Save Video."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.support.frontend import MODES, Frontend, Mode

OURS = ("SceneMemoryToVideo", "SceneMemorySave", "SceneMemorySaveTrajectory")
PUT = """([types, prefix]) => {
  app.graph.clear()
  const scene = LiteGraph.createNode('SceneMemoryWorldScene')
  app.graph.add(scene)
  scene.widgets.find(widget => widget.name === 'seed').value = 93
  for (const type of types) {
    const node = LiteGraph.createNode(type)
    app.graph.add(node)
    node.widgets.find(widget => widget.name === 'filename_prefix').value = prefix
  }
}"""


@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_filled_in_as_in_save_video(open_frontend: Callable[[Mode], Frontend], mode: Mode) -> None:
    frontend = open_frontend(mode)
    prefix = "%date:yyyy-MM-dd%/%SceneMemoryWorldScene.seed%_%year%"
    frontend.page.evaluate(PUT, [["SaveVideo", *OURS], prefix])
    frontend.settle()
    sent = {node["class_type"]: node["inputs"].get("filename_prefix") for node in frontend.to_prompt().values()}
    assert sent["SaveVideo"].endswith("/93_%year%") and "date" not in sent["SaveVideo"]
    assert {sent[kind] for kind in OURS} == {sent["SaveVideo"]}
    saved = [node["widgets_values"] for node in frontend.to_workflow()["nodes"] if node["type"] in OURS]
    assert all(prefix in values for values in saved), "the workflow keeps what was written"

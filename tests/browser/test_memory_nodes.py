"""The memory's nodes in the real frontend: what is typed survives, what is made is shown, help is there."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dev.paths import ROOT
from dev.support.frontend import MODES, Frontend, Mode

WORKFLOW = ROOT / "workflows" / "What changed stays changed.json"
TEXT = "0, 24-40, shot 2, last 8"
TYPE_INTO_THE_EDITOR = """
(text) => {
  const editor = app.graph.nodes.find(node => node.type === 'SceneMemoryEditor')
  for (const [name, value] of [['frames', text], ['outdated', '3-5'], ['action', 'exclude'], ['strength', 0.25]]) {
    const widget = editor.widgets.find(widget => widget.name === name)
    widget.value = value
    widget.callback?.(value)
  }
}
"""


def editor_inputs(frontend: Frontend) -> dict[str, object]:
    (found,) = [node for node in frontend.to_prompt().values() if node["class_type"] == "SceneMemoryEditor"]
    return dict(found["inputs"])


@pytest.mark.parametrize("mode", MODES)
def test_what_is_typed_into_the_memory_editor_survives_saving_and_opening_again(
    open_frontend: Callable[[Mode], Frontend], mode: Mode
) -> None:
    frontend = open_frontend(mode)
    frontend.load(json.loads(WORKFLOW.read_text(encoding="utf-8")))
    frontend.page.evaluate(TYPE_INTO_THE_EDITOR, TEXT)
    frontend.settle()
    saved = frontend.to_workflow()
    frontend.page.evaluate("() => app.graph.clear()")
    frontend.load(saved)
    kept = editor_inputs(frontend)
    assert (kept["frames"], kept["outdated"], kept["action"], kept["strength"]) == (TEXT, "3-5", "exclude", 0.25)
    assert frontend.errors == []


@pytest.mark.parametrize("mode", MODES)
def test_the_editor_and_memory_info_show_their_pictures_after_a_run(
    open_frontend: Callable[[Mode], Frontend], mode: Mode
) -> None:
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "SceneMemoryCameraTrajectory":
            node["widgets_values"][1] = 8 if mode == "classic" else 9
        if node["type"] == "SceneMemoryBank":
            node["widgets_values"][0] = f"memory nodes {mode}"
    frontend = open_frontend(mode)
    frontend.load(workflow)
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    frontend.page.wait_for_function(
        """() => ['SceneMemoryInfo', 'SceneMemoryEditor'].every(type => {
          const node = app.graph.nodes.find(node => node.type === type)
          return (app.nodeOutputs?.[node.id]?.images ?? []).length === 1
        })""",
        timeout=240_000,
    )
    frontend.settle(2000)
    frontend.screenshot(f"memory nodes-{mode}")
    assert frontend.page.get_by_text("failed to load").count() == 0
    assert frontend.errors == []

"""The retrieval map on FOV Retriever: what the server's retrieval says, at once, without a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.paths import ROOT
from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.retrieval.reasons import noted

Open = Callable[[Mode], Frontend]
WORKFLOW = ROOT / "workflows" / "A minute in one take.json"
MAP = """() => app.rootGraph.nodes.find(n => n.title === 'FOV Retriever')
  .widgets.find(w => w.name === 'retrieval_map').element"""

VIEW = f"({MAP})().querySelector('.smrm-view')"


def filmed(frontend: Frontend, bank: str) -> None:
    """Queues the template with short shots and waits until it is done."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == "SceneMemoryBank":
            node["widgets_values"][0] = bank
        if node["type"] == "SceneMemoryCameraTrajectory":
            node["widgets_values"][1] = 24
    frontend.page.set_viewport_size({"width": 1440, "height": 900})
    frontend.load(workflow)
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")


def asked(frontend: Frontend, wanted: str = "true") -> dict[str, Any]:
    """The map's newest answer, when everything that was asked is answered."""
    state = f"""() => {{
      const map = ({MAP})().retrievalMap
      const {{ answer, told, frame, shown }} = map
      return told && !map.asking && answer && map.asked && ({wanted}) && {{ answer, told, frame, shown }}
    }}"""
    return dict(frontend.page.wait_for_function(state, timeout=90_000).json_value())


@pytest.mark.parametrize("mode", MODES)
def test_the_map_answers_what_other_settings_would_recall(
    open_frontend: Open, server: HostServer, mode: Mode
) -> None:
    bank = f"map {mode}"
    frontend = open_frontend(mode)
    filmed(frontend, bank)
    page = frontend.page
    page.evaluate(f"() => ({MAP})().querySelector('button').click()")
    last = asked(frontend, "told.making === undefined && told.frames === 73")
    state = Bank.open(server.output / "scene_memory", bank).load()
    assert state.frames == 73 and len(last["told"]["segments"]) == 9
    for number, (start, remembered) in enumerate(last["told"]["segments"]):
        page.evaluate(f"frame => ({MAP})().retrievalMap.goTo(frame)", start)
        said = asked(frontend, f"answer.number === {number}")["answer"]
        kept = noted(state.segments[number + 1].info) or ()
        assert said["remembered"] == remembered and said["chosen"]["frame"] == [one.index for one in kept]

    # The camera turns where it stands: that is known without depth.
    page.wait_for_function(f"() => !{VIEW}.hidden && {VIEW}.firstChild.naturalWidth === 192")

    before = set_value(page, "k", 4)
    fewer = asked(frontend, "answer.chosen.frame.length === 4")
    assert before == 20 and fewer["answer"]["shown"] <= said["shown"]
    cards = page.evaluate_handle(f"() => ({MAP})().querySelector('.smrm-list')").as_element()
    assert len(cards.query_selector_all("li")) == 4
    words = cards.query_selector("li").inner_text()
    assert f"frame {fewer['answer']['chosen']['frame'][0]}," in words and "most recent" in words
    page.wait_for_timeout(1700)
    set_value(page, "strategy", "recent")
    recent = asked(frontend, "answer.chosen.rule[1] === 'recent'")["answer"]["chosen"]["frame"]
    assert recent == [64, 63, 62, 61]
    time_line = page.evaluate_handle(f"() => ({MAP})().querySelector('.smrm-time')").as_element()
    time_line.focus()
    page.keyboard.down("b")
    assert asked(frontend, "answer.chosen.rule[1] !== 'recent'")["answer"] == fewer["answer"], "the setting before"
    page.keyboard.up("b")
    asked(frontend, "answer.chosen.rule[1] === 'recent'")
    page.keyboard.press("Home")
    asked(frontend, "frame === 0 && answer.number === 0")
    page.wait_for_function(f"() => {VIEW}.hidden")  # It has walked a step from there, and no depth is kept.
    page.keyboard.press("PageUp")
    asked(frontend, "frame === 8 && answer.number === 1")
    page.evaluate(f"() => ({MAP})().retrievalMap.goTo(60)")
    asked(frontend, "frame === 60 && answer.number === 7")
    page.keyboard.press("Space")
    asked(frontend, "frame === 71 && !map.playing && answer.number === 8")
    page.keyboard.press("Space")
    page.wait_for_function(f"() => ({MAP})().retrievalMap.frame < 40")  # From the end it begins anew.
    page.keyboard.press("Space")
    page.wait_for_function(f"() => !({MAP})().retrievalMap.playing")
    page.evaluate(f"() => ({MAP})().retrievalMap.goTo(8)")
    asked(frontend, "frame === 8 && answer.number === 1")
    frontend.screenshot(f"retrieval map {mode}")
    assert not frontend.errors, frontend.errors
    assert frontend.to_prompt() and "retrieval_map" not in json.dumps(frontend.to_workflow()), "nothing of it is saved"
    assert Bank.open(server.output / "scene_memory", bank).load().id == state.id, "nothing was filmed for it"

    # The page is loaded anew: the map asks about the same film again, without a run. ComfyUI writes a NaN of another
    # run into its history as it is, which no page reads as JSON.
    number = {"class_type": "PrimitiveFloat", "inputs": {"value": float("nan")}}
    server.client.queue({"number": number, "shown": {"class_type": "PreviewAny", "inputs": {"source": ["number", 0]}}})
    saved = frontend.to_workflow()
    frontend.open()
    frontend.load(saved)
    page.evaluate(f"() => ({MAP})().querySelector('button').click()")
    again = asked(frontend, "told.frames === 73 && answer.number === 0")
    assert again["told"]["id"] == last["told"]["id"]
    page.evaluate(f"() => ({MAP})().retrievalMap.goTo(64)")
    assert asked(frontend, "answer.number === 8")["answer"]["chosen"]["frame"] == recent
    # The server was started anew and knows no scene: the map waits for the next run, without a complaint.
    page.route("**/scene_memory/retrieval/*/path", lambda route: route.fulfill(status=404, body='{"error": "gone"}'))
    with page.expect_response("**/scene_memory/retrieval/*/path"):
        frontend.load(saved)
    page.wait_for_function(f"() => !({MAP})().retrievalMap.told")
    hint = page.evaluate(f"() => ({MAP})().querySelector('.smce-hint').outerHTML")
    assert "Queue the graph once" in hint and "smce-wrong" not in hint
    page.unroute("**/scene_memory/retrieval/*/path")
    frontend.errors.clear()  # The page itself tells of every 404.
    # Another workflow, or one that never ran, knows nothing of it.
    frontend.load({**saved, "id": "00000000-0000-4000-8000-000000000000"})
    frontend.settle()
    assert page.evaluate(f"() => ({MAP})().retrievalMap.told") is None
    assert not frontend.errors, frontend.errors


def set_value(page: Any, name: str, value: Any) -> Any:
    """Sets a widget of the retriever as an artist does, and gives what it was."""
    change = """([name, value]) => {
      const node = app.rootGraph.nodes.find(n => n.title === 'FOV Retriever')
      const widget = node.widgets.find(w => w.name === name)
      const before = widget.value
      widget.value = value
      widget.callback?.(value, app.canvas, node)
      return before
    }"""
    return page.evaluate(change, [name, value])

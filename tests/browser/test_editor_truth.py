"""What the camera path editor shows is what will run, in the real frontend: after ComfyUI's undo, in subgraphs, with
wires, with a path that cannot be read; and what is done in it can be taken back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dev.paths import PACK_FOLDER
from dev.support.editor_hand import EditorHand
from dev.support.editor_walk import CAPTURE, INTO_SUBGRAPH, PROMOTE, SET, WIRE
from dev.support.frontend import Frontend, Mode
from scene_memory.memory.cameras.keyframes import MAX_FRAME, MAX_KEYFRAMES, MAX_TEXT, parse_keyframes

Open = Callable[[Mode], Frontend]

SHOWN = """root => {
  const { keyframes, running, opened, node } = root.cameraEditor
  return { connected: root.isConnected, running, opened, locked: node.locked, count: keyframes.length }
}"""
SCALES = "root => [root.cameraEditor.view.scale, app.canvas.ds.scale]"
PASTE_ON_IT = """node => {
  app.canvas.copyToClipboard([node])
  app.canvas.graph_mouse = [...node.pos]
  app.canvas.pasteFromClipboard()
  return app.canvas.graph.nodes.find(one => one !== node)
}"""
PARSE = """async ([root, texts]) => {
  const { parse } = await import(root + '/keyframes.js')
  return texts.map(text => { try { parse(text); return '' } catch (problem) { return problem.message } })
}"""
NO_JSON = "keyframes is no drawn path: "


def drawing(frontend: Frontend) -> EditorHand:
    """The editor of a new node, alone on the canvas, with two keyframes drawn behind the start."""
    frontend.page.set_viewport_size({"width": 1500, "height": 1300})
    frontend.new_workflow()
    hand = EditorHand.added(frontend, {"fps": 8})
    hand.look()
    hand.button("▸ Path")
    hand.wait_for("editor.keyframes.length === 3")
    hand.button("New path")
    hand.double_click(1, 2)
    hand.double_click(2, 0)
    return hand


def runs(frontend: Frontend) -> dict[str, object]:
    """What the one Camera Trajectory would be given now."""
    (found,) = [one["inputs"] for one in frontend.to_prompt().values() if "keyframes" in one["inputs"]]
    return dict(found)


def test_the_editor_on_the_screen_is_that_of_the_node_that_undo_has_made(frontend: Frontend) -> None:
    hand = drawing(frontend)
    frontend.page.evaluate(
        """() => {
          const other = LiteGraph.createNode('Note')
          other.pos = [900, 900]
          app.graph.add(other)
        }"""
    )
    # Nodes 2.0 measures a new node after it is drawn: captured before, that would be a step of undo by itself.
    frontend.settle(400)
    frontend.page.evaluate(CAPTURE)
    hand.root.evaluate("root => root.cameraEditor.zoom(2)")
    frontend.page.evaluate("() => document.activeElement.blur()")
    hand.press("Control+z")
    assert frontend.page.evaluate("() => app.graph.nodes.length") == 1, "the note is undone, which is not of the path"
    shown = hand.root.evaluate(SHOWN)
    assert shown == {"connected": True, "running": True, "opened": True, "locked": "", "count": 3}
    assert hand.root.evaluate("root => root.cameraEditor.view.scale") == 80, "undo does not move the map"
    hand.root.evaluate("root => root.cameraEditor.fit()")
    hand.move(1, -1, 1)
    assert json.loads(str(runs(frontend)["keyframes"]))["keyframes"] == hand.shown()
    assert hand.shown()[1]["right"] == -1, "what is drawn after the undo is drawn into the node"
    hand.button("↶")
    hand.walked()
    assert hand.shown()[1]["right"] == 1 and json.loads(str(runs(frontend)["keyframes"]))["keyframes"] == hand.shown()
    frontend.page.evaluate("() => document.activeElement.blur()")
    hand.press("Control+z")
    assert len(hand.shown()) == 2, "the canvas goes back on the same way as the editor"
    hand.button("↷")
    hand.walked()
    assert len(hand.shown()) == 3 and runs(frontend)["frames"] == 48
    frontend.settle(400)
    focused = frontend.page.evaluate("() => document.activeElement.className")
    assert focused == "smce-map", "and the keys are where they were"
    assert frontend.errors == []


def test_what_is_set_outside_is_shown_as_it_runs_and_not_drawn_over(frontend: Frontend) -> None:
    hand = drawing(frontend)
    drawn = hand.value("keyframes")
    holder = hand.node.evaluate(INTO_SUBGRAPH)
    for name, value in (("move", "orbit"), ("frames", 40)):
        assert frontend.page.evaluate(PROMOTE, [holder, name, value])
    frontend.page.evaluate("id => app.canvas.setGraph(app.graph.getNodeById(id).subgraph)", holder)
    frontend.settle()
    hand = EditorHand(frontend, frontend.page.evaluate_handle("() => app.canvas.graph.nodes.find(n => n.comfyClass)"))
    hand.look()
    hand.wait_for("editor.path.length === 40 && editor.keyframes.length > 3")
    assert "move is set outside this subgraph, to 'orbit'" in hand.hint()
    hand.double_click(0.5, -1)
    hand.press("a")
    assert hand.value("keyframes") == drawn == runs(frontend)["keyframes"] and runs(frontend)["move"] == "orbit"
    frontend.screenshot(f"editor promoted-{frontend.mode}")
    frontend.page.evaluate(PROMOTE, [holder, "move", "drawn"])
    hand.wait_for("editor.editable")
    assert [one["frame"] for one in hand.shown()] == [0, 20, 40], "it is played in the frames set outside"
    hand.root.evaluate("root => root.cameraEditor.fit()")
    hand.double_click(0, 1)
    assert runs(frontend)["frames"] == 40 == hand.keyframes()[-1]["frame"] and len(hand.keyframes()) == 4
    assert "keeps its 40 frames" in hand.hint()
    hand.node.evaluate(WIRE, ["PrimitiveInt", "frames"])
    hand.wait_for("editor.settings.frames === undefined")
    assert "only a run knows it" in hand.hint() and "% of the way" in hand.words()
    assert frontend.errors == []


def test_the_wheel_escape_and_the_last_frame_do_what_an_artist_expects(frontend: Frontend) -> None:
    hand = drawing(frontend)
    page = frontend.page
    page.mouse.move(*hand.point(0, 0))
    before = hand.root.evaluate(SCALES)
    page.mouse.wheel(0, -100)
    frontend.settle(200)
    zoomed = hand.root.evaluate(SCALES)
    assert zoomed[0] > before[0] and zoomed[1] == before[1], "a map that has the keys zooms"
    page.evaluate("() => document.activeElement.blur()")
    page.mouse.wheel(0, -100)
    frontend.settle(200)
    passed = hand.root.evaluate(SCALES)
    assert passed[0] == zoomed[0] and passed[1] > zoomed[1], "else the graph does, over the map as elsewhere"
    hand.look()
    drawn = hand.keyframes()
    page.mouse.move(*hand.point(1, 2))
    page.mouse.down()
    page.mouse.move(*hand.point(0.5, 1), steps=4)
    assert hand.shown() != drawn
    page.keyboard.press("Escape")
    page.mouse.move(*hand.point(0.2, 0.5), steps=4)
    page.mouse.up()
    assert hand.shown() == drawn == hand.keyframes(), "Escape ends a drag and what it did"
    hand.click(2, 0)
    hand.set_field("frame", MAX_FRAME)
    hand.double_click(0, 1)
    assert len(hand.keyframes()) == 3 and f"has {MAX_FRAME} frames at most" in hand.hint()
    assert frontend.errors == []


def test_a_path_that_cannot_be_read_is_kept_until_a_new_one_is_asked_for(frontend: Frontend) -> None:
    hand = drawing(frontend)
    newer = '{"version": 2, "keyframes": [{"frame": 0}, {"frame": 24, "aim": [0, 1]}]}'
    frontend.new_workflow()
    hand = EditorHand.added(frontend, {"move": "drawn", "keyframes": newer})
    hand.look()
    assert hand.shown() == [] and "has the version 2: this SceneMemory reads 1" in hand.hint()
    frontend.screenshot(f"editor unreadable-{frontend.mode}")
    hand.double_click(1, 1)
    hand.press("a", "Insert", "Delete", "e", "s")
    hand.drag(hand.point(0, 0), hand.point(1, 1))
    hand.node.evaluate(SET, ["frames", 50])
    assert hand.value("keyframes") == newer == runs(frontend)["keyframes"]
    hand.button("New path")
    assert len(hand.shown()) == 1 and hand.value("keyframes") != newer
    hand.press("Control+z")
    assert hand.value("keyframes") == newer and hand.shown() == [], "undo brings it back"
    assert frontend.errors == []


def test_of_two_nodes_in_one_place_the_upper_is_used_and_then_the_lower(frontend: Frontend) -> None:
    lower = drawing(frontend)
    lower.button("▾ Path")
    upper = EditorHand(frontend, lower.node.evaluate_handle(PASTE_ON_IT))
    frontend.settle(400)
    assert upper.node.evaluate("node => [...node.pos]") == lower.node.evaluate("node => [...node.pos]")
    upper.move(1, -1, 1)
    assert upper.keyframes() == upper.shown() != lower.shown() == lower.keyframes(), "the upper is drawn in"
    upper.node.evaluate("node => { node.pos = [node.pos[0] + 550, node.pos[1]] }")
    lower.look()
    lower.button("▸ Path")
    lower.wait_for("editor.opened && editor.parts.map.clientWidth")
    frontend.settle(400)
    lower.move(1, 0, 1)
    assert lower.keyframes() == lower.shown() != upper.shown() == upper.keyframes(), "and then the lower"
    assert [hand.shown()[1].get("right", 0) for hand in (lower, upper)] == [0, -1]
    assert frontend.errors == []


@pytest.mark.parametrize("opener", ["open_frontend", "open_newest"])
def test_the_properties_panel_has_the_nodes_inputs_and_no_empty_row(
    opener: str, request: pytest.FixtureRequest
) -> None:
    open_page: Open = request.getfixturevalue(opener)
    frontend = open_page("nodes2")
    hand = drawing(frontend)
    hand.node.evaluate("node => app.canvas.selectNode(node)")
    frontend.page.evaluate("() => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', true)")
    panel = frontend.page.get_by_test_id("properties-panel")
    panel.get_by_text("handheld").wait_for()
    frontend.screenshot(f"properties panel-{opener}")
    lines = panel.inner_text().splitlines()
    inputs = ["move", "frames", "amount", "radius", "easing", "fov", "fps", "aspect", "path_seed", "speed", "handheld"]
    assert [line for line in lines if line in inputs] == inputs
    assert not {"keyframes", "camera_path"} & set(lines)
    assert hand.root.evaluate("root => root.isConnected && root.closest('[data-node-id]') !== null"), "it has one place"
    frontend.page.evaluate("() => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', false)")
    assert frontend.errors == []


def test_the_page_refuses_what_the_node_refuses_in_the_same_words(open_frontend: Open) -> None:
    def path(*keyframes: object, **more: object) -> str:
        return json.dumps({"version": 1, "keyframes": keyframes, **more})

    start = {"frame": 0}
    many = path(*({"frame": n} for n in range(MAX_KEYFRAMES + 1)))
    texts = [
        *("no JSON", "{", "[]", "3", "null", '{"version": 1}', '{"version": 1, "keyframes": {}}'),
        *(path(), path(start, version=2), path(start, version=None), path(start, version="1"), many),
        *(path(start, None), path(start, [1]), path(7), path({}), path({"frame": 1}), path(start, start)),
        *(path({**start, name: value}) for name in ("yaw", "fov", "up") for value in (None, "1", True, 10**9, [1], {})),
        *(path({**start, "kind": kind}) for kind in (None, "smooth", 3)),
        *(path({**start, "aim": 1}), path(start, {"frame": 24, "Yaw": 3}), path(start, {"frame": 200_000})),
        *('{"version": 1, "keyframes": [{"frame": NaN}]}', path(start) + " " * MAX_TEXT),
        *(path(start), path(start, {"frame": 24.5, "yaw": -36000, "kind": "corner", "fov": 170})),
        path(start, name="mine"),
    ]
    said = open_frontend("classic").page.evaluate(PARSE, [f"/extensions/{PACK_FOLDER}/editor", texts])
    for text, page in zip(texts, said, strict=True):
        try:
            parse_keyframes(text)
            node = ""
        except ValueError as problem:
            node = str(problem)
        if node.startswith(NO_JSON) and "expected {" not in node:
            # What is wrong with a text that is no JSON, each parser tells in its own way.
            assert page.startswith(NO_JSON) and page.split(". ", 1)[1] == node.rsplit(". ", 1)[1], text[:80]
        else:
            assert page == node, text[:80]

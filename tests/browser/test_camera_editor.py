"""The camera path editor in the real frontend, classic and Nodes 2.0: drawn by mouse and keys, kept, and left behind
by nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from dev.editor_pictures import apart, rebuild
from dev.support.editor_hand import EditorHand
from dev.support.frontend import MODES, Frontend, Mode

Open = Callable[[Mode], Frontend]

COUNT_WHAT_GOES_ON = """() => {
  const ours = () => /extensions\\/[^\\n]*editor|scene_memory\\.js/.test(new Error().stack)
  const live = window.__live = { listeners: 0, timers: new Set(), frames: new Set(), sizes: new Set() }
  for (const target of [window, document]) {
    const add = target.addEventListener.bind(target)
    target.addEventListener = (...given) => { if (ours()) live.listeners++; return add(...given) }
  }
  const wrap = (start, stop, set) => {
    const [begin, end] = [window[start].bind(window), window[stop].bind(window)]
    window[start] = (action, ...rest) => {
      const mine = ours()
      const id = begin((...given) => { if (start !== 'setInterval') set.delete(id); action(...given) }, ...rest)
      if (mine) set.add(id)
      return id
    }
    window[stop] = id => { set.delete(id); return end(id) }
  }
  wrap('setTimeout', 'clearTimeout', live.timers)
  wrap('setInterval', 'clearInterval', live.timers)
  wrap('requestAnimationFrame', 'cancelAnimationFrame', live.frames)
  const Real = window.ResizeObserver
  window.ResizeObserver = class extends Real {
    constructor(action) { super(action); this.mine = ours() }
    observe(...given) { if (this.mine) live.sizes.add(this); return super.observe(...given) }
    disconnect() { live.sizes.delete(this); return super.disconnect() }
  }
}"""
LIVE = "() => [__live.listeners, __live.timers.size, __live.frames.size, __live.sizes.size]"


def added(frontend: Frontend, values: dict[str, object] | None = None) -> EditorHand:
    """The editor of a new node, alone on the canvas of a page that shows all of it."""
    frontend.page.set_viewport_size({"width": 1500, "height": 1500})
    frontend.new_workflow()
    hand = EditorHand.added(frontend, values)
    hand.look()
    return hand


def rounded(hand: EditorHand, *names: str) -> list[tuple[float, ...]]:
    return [tuple(round(float(one.get(name, 0)), 2) for name in names) for one in hand.keyframes()]


def test_a_path_is_drawn_by_mouse_and_keys_and_taken_back_step_by_step(frontend: Frontend) -> None:
    hand = added(frontend, {"fps": 8})
    hand.button("▸ Path")
    hand.wait_for("editor.keyframes.length === 3")
    hand.button("New path")
    hand.double_click(1, 2)
    hand.double_click(2, 0)
    assert hand.value("move") == "drawn"
    assert rounded(hand, "frame", "right", "forward") == [(0, 0, 0), (24, 1, 2), (48, 2, 0)]
    assert hand.value("frames") == 48, "the path says how long the move is"
    grid = frontend.page.evaluate("root => root.cameraEditor.view.grid", hand.root)
    hand.move(1, -1, 1)
    assert rounded(hand, "right", "forward")[1] == (-1, 1)
    hand.click(-1, 1)
    hand.press("ArrowRight", "ArrowUp", "PageUp", "e", "e", "q", "r", "s")
    one = hand.keyframes()[1]
    expected = {"frame": 24, "right": -1 + grid, "up": 0.1, "forward": 1 + grid, "yaw": 5, "pitch": 5, "kind": "stop"}
    assert {key: pytest.approx(value) if key != "kind" else value for key, value in expected.items()} == one
    hand.set_field("yaw", 45)
    hand.set_field("fov", 40)
    hand.set_field("frame", 30)
    assert rounded(hand, "frame", "yaw", "fov")[1] == (30, 45, 40)
    drawn = hand.value("keyframes")
    hand.click(2, 0)
    hand.press("Delete")
    assert len(hand.keyframes()) == 2 and hand.value("frames") == 30
    assert frontend.page.evaluate("() => app.graph.nodes.length") == 1, "Delete is for the keyframe, not for the node"
    hand.press("Control+z")
    assert hand.value("keyframes") == drawn and hand.value("frames") == 48
    hand.press("Control+z", "Control+z", "Control+z")
    assert rounded(hand, "frame", "yaw", "fov")[1] == (24, 5, 0)
    hand.press("Control+Shift+Z", "Control+y", "Control+Shift+Z")
    assert hand.value("keyframes") == drawn
    while hand.value("move") == "drawn":
        hand.press("Control+z")
    assert hand.value("move") == "turn away and come back" and hand.value("frames") == 96
    assert frontend.errors == []


def test_a_keyframe_is_turned_round_and_round_by_its_handle(frontend: Frontend) -> None:
    hand = added(frontend)
    hand.button("▸ Path")
    hand.button("New path")
    hand.double_click(0, 2)
    hand.turn(1, 450)
    assert rounded(hand, "yaw")[1] == (450,)
    frontend.settle()
    frontend.screenshot(f"editor turned-{frontend.mode}")
    assert frontend.errors == []


def test_a_path_that_is_drawn_at_once_asks_for_no_ready_made_move(frontend: Frontend) -> None:
    """The map of the move that stood there is asked for a moment after it opens: by then there may be a path."""
    hand = added(frontend)
    asked: list[str] = []
    frontend.page.on(
        "request", lambda request: asked.append(request.post_data or "") if "/editor/move" in request.url else None
    )
    for element in ("toggle", "clear"):
        frontend.page.evaluate(f"root => root.cameraEditor.parts.{element}.click()", hand.root)
    frontend.settle()
    assert hand.value("move") == "drawn" and not any("drawn" in settings for settings in asked)
    assert frontend.errors == []


def test_a_drawn_path_survives_saving_and_loading_a_copy_and_a_resize(frontend: Frontend) -> None:
    hand = added(frontend)
    hand.button("▸ Path")
    hand.button("New path")
    hand.double_click(1, 1)
    drawn = hand.value("keyframes")
    saved = frontend.to_workflow()
    (node,) = saved["nodes"]
    assert drawn in node["widgets_values"] and len(node["widgets_values"]) == 12, "the stock widgets and nothing else"
    frontend.new_workflow()
    frontend.load(saved)
    again = EditorHand.of_node(frontend, node["id"])
    assert again.value("keyframes") == drawn and len(again.shown()) == 2
    (prompt,) = frontend.to_prompt().values()
    assert (prompt["inputs"]["keyframes"], prompt["inputs"]["move"], prompt["inputs"]["frames"]) == (drawn, "drawn", 24)
    again.look()
    copied = again.node.evaluate_handle(
        """first => {
          app.canvas.copyToClipboard([first])
          app.canvas.pasteFromClipboard()
          return app.graph.nodes.find(node => node !== first)
        }"""
    )
    other = EditorHand(frontend, copied)
    copied.evaluate("node => { node.pos = [3000, 60] }")  # it was pasted where the mouse is: over the first one
    other.look()
    assert other.value("keyframes") == drawn
    other.double_click(0, 1)
    assert len(other.keyframes()) == 3 and again.value("keyframes") == drawn, "the copy is a node of its own"
    before = other.part(".smce-map").bounding_box()
    copied.evaluate(
        "node => { node.setSize([node.size[0] + 200, node.size[1] + 150]); app.canvas.setDirty(true, true) }"
    )
    frontend.settle()
    after = other.part(".smce-map").bounding_box()
    assert after["width"] > before["width"] + 150 and after["height"] > before["height"] + 100
    other.move(2, 0.4, 0.2)
    assert rounded(other, "right", "forward")[2] == (0.4, 0.2), "the mouse still meets what is drawn"
    frontend.screenshot(f"editor copies-{frontend.mode}")
    assert frontend.errors == []


def test_it_works_inside_a_subgraph(frontend: Frontend) -> None:
    hand = added(frontend)
    hand.button("▸ Path")
    hand.button("New path")
    hand.double_click(1, 1)
    drawn = hand.value("keyframes")
    frontend.page.evaluate(
        """() => {
          const { subgraph } = app.graph.convertToSubgraph(new Set(app.graph.nodes))
          app.canvas.setGraph(subgraph)
        }"""
    )
    frontend.settle()
    inside = EditorHand(
        frontend, frontend.page.evaluate_handle("() => app.canvas.graph.nodes.find(node => node.comfyClass)")
    )
    inside.look()
    assert inside.value("keyframes") == drawn
    inside.double_click(0, 1)
    assert len(inside.keyframes()) == 3
    inside.press("Control+z")
    assert inside.value("keyframes") == drawn
    inside.press("Control+Shift+Z")
    now = inside.value("keyframes")
    (prompt,) = [made for made in frontend.to_prompt().values() if "keyframes" in made["inputs"]]
    assert prompt["inputs"]["keyframes"] == now
    frontend.screenshot(f"editor in a subgraph-{frontend.mode}")
    saved = frontend.to_workflow()
    frontend.new_workflow()
    frontend.load(saved)
    (prompt,) = [made for made in frontend.to_prompt().values() if "keyframes" in made["inputs"]]
    assert prompt["inputs"]["keyframes"] == now
    assert frontend.errors == []


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_node_leaves_nothing_that_goes_on(open_frontend: Open, mode: Mode) -> None:
    frontend = open_frontend(mode)
    frontend.page.evaluate(COUNT_WHAT_GOES_ON)
    hand = added(frontend)
    hand.button("▸ Path")
    hand.button("New path")
    hand.double_click(1, 1)
    assert frontend.page.evaluate(LIVE)[3] == 1, "while it is there, it watches its size"
    hand.part(".smce-play button").click()
    hand.node.evaluate(
        """async node => {
          app.canvas.selectNode(node)
          await app.extensionManager.command.execute('Comfy.Canvas.DeleteSelectedItems')
        }"""
    )
    assert frontend.page.evaluate(LIVE) == [0, 0, 0, 0]
    frontend.settle(1000)
    assert frontend.page.evaluate(LIVE) == [0, 0, 0, 0]
    assert frontend.page.locator(".smce").count() == 0
    frontend.page.keyboard.press("Control+z")
    frontend.settle(1500)
    (back,) = frontend.page.evaluate_handle("() => app.graph.nodes").get_properties().values()
    hand = EditorHand(frontend, back)
    assert len(hand.keyframes()) == 2, "ComfyUI's undo brings the node and its path back"
    hand.look()
    hand.double_click(0, 1)
    assert len(hand.keyframes()) == 3
    assert frontend.errors == []


def test_the_demos_minute_is_rebuilt_by_hand_in_under_a_minute(open_frontend: Open) -> None:
    hand = added(open_frontend("nodes2"), {"fps": 8})
    began = time.monotonic()
    rebuild(hand)
    seconds, missed = time.monotonic() - began, apart(hand)
    assert hand.value("frames") == 480 and seconds < 60
    assert missed["units"] < 0.1 and missed["degrees"] < 3, missed


def test_numbers_out_of_reach_and_broken_texts_are_said_in_words(open_frontend: Open) -> None:
    frontend = open_frontend("nodes2")
    hand = added(frontend, {"move": "drawn", "keyframes": '{"version": 7}'})
    assert "no drawn path" in hand.hint() and hand.part(".smce-hint").get_attribute("class").endswith("smce-wrong")
    hand.button("New path")
    hand.double_click(1, 1)
    hand.set_field("fov", 999)
    hand.set_field("pitch", -99999)
    assert rounded(hand, "fov", "pitch")[1] == (170, -36000)
    hand.click(0, 0)
    hand.press("ArrowUp")
    assert "Choose a keyframe" in hand.hint() and rounded(hand, "right", "forward")[0] == (0, 0)
    hand.drag(hand.point(0, 0), hand.point(1, 0))
    assert "begins where the film stands" in hand.hint()
    node = EditorHand.added(frontend, {"move": "zoom", "amount": 200})
    node.look()
    node.button("▸ Path")
    node.wait_for("editor.panel.hint.includes('zoom')")
    assert "must stay between" in node.hint()


def test_a_longer_move_is_the_same_path_in_more_frames(open_frontend: Open) -> None:
    frontend = open_frontend("classic")
    hand = added(frontend, {"move": "turn away and come back", "frames": 96})
    hand.button("Edit this move")
    hand.wait_for("editor.editable")
    assert rounded(hand, "frame", "yaw") == [(0, 0), (48, 120), (96, 0)]
    hand.node.evaluate(
        "node => { const w = node.widgets.find(w => w.name === 'frames'); w.value = 48; w.callback(48) }"
    )
    assert rounded(hand, "frame", "yaw") == [(0, 0), (24, 120), (48, 0)]
    hand.press("Control+z")
    assert hand.value("frames") == 96 and rounded(hand, "frame") == [(0,), (48,), (96,)]
    assert json.loads(hand.value("keyframes"))["version"] == 1

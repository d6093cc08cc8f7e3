"""Frames a second of the camera path editor while a keyframe is dragged, in a real server's page in a real browser.

The memory is 1,000 frames that a Memory Bank holds and the node has run with: no stand-in. The pointer moves once for
each frame that the page draws, and the page's own clock says when that was. ``idle`` is what the same page reaches with
nothing to do: without a graphics card the browser itself may be slower than 60 a second. ``draw_ms`` is what one redraw
of the editor costs, whatever the screen does.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dev.support.chromium import ensure_browser
from dev.support.editor_hand import EditorHand
from dev.support.frontend import Frontend, launch
from dev.support.server import HostServer

from ...memory.bank.bank import Bank
from ...memory.cameras.presets import make_preset

FRAMES, SECONDS = 1000, 4
BANK = "editor meter"
CLOCK = """() => {
  const times = window.__times = []
  const tick = now => { times.push(now); window.__clock = requestAnimationFrame(tick) }
  window.__clock = requestAnimationFrame(tick)
}"""
STOP = "() => { cancelAnimationFrame(window.__clock); return window.__times }"
# The pointer moves in the page itself: what comes from outside takes longer than a frame.
DRAG = """([root, seconds]) => new Promise(done => {
  const { parts, view, path } = root.cameraEditor
  const box = parts.map.getBoundingClientRect()
  const zoom = box.width / parts.map.clientWidth
  const one = path.values[1]
  const [x, y] = [box.left + view.x(one[0]) * zoom, box.top + view.y(one[2]) * zoom]
  const send = (type, dx, dy) => parts.map.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, clientX: x + dx, clientY: y + dy, bubbles: true, cancelable: true }))
  parts.map.setPointerCapture = () => {}
  send('pointerdown', 0, 0)
  const times = []
  const began = performance.now()
  const step = now => {
    times.push(now)
    const turn = (now - began) / 400
    send('pointermove', 60 * Math.sin(turn), 40 * Math.sin(1.3 * turn))
    if (now - began < seconds * 1000) requestAnimationFrame(step)
    else { send('pointerup', 0, 0); delete parts.map.setPointerCapture; done(times) }
  }
  requestAnimationFrame(step)
})"""
DRAW = """root => new Promise(done => {
  const editor = root.cameraEditor
  const costs = []
  const step = () => {
    editor.draft(editor.keyframes.map((one, i) => i === 1 ? { ...one, right: 0.01 * costs.length } : one))
    const began = performance.now()
    editor.drawNow(began)
    costs.push(performance.now() - began)
    if (costs.length < 60) requestAnimationFrame(step)
    else { editor.forget(); done(costs) }
  }
  requestAnimationFrame(step)
})"""


def editor_fps() -> dict[str, float]:
    """``editor_fps`` and ``editor_idle_fps`` (medians of frames a second) and ``editor_draw_ms`` in the classic
    canvas, and the same with ``_nodes2``; ``editor_memory_frames`` is how many frames the map shows meanwhile."""
    found: dict[str, float] = {"editor_memory_frames": float(FRAMES)}
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        _make_bank(base / "output" / "scene_memory")
        with (
            HostServer(python, Path(os.environ["COMFYUI_PATH"]), base=base) as server,
            launch(ensure_browser(python)) as chromium,
        ):
            for mode, ending in (("classic", ""), ("nodes2", "_nodes2")):
                page = Frontend(chromium, server, mode)  # type: ignore[arg-type]
                hand = _ready(page)
                page.page.evaluate(CLOCK)
                page.settle(SECONDS * 1000)
                found[f"editor_idle_fps{ending}"] = _rate(page.page.evaluate(STOP))
                found[f"editor_fps{ending}"] = _rate(page.page.evaluate(DRAG, [hand.root, SECONDS]))
                found[f"editor_draw_ms{ending}"] = float(np.median(page.page.evaluate(DRAW, hand.root)))
                page.close()
    return found


def _make_bank(root: Path) -> None:
    """A memory of 1,000 frames at 96 x 60 along a walk. Noise does for the pictures: a drag never shows them."""
    root.mkdir(parents=True)
    bank = Bank.create(root, BANK)
    path = make_preset("walk", frames=FRAMES, fps=8.0, amount=60.0, fov=70.0, aspect=1.6, radius=3.0)
    pictures = np.random.default_rng(0).integers(0, 255, (50, 60, 96, 3), dtype=np.uint8)
    state = bank.empty()
    for begin in range(0, FRAMES, len(pictures)):
        state = bank.append(state, frames=pictures, trajectory=path[begin : begin + len(pictures)], shot=0)


def _ready(page: Frontend) -> EditorHand:
    """The editor of a node that has run with the memory, with a drawn path of some keyframes."""
    workflow: dict[str, Any] = page.page.evaluate_handle(GRAPH, BANK)  # type: ignore[assignment]
    hand = EditorHand(page, workflow)  # type: ignore[arg-type]
    hand.look()
    page.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    hand.wait_for("editor.seen.memory", 120_000)
    hand.button("Edit this move")
    hand.wait_for("editor.editable && editor.seen.band")
    page.settle(1500)
    assert page.page.evaluate("root => root.cameraEditor.seen.memory.count", hand.root) == FRAMES
    return hand


GRAPH = """bank => {
  app.graph.clear()
  const add = (type, values, x) => {
    const node = LiteGraph.createNode(type)
    node.pos = [x, 60]
    app.graph.add(node)
    for (const [name, value] of Object.entries(values)) node.widgets.find(w => w.name === name).value = value
    return node
  }
  const memory = add('SceneMemoryBank', { name: bank, mode: 'continue' }, -800)
  const camera = add('SceneMemoryCameraTrajectory', { move: 'orbit', frames: 96, amount: 90, radius: 3 }, 60)
  const look = add('SceneMemoryFovRetriever', {}, 900)
  const show = add('PreviewImage', {}, 1300)
  const input = (node, name) => node.inputs.findIndex(i => i.name === name)
  memory.connect(0, camera, input(camera, 'memory'))
  memory.connect(0, look, input(look, 'memory'))
  camera.connect(0, look, input(look, 'trajectory'))
  look.connect(1, show, 0)
  return camera
}"""


def _rate(times: list[float]) -> float:
    return float(1000.0 / np.median(np.diff(times)))

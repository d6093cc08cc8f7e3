"""A walk: an artist's actions round the camera path editor in a random order, and after each the one question whether
what is on the screen is what ComfyUI would run."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .editor_hand import ADD, FREE, TYPE, WALKED, EditorHand
from .frontend import Frontend

VIEW = {"width": 1500, "height": 1300}
STEPS_WAIT_MS = 4000
WRONG = """async type => {
  const { output } = await app.graphToPrompt()
  const wrong = []
  const editorOf = node => node.widgets.find(w => w.name === 'camera_path').element
  const nodes = app.canvas.graph.nodes.filter(node => node.comfyClass === type)
  const elements = new Set(nodes.map(editorOf))
  for (const shown of document.querySelectorAll('.smce'))
    if (shown.checkVisibility() && !elements.has(shown)) wrong.push('the editor of a removed node is on the screen')
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)
  const numbers = ['right', 'up', 'forward', 'yaw', 'pitch', 'roll']
  const plain = list => list.map(({ frame, kind = 'through', fov = null, ...rest }) =>
    [frame, kind, fov, ...numbers.map(name => Math.round((rest[name] ?? 0) * 1e4))])
  const inFrames = (list, frames) => {
    const length = list.at(-1).frame
    return length ? list.map(one => ({ ...one, frame: Math.round(one.frame * frames / length * 1e6) / 1e6 })) : list
  }
  const isRoot = app.canvas.graph === app.rootGraph
  for (const node of nodes) {
    const editor = editorOf(node).cameraEditor
    const say = what => wrong.push(`node ${node.id}: ${what}`)
    const mine = key => isRoot ? key === String(node.id) : key.endsWith(`:${node.id}`)
    const runs = Object.entries(output).filter(([key, run]) => mine(key) && run.class_type === type)
      .map(([, run]) => run.inputs)
    if (!editor.running) say('its editor does not run')
    if (!runs.length) continue
    const { move, frames, keyframes } = runs[0]
    const decided = name => runs.every(run => same(run[name], runs[0][name])) && !Array.isArray(runs[0][name])
    if (!decided('move')) {
      if (editor.keyframes.length || !editor.node.locked) say('it shows a path though only a run knows the move')
      continue
    }
    if ((move === 'drawn') !== editor.editable) say(`drawn is ${editor.editable}, but the move that runs is ${move}`)
    if (move !== 'drawn') {
      if (!editor.opened) continue
      const names = ['frames', 'amount', 'radius', 'easing', 'fov', 'fps', 'aspect', 'speed', 'handheld']
      if (![...names, 'path_seed'].every(decided)) {
        if (editor.keyframes.length) say('it shows a move of which only a run knows all')
        continue
      }
      const settings = Object.fromEntries(names.map(name => [name, runs[0][name]]))
      const body = JSON.stringify({ ...settings, move, seed: runs[0].path_seed })
      const headers = { 'Content-Type': 'application/json' }
      const reply = await fetch('/api/scene_memory/editor/move', { method: 'POST', body, headers })
      const text = (await reply.json()).keyframes
      const meant = text ? JSON.parse(text).keyframes : []
      if (!same(plain(meant), plain(editor.keyframes))) say(`it shows ${JSON.stringify(editor.keyframes)} for ${move}`)
      continue
    }
    let meant = []
    try {
      const found = JSON.parse(keyframes || '{"version": 1, "keyframes": [{"frame": 0, "kind": "stop"}]}')
      if (found.version === 1) meant = found.keyframes
    } catch {}
    if (meant.length && decided('frames')) meant = inFrames(meant, frames)
    if (!same(plain(meant), plain(editor.keyframes)))
      say(`it shows ${JSON.stringify(editor.keyframes)}, but ${keyframes} in ${frames} frames would run`)
  }
  return wrong
}"""
"""What is wrong on the screen now, held against the prompt of ComfyUI's own page: a list of sentences."""
CAPTURE = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"
SET = """(node, [name, value]) => {
  const widget = node.widgets.find(w => w.name === name)
  widget.value = value
  widget.callback?.(value, app.canvas, node)
}"""
INTO_SUBGRAPH = """node => {
  const { node: holder } = app.graph.convertToSubgraph(new Set([node]))
  return holder.id
}"""
PROMOTE = """([id, name, value]) => {
  const holder = app.rootGraph.getNodeById(id)
  const { subgraph } = holder
  const inner = subgraph.nodes.find(node => node.comfyClass)
  const slot = inner.inputs.findIndex(input => input.name === name)
  if (slot < 0) return false
  if (!inner.isInputConnected(slot)) subgraph.addInput(name, inner.inputs[slot].type).connect(inner.inputs[slot], inner)
  const widget = holder.widgets.find(w => w.name === name)
  if (widget) widget.value = value
  return Boolean(widget)
}"""
WIRE = """(node, [type, name]) => {
  const source = LiteGraph.createNode(type)
  source.pos = [node.pos[0] - 350, node.pos[1]]
  node.graph.add(source)
  source.connect(0, node, node.inputs.findIndex(input => input.name === name))
}"""
UNWIRE = """(node, name) => node.disconnectInput(node.inputs.findIndex(input => input.name === name))"""
ENTER = "id => app.canvas.setGraph(app.rootGraph.getNodeById(id).subgraph)"
UNPACK = "id => app.rootGraph.unpackSubgraph(app.rootGraph.getNodeById(id))"
USABLE = """(root, label) =>
  [...root.querySelectorAll('button')].some(b => b.textContent === label && !b.hidden && !b.disabled)"""
WIRES = [["PrimitiveNode", "frames"], ["PrimitiveNode", "move"], ["PrimitiveInt", "frames"]]
NODES = "type => app.canvas.graph.nodes.filter(node => node.comfyClass === type).map(node => node.id)"
HOLDERS = "() => app.rootGraph.nodes.filter(node => node.subgraph).map(node => node.id)"
AT_ROOT = "() => app.canvas.graph === app.rootGraph"
PASTE = (
    """node => {
  app.canvas.copyToClipboard([node])
  app.canvas.graph_mouse = ["""
    + FREE
    + """, node.pos[1]]
  app.canvas.pasteFromClipboard()
}"""
)
DELETE = """async node => {
  app.canvas.selectNode(node)
  await app.extensionManager.command.execute('Comfy.Canvas.DeleteSelectedItems')
}"""
RELOAD = "async () => { await app.loadGraphData(JSON.parse(JSON.stringify(app.rootGraph.serialize()))) }"
TAB = """async () => {
  const { command } = app.extensionManager
  await command.execute('Comfy.NewBlankWorkflow')
  await new Promise(done => setTimeout(done, 300))
  await command.execute('Workspace.PreviousOpenedWorkflow')
}"""


class Walk:
    """`Walk(frontend, seed).go(steps)` gives what was wrong on the way: an empty list, or the steps and a sentence."""

    def __init__(self, frontend: Frontend, seed: int) -> None:
        self.frontend = frontend
        self.page = frontend.page
        self.random = Random(seed)
        self.taken: list[str] = []
        self.actions: dict[str, tuple[int, Callable[[], object]]] = {
            "add": (1, self.add),
            "draw": (5, self.draw),
            "drag": (3, self.drag),
            "key": (3, self.key),
            "new path": (1, lambda: self.press("New path")),
            "edit": (1, lambda: self.press("Edit this move")),
            "choose a move": (2, self.choose),
            "frames": (2, lambda: self.set("frames", self.random.randint(1, 200))),
            "undo": (4, lambda: self.walk("Control+z")),
            "redo": (2, lambda: self.walk("Control+Shift+Z")),
            "editor's undo": (3, lambda: self.press("↶")),
            "editor's redo": (2, lambda: self.press("↷")),
            "move the node": (1, self.shift),
            "delete": (1, lambda: self.change(DELETE)),
            "paste": (1, lambda: self.change(PASTE)),
            "wire": (1, self.wire),
            "take a wire off": (1, lambda: self.change(UNWIRE, self.random.choice(["frames", "move"]))),
            "into a subgraph": (2, self.into_subgraph),
            "enter": (3, self.enter),
            "leave": (2, self.leave),
            "unpack": (1, self.unpack),
            "promote": (4, self.promote),
            "another tab and back": (1, lambda: self.page.evaluate(TAB)),
            "reload": (1, lambda: self.page.evaluate(RELOAD)),
            "break the text": (1, lambda: self.set("keyframes", '{"version": 2, "keyframes": [{"frame": 0}]}')),
        }

    def go(self, steps: int) -> list[str]:
        self.page.set_viewport_size(VIEW)  # type: ignore[arg-type]
        self.page.wait_for_function("() => app.extensionManager.workflow.activeWorkflow?.changeTracker")
        self.leave()
        self.page.evaluate("() => app.rootGraph.clear()")
        self.page.evaluate(CAPTURE)
        self.add()
        names = list(self.actions)
        weights = [self.actions[name][0] for name in names]
        for _ in range(steps):
            (name,) = self.random.choices(names, weights)
            self.taken.append(name)
            if not self.hands() and name not in ("undo", "leave", "enter"):
                self.add()
            self.actions[name][1]()
            if wrong := self.wrong():
                return [f"after {', '.join(self.taken)}: {'; '.join(wrong)}"]
        return [f"after {', '.join(self.taken)}: {error}" for error in self.frontend.errors]

    def wrong(self) -> list[str]:
        """What is wrong on the screen, given the time that the server needs to work out a move."""
        left = STEPS_WAIT_MS
        self.page.wait_for_timeout(60)
        while (wrong := self.page.evaluate(WRONG, TYPE)) and left > 0:
            self.page.wait_for_timeout(200)
            left -= 200
        return list(wrong)

    def hands(self) -> list[int]:
        return list(self.page.evaluate(NODES, TYPE))

    def hand(self) -> EditorHand | None:
        """One of the editors in the graph that is open, in view."""
        found = self.hands()
        if not found:
            return None
        hand = EditorHand.of_node(self.frontend, self.random.choice(found), glide=2)
        hand.look(0.8, 120)
        return hand

    def opened(self) -> EditorHand | None:
        """The same with its map open."""
        hand = self.hand()
        if hand is None:
            return None
        if not hand.root.evaluate("root => root.isConnected && root.cameraEditor.opened"):
            hand.button("▸ Path")
            self.page.wait_for_timeout(400)
            assert hand.root.evaluate("root => root.cameraEditor.opened"), "▸ Path was pressed and no map is open"
        return hand

    def add(self) -> None:
        self.page.evaluate_handle(ADD, [TYPE, {}, None])
        self.page.evaluate(CAPTURE)
        self.page.wait_for_timeout(150)

    def change(self, code: str, argument: object = None) -> None:
        """Changes one of the nodes as a menu of ComfyUI would, and lets ComfyUI take note."""
        hand = self.hand()
        if hand is not None:
            hand.node.evaluate(code, argument)
            self.page.evaluate(CAPTURE)

    def set(self, name: str, value: object) -> None:
        self.change(SET, [name, value])

    def choose(self) -> None:
        self.set("move", self.random.choice(["drawn", "orbit", "pan", "dolly"]))

    def shift(self) -> None:
        self.change("node => { node.pos = [node.pos[0] + 10, node.pos[1] + 20] }")

    def draw(self) -> None:
        if hand := self.opened():
            x, y = self.spot(hand)
            self.page.mouse.dblclick(x, y)

    def drag(self) -> None:
        if hand := self.opened():
            start = self.spot(hand)
            shown: list[dict[str, Any]] = hand.shown()
            if len(shown) > 1:
                one = self.random.choice(shown[1:])
                start = hand.point(one.get("right", 0.0), one.get("forward", 0.0))
            hand.drag(start, self.spot(hand))

    def key(self) -> None:
        if hand := self.opened():
            self.page.mouse.click(*self.spot(hand))
            hand.press(*self.random.choice([("a",), (".", "ArrowUp"), (",", "e"), (".", ".", "Delete"), (".", "s")]))

    def press(self, label: str) -> None:
        hand = self.opened()
        if hand is None:
            return
        if hand.root.evaluate(USABLE, label):
            hand.button(label)
            hand.walked()

    def walk(self, keys: str) -> None:
        """ComfyUI's own undo or redo, with the keyboard on the canvas."""
        self.page.evaluate("() => document.activeElement?.blur()")
        self.page.keyboard.press(keys)
        self.page.evaluate(WALKED)

    def spot(self, hand: EditorHand) -> tuple[float, float]:
        part = hand.part(".smce-map")
        box, tries = part.bounding_box(), 50
        while box is None and tries:
            # On a busy machine the page takes a while to lay out an editor that was just opened.
            self.page.wait_for_timeout(200)
            box, tries = part.bounding_box(), tries - 1
        assert box is not None, "the editor is open and its map is nowhere"
        share = [self.random.uniform(0.15, 0.85) for _ in range(2)]
        return box["x"] + box["width"] * share[0], box["y"] + box["height"] * share[1]

    def wire(self) -> None:
        self.change(WIRE, self.random.choice(WIRES))

    def into_subgraph(self) -> None:
        if self.page.evaluate(AT_ROOT):
            self.change(INTO_SUBGRAPH)

    def enter(self) -> None:
        holders = self.page.evaluate(HOLDERS)
        if holders and self.page.evaluate(AT_ROOT):
            self.page.evaluate(ENTER, self.random.choice(holders))

    def leave(self) -> None:
        self.page.evaluate("() => app.canvas.setGraph(app.rootGraph)")

    def unpack(self) -> None:
        holders = self.page.evaluate(HOLDERS)
        if holders and self.page.evaluate(AT_ROOT):
            self.page.evaluate(UNPACK, self.random.choice(holders))
            self.page.evaluate(CAPTURE)

    def promote(self) -> None:
        holders = self.page.evaluate(HOLDERS)
        if holders:
            name, value = self.random.choice([("move", "orbit"), ("move", "drawn"), ("frames", 40), ("amount", 33.0)])
            self.page.evaluate(PROMOTE, [self.random.choice(holders), name, value])
            self.page.evaluate(CAPTURE)

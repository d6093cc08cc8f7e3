"""The camera path editor used by hand, with mouse and keys in the real page: for tests, pictures and measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from playwright.sync_api import JSHandle, Locator

from .frontend import Frontend

TYPE = "SceneMemoryCameraTrajectory"
FREE = "Math.max(60, ...app.canvas.graph.nodes.map(node => node.pos[0] + Math.max(node.size[0], 460) + 40))"
"""How far right all nodes of the open graph end, their maps open: a node that is put there lies over no other."""
ADD = (
    """([type, values, size]) => {
  const node = LiteGraph.createNode(type)
  const { graph } = app.canvas
  node.pos = ["""
    + FREE
    + """, 60]
  graph.add(node)
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets.find(widget => widget.name === name)
    widget.value = value
    widget.callback?.(value)
  }
  if (size) node.setSize(size)
  return node
}"""
)
LIVE = """(node, [graph, id]) => (app.rootGraph.subgraphs.get(graph) ?? app.rootGraph).getNodeById(id) ?? node"""
"""The node that is in this one's place now: undo makes all nodes anew."""
WALKED = """async () => {
  const frame = () => new Promise(done => requestAnimationFrame(done))
  const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker
  await frame()
  do { await frame() } while (tracker._restoringState)
  await frame()
  await frame()
}"""
UNDO_KEYS = ("z", "y")
Keyframe = dict[str, Any]


class EditorHand:
    """The editor of one node. Places are [right, forward] in scene units; the map must show them."""

    def __init__(
        self, frontend: Frontend, node: JSHandle, after: Callable[[], object] | None = None, glide: int = 6
    ) -> None:
        self.frontend = frontend
        self.page = frontend.page
        self._node = node
        self._where = node.evaluate("node => [node.graph.id, node.id]")
        self._after = after or (lambda: None)
        self._glide = glide

    @property
    def node(self) -> JSHandle:
        """The node, which ComfyUI's undo makes anew."""
        return self._node.evaluate_handle(LIVE, self._where)

    @property
    def root(self) -> Any:
        """The editor's element."""
        return self.node.evaluate_handle("node => node.widgets.find(w => w.name === 'camera_path').element")

    @classmethod
    def added(
        cls,
        frontend: Frontend,
        values: Mapping[str, Any] | None = None,
        size: tuple[int, int] | None = None,
        **how: Any,
    ) -> EditorHand:
        """The editor of a new Camera Trajectory on the canvas, shown as large as the page allows."""
        hand = cls(frontend, frontend.page.evaluate_handle(ADD, [TYPE, dict(values or {}), size]), **how)
        frontend.settle(400)
        return hand

    @classmethod
    def of_node(cls, frontend: Frontend, number: int | str, **how: Any) -> EditorHand:
        """The editor of the node with that id in the graph that is open."""
        return cls(frontend, frontend.page.evaluate_handle("id => app.canvas.graph.getNodeById(id)", number), **how)

    def look(self, scale: float = 1.0, milliseconds: int = 500) -> None:
        """Brings the node into view at a zoom, the same in every run."""
        self.node.evaluate(
            """(node, scale) => {
              app.canvas.ds.scale = scale
              app.canvas.ds.offset = [120 / scale - node.pos[0], 150 / scale - node.pos[1]]
              app.canvas.setDirty(true, true)
            }""",
            scale,
        )
        self.frontend.settle(milliseconds)

    def part(self, selector: str) -> Any:
        """One element of the editor."""
        found = self.root.query_selector(selector)
        assert found is not None, selector
        return found

    def button(self, label: str) -> None:
        """Presses the button with that label."""
        found = self.root.evaluate_handle(
            "(root, label) => [...root.querySelectorAll('button')].find(b => b.textContent === label && !b.hidden)",
            label,
        )
        self._press(found.as_element())

    def _press(self, element: Any) -> None:
        box = element.bounding_box()
        self._go(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.up()
        self._after()

    def point(self, right: float, forward: float) -> tuple[float, float]:
        """The pixel of the page at a place of the map."""
        x, y = self.root.evaluate(
            """(root, [right, forward]) => {
              const { view, parts } = root.cameraEditor
              const box = parts.map.getBoundingClientRect()
              const zoom = box.width / parts.map.clientWidth
              return [box.left + view.x(right) * zoom, box.top + view.y(forward) * zoom]
            }""",
            [right, forward],
        )
        return float(x), float(y)

    def handle(self, index: int) -> tuple[float, float]:
        """The pixel of the round handle that turns a chosen keyframe."""
        return self.handle_at(
            index, float(self.root.evaluate("(root, i) => root.cameraEditor.path.values[i][3]", index))
        )

    def handle_at(self, index: int, yaw: float) -> tuple[float, float]:
        """Where that handle is when the keyframe looks along a heading in degrees."""
        x, y = self.root.evaluate(
            """(root, [index, yaw]) => {
              const { view, parts, path } = root.cameraEditor
              const box = parts.map.getBoundingClientRect()
              const zoom = box.width / parts.map.clientWidth
              const [right, , forward] = path.values[index]
              const angle = yaw * Math.PI / 180
              return [box.left + (view.x(right) + 54 * Math.sin(angle)) * zoom,
                box.top + (view.y(forward) - 54 * Math.cos(angle)) * zoom]
            }""",
            [index, yaw],
        )
        return float(x), float(y)

    def double_click(self, right: float, forward: float) -> None:
        self._go(*self.point(right, forward))
        self.page.mouse.dblclick(*self.point(right, forward))
        self._after()

    def click(self, right: float, forward: float) -> None:
        self._go(*self.point(right, forward))
        self.page.mouse.down()
        self.page.mouse.up()
        self._after()

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int | None = None) -> None:
        """Presses at a pixel, moves to another and lets go."""
        self._go(*start)
        self.page.mouse.down()
        count = steps or self._glide
        for step in range(1, count + 1):
            share = step / count
            self.page.mouse.move(start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
            self._after()
        self.page.mouse.up()
        self._after()

    def move(self, index: int, right: float, forward: float) -> None:
        """Drags a keyframe to a place."""
        one = self.keyframes()[index]
        self.drag(self.point(one.get("right", 0.0), one.get("forward", 0.0)), self.point(right, forward))

    def turn(self, index: int, degrees: float) -> None:
        """Turns the chosen keyframe by its handle to a heading, the whole way round where that is more than half."""
        start = float(self.keyframes()[index].get("yaw", 0.0))
        x, y = self.handle(index)
        self._go(x, y)
        self.page.mouse.down()
        steps = max(2, round(abs(degrees - start) / 30.0))
        for step in range(1, steps + 1):
            self.page.mouse.move(*self.handle_at(index, start + (degrees - start) * step / steps))
            self._after()
        self.page.mouse.up()
        self._after()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            if key.startswith("Control+") and key[-1].lower() in UNDO_KEYS:
                self.walked()
            self._after()

    def walked(self) -> None:
        """Waits until ComfyUI's undo, under way since the last key or button, has made all nodes anew."""
        self.page.evaluate(WALKED)

    def set_field(self, name: str, value: float) -> None:
        """Types a number of the chosen keyframe, as one does: click, select, type, Enter."""
        self._press(self.part(f"input[data-field={name}]"))
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(f"{value:g}")
        self.page.keyboard.press("Enter")
        self._after()

    def value(self, name: str) -> Any:
        """The value of a widget of the node."""
        return self.node.evaluate("(node, name) => node.widgets.find(w => w.name === name).value", name)

    def keyframes(self) -> list[Keyframe]:
        """The drawn keyframes in the workflow; none if nothing is drawn."""
        text = self.value("keyframes")
        return list(json.loads(text)["keyframes"]) if text else []

    def shown(self) -> list[Keyframe]:
        """The keyframes that the map shows, drawn or of the ready-made move."""
        return list(self.root.evaluate("root => root.cameraEditor.keyframes"))

    def words(self) -> str:
        """What the line below the time line says."""
        self.frontend.settle(300)
        return str(self.part(".smce-now").inner_text())

    def hint(self) -> str:
        return str(self.part(".smce-hint").inner_text())

    def wait_for(self, condition: str, timeout: float = 30_000) -> None:
        """Waits until an expression of `editor` holds in the page."""
        self.page.wait_for_function(
            f"root => {{ const editor = root.cameraEditor; return {condition} }}", arg=self.root, timeout=timeout
        )

    def locator(self) -> Locator:
        """The first editor on the page."""
        return self.page.locator(".smce").first

    def _go(self, x: float, y: float) -> None:
        self.page.mouse.move(x, y, steps=self._glide)
        self._after()

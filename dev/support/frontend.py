"""ComfyUI's own page in a real browser, for tests: open it, load a workflow, read the prompt, look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from ..paths import PACK_FOLDER, ROOT
from .server import HostServer

Mode = Literal["classic", "nodes2"]
MODES: tuple[Mode, ...] = ("classic", "nodes2")
SCREENSHOTS = ROOT / "tests" / "out"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
OURS = (PACK_FOLDER, "SceneMemory", "scene_memory", "scene-memory")
# No template browser over the graph, no map in the corner, and text also on small nodes in the classic canvas.
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0}
START_MS = 90_000


@contextmanager
def launch(executable: Path) -> Iterator[Browser]:
    """A headless browser for the length of a `with`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Frontend:
    """One open page. `errors` are the console and page errors of this pack; `all_errors` has the page's own too."""

    def __init__(self, browser: Browser, server: HostServer, mode: Mode) -> None:
        self.mode = mode
        self.errors: list[str] = []
        self.all_errors: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": 1920, "height": 1080})
        self.page.on("console", self._console)
        self.page.on("pageerror", self._page_error)
        self._server = server
        self.open()

    def open(self) -> None:
        """Loads the page, a second time if something was left in it, and waits until it is ready."""
        self._server.client.settings({"Comfy.VueNodes.Enabled": self.mode == "nodes2", **SETTINGS})
        self.page.goto(self._server.url, wait_until="domcontentloaded", timeout=START_MS)
        self.page.wait_for_function(
            "window.app?.graph && window.app.canvas && Object.keys(LiteGraph.registered_node_types).length > 100",
            timeout=START_MS,
        )
        self.page.wait_for_function("!document.querySelector('.p-progressspinner')", timeout=START_MS)

    def load(self, workflow: Mapping[str, Any]) -> None:
        """Opens a saved workflow as if it were dropped on the page, and shows all of it."""
        self.page.evaluate("async (graph) => { await app.loadGraphData(graph) }", dict(workflow))
        self.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Canvas.FitView') }")
        self.settle()

    def new_workflow(self) -> None:
        """Opens an empty workflow in a tab of its own.

        After `app.graph.clear()` the page gives a new node the values of one that had its number before.
        """
        self.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.NewBlankWorkflow') }")

    def settle(self, milliseconds: int = 800) -> None:
        """Lets the page draw and its watchers run."""
        self.page.wait_for_timeout(milliseconds)

    def to_prompt(self) -> dict[str, Any]:
        """The API prompt that the frontend would queue: {node id: {class_type, inputs}}."""
        prompt: dict[str, Any] = self.page.evaluate("async () => (await app.graphToPrompt()).output")
        return {key: {name: node[name] for name in ("class_type", "inputs")} for key, node in prompt.items()}

    def to_workflow(self) -> dict[str, Any]:
        """The graph as the frontend would save it."""
        return dict(self.page.evaluate("() => app.graph.serialize()"))

    def missing_nodes(self) -> list[str]:
        """Types of nodes on the canvas that the frontend has no definition for."""
        return list(
            self.page.evaluate(
                "() => app.graph.nodes.map(n => n.type).filter(t => !(t in LiteGraph.registered_node_types))"
            )
        )

    def screenshot(self, name: str) -> Path:
        """Saves what the page shows as tests/out/NAME.png."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def close(self) -> None:
        self.page.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._error(f"{message.text} ({json.dumps(message.location)})")

    def _page_error(self, error: Error) -> None:
        self._error(f"{error.message}\n{error.stack}")

    def _error(self, text: str) -> None:
        self.all_errors.append(text)
        if any(word in text for word in OURS):
            self.errors.append(text)

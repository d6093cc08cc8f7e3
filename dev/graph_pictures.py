"""`dev.py pictures`: the graphs of workflows whose models do not come with the pack, as the page draws them.

What such a model would film cannot be shown here, and a film of its tiny stand-in is noise: the picture is the graph.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, ViewportSize

from .console import say
from .paths import ROOT
from .support.frontend import Frontend
from .support.pack import import_from_pack
from .support.server import HostServer
from .support.tiny_files import lay_out, needs_files

VIEW: ViewportSize = {"width": 2400, "height": 1500}
WIDTH, QUALITY, MARGIN = 1600, 60, 24

GRAPH = """() => {
  const boxes = [...app.graph.nodes, ...app.graph._groups].map(shown => shown.boundingRect ?? shown._bounding)
  const { scale, offset } = app.canvas.ds, canvas = app.canvas.canvas.getBoundingClientRect()
  const left = Math.min(...boxes.map(box => box[0])), top = Math.min(...boxes.map(box => box[1]))
  const right = Math.max(...boxes.map(box => box[0] + box[2])), end = Math.max(...boxes.map(box => box[1] + box[3]))
  return { x: (left + offset[0]) * scale + canvas.x, y: (top + offset[1]) * scale + canvas.y,
           width: (right - left) * scale, height: (end - top) * scale }
}"""
"""Where nodes and groups are on the page, in pixels."""


def make(python: Path, comfyui: Path, chromium: Browser) -> None:
    """A JPEG of the same name beside every workflow that needs files."""
    # The tiny models are made of ComfyUI's own classes.
    import_from_pack("dev.bench._host").load_host(cpu=True)
    with tempfile.TemporaryDirectory() as base, HostServer(python, comfyui, base=Path(base)) as server:
        for path in workflows():
            say(f"Taking the picture of {path.stem} ...")
            take(server, chromium, path)


def workflows() -> Iterator[Path]:
    """Those whose models do not come with the pack."""
    for path in sorted((ROOT / "workflows").glob("*.json")):
        if needs_files(json.loads(path.read_text(encoding="utf-8"))):
            yield path


def take(server: HostServer, chromium: Browser, path: Path) -> None:
    """The picture of one workflow."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    lay_out(workflow, server.base)
    frontend = Frontend(chromium, server, "nodes2")
    frontend.page.set_viewport_size(VIEW)
    frontend.load(workflow)
    frontend.settle(1500)
    where = frontend.page.evaluate(GRAPH)
    clip: FloatRect = {
        "x": where["x"] - MARGIN,
        "y": where["y"] - MARGIN,
        "width": where["width"] + 2 * MARGIN,
        "height": where["height"] + 2 * MARGIN,
    }
    picture = Image.open(io.BytesIO(frontend.page.screenshot(clip=clip))).convert("RGB")
    frontend.close()
    height = round(picture.height * WIDTH / picture.width)
    picture.resize((WIDTH, height), Image.Resampling.LANCZOS).save(path.with_suffix(".jpg"), quality=QUALITY)

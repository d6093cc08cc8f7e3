"""`dev.py pictures`: the pictures of README and workflows, made by running the workflows in the real frontend."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import ViewportSize

from . import editor_pictures, geometry_pictures, graph_pictures
from .console import SetupError, say
from .demo import WORKFLOW, generate, with_bank, without_memory
from .paths import DEMO, ROOT
from .support.chromium import ensure_browser
from .support.frontend import Frontend, launch
from .support.pack import import_from_pack, load_pack
from .support.server import HostServer
from .support.tiny_files import needs_files
from .support.workflow_api import to_prompt

if TYPE_CHECKING:
    from scene_memory.memory.state.state import MemoryState

Pixels = NDArray[np.uint8]
DOCS = ROOT / "docs"
VIEW: ViewportSize = {"width": 2560, "height": 1200}
LINE, GAP = 22, 4
AWAY_S = 8.0
TIMEOUT_S = 1800


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    load_pack()
    geometry_pictures.make()
    browser = ensure_browser(Path(sys.executable))
    comfyui = Path(os.environ["COMFYUI_PATH"])
    with HostServer(Path(sys.executable), comfyui, base=DEMO) as server, launch(browser) as chromium:
        for path in sorted((ROOT / "workflows").glob("*.json")):
            workflow = json.loads(path.read_text(encoding="utf-8"))
            if needs_files(workflow):
                continue
            page = Frontend(chromium, server, "nodes2")
            page.page.set_viewport_size(VIEW)
            page.load(workflow)
            say(f"Running {path.stem} in the page ...")
            run_in_page(page, server)
            page.page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Canvas.FitView') }")
            page.settle(3000)
            save_jpeg(screenshot(page), DOCS / f"{path.stem.lower().replace(',', '').replace(' ', '-')}.jpg", 1600)
            page.close()
            film = memory(server, bank_of(workflow, server))
            save_jpeg(contact_sheet(film), path.with_suffix(".jpg"), 768)
        prompt = to_prompt(json.loads(WORKFLOW.read_text(encoding="utf-8")), server.client.object_info())
        say("Running the one take again with memory off ...")
        generate(server, with_bank(without_memory(prompt), "pictures memory off"))
        films = [memory(server, bank_of(json.loads(WORKFLOW.read_text(encoding="utf-8")), server))]
        films.append(memory(server, "pictures memory off"))
        save_jpeg(comparison(films), DOCS / "revisits.jpg", 1200)
        save_loop(films, DOCS / "loop.webp")
        editor_pictures.make(server, chromium)
        graph_pictures.make(Path(sys.executable), comfyui, chromium)
    say(f"The pictures are in {DOCS} and {ROOT / 'workflows'}.")


def run_in_page(page: Frontend, server: HostServer) -> None:
    """Presses Run and waits for the end."""
    page.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    deadline = time.monotonic() + TIMEOUT_S
    page.settle(3000)
    while any((waiting := server.client.request("/queue")).values()):
        if time.monotonic() > deadline:
            raise SetupError(f"The workflow did not end within {TIMEOUT_S} s: {waiting}")
        page.settle(1000)
    page.settle(4000)


def bank_of(workflow: dict[str, Any], server: HostServer) -> str:
    """The name of the bank that a workflow writes."""
    made = to_prompt(workflow, server.client.object_info()).values()
    return str(next(node["inputs"]["name"] for node in made if node["class_type"] == "SceneMemoryBank"))


def memory(server: HostServer, bank: str) -> MemoryState:
    state: MemoryState = import_from_pack("memory.bank.bank").Bank.open(server.output / "scene_memory", bank).load()
    return state


def screenshot(page: Frontend) -> Pixels:
    return np.asarray(Image.open(page.screenshot("pictures")).convert("RGB"))


def contact_sheet(film: MemoryState, columns: int = 4) -> Pixels:
    """Frames of a film, spread evenly: a row for each shot, or three rows of a film in one take."""
    shots = import_from_pack("memory.state.frame_ranges").shot_runs(film)
    parts = [np.arange(runs[0][0], runs[-1][1]) for runs in shots.values() if runs[-1][1] - runs[0][0] >= columns]
    if len(parts) == 1:
        parts = np.array_split(parts[0], 3)
    places = (np.arange(columns) + 0.5) / columns
    rows = [film.read_frames(part[(places * len(part)).astype(int)]) for part in parts]
    return np.concatenate([np.concatenate([larger(frame, 2) for frame in row], axis=1) for row in rows])


def comparison(films: Sequence[MemoryState], columns: int = 6) -> Pixels:
    """For each film, frames before the camera left above the frames from the same poses after it returned."""
    metrics = import_from_pack("dev.metrics")
    pairs = metrics.revisit_pairs(films[0].poses, round(AWAY_S * (films[0].fps or 1)))
    chosen = [pairs[place] for place in np.linspace(0, len(pairs) - 1, columns + 2).round().astype(int)[1:-1]]
    lines = []
    for name, film in zip(("with memory", "memory off"), films, strict=True):
        for when, end in (("before the camera leaves", 0), ("after it came back to the same place", 1)):
            frames = film.read_frames([pair[end] for pair in chosen])
            line = np.concatenate([larger(frame, 2) for frame in frames], axis=1)
            lines += [caption(f"{name}: {when}", line.shape[1]), line]
    return np.concatenate(lines)


def save_loop(films: Sequence[MemoryState], path: Path) -> None:
    """Both films side by side along one excursion, as an animated picture that plays for ever."""
    first, last = excursion(films[0])
    pictures = []
    for start in range(first, last, 2):
        pair = [larger(film.read_frames([start])[0], 3) for film in films]
        gap = np.full((pair[0].shape[0], GAP, 3), 255, dtype=np.uint8)
        line = np.concatenate([pair[0], gap, pair[1]], axis=1)
        half = pair[0].shape[1] + GAP // 2
        titles = [caption("with memory", half), caption("memory off", line.shape[1] - half)]
        pictures.append(Image.fromarray(np.concatenate([np.concatenate(titles, axis=1), line])))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=90, loop=0, quality=72, method=6)


def excursion(film: MemoryState) -> tuple[int, int]:
    """First and last frame of the turn away and back: the longest stretch between equal poses without moving off."""
    metrics = import_from_pack("dev.metrics")
    places = film.poses[:, :3, 3]
    best = (0, film.frames)
    longest = 0
    for i, j in metrics.revisit_pairs(film.poses, round(AWAY_S * (film.fps or 1))):
        if np.ptp(places[i : j + 1], axis=0).max() < 1e-6 and longest < j - i < 200:
            best, longest = (i, j + 1), j - i
    return best


def larger(frame: Pixels, times: int) -> Pixels:
    height, width = frame.shape[:2]
    return np.asarray(cv2.resize(frame, (width * times, height * times), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def caption(text: str, width: int) -> Pixels:
    strip = np.full((LINE, width, 3), 250, dtype=np.uint8)
    cv2.putText(strip, text, (6, LINE - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (30, 30, 30), 1, cv2.LINE_AA)
    return strip


def save_jpeg(pixels: Pixels, path: Path, width: int) -> None:
    picture = Image.fromarray(pixels)
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, quality=88)


if __name__ == "__main__":
    main()

"""`dev.py pictures`: the camera path editor, in both canvases, and a film of the demo's path rebuilt in it by hand."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, FloatRect

from .console import SetupError, say
from .demo import WORKFLOW
from .paths import ROOT
from .support.editor_hand import TYPE, EditorHand
from .support.frontend import MODES, Frontend
from .support.pack import import_from_pack
from .support.server import HostServer

DOCS = ROOT / "docs"
SIZE = (620, 1000)
MARGIN = 16
FRAMES = 40
TURNS = 50
"""Frames and degrees of each move of the film that the picture shows."""
MOST_SECONDS = 60.0
FILM_WIDTH, FILM_MS = 480, 40
LATER_S = 600


def make(server: HostServer, chromium: Browser) -> None:
    """docs/editor-classic.jpg, docs/editor-nodes2.jpg and docs/editor.webp."""
    DOCS.mkdir(exist_ok=True)
    film_of_the_demo(server, chromium, DOCS / "editor.webp")
    for mode in MODES:
        say(f"Taking the editor's picture ({mode}) ...")
        picture_after_a_run(Frontend(chromium, server, mode), DOCS / f"editor-{mode}.jpg")


def picture_after_a_run(frontend: Frontend, path: Path) -> None:
    """The editor of the node that looks on from the end of a film along the demo's moves, with all of its frames."""
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == TYPE and node["widgets_values"][1] > FRAMES:
            # A shorter film that does not look everywhere, so that there is something it has not seen.
            node["widgets_values"][1] = FRAMES
            node["widgets_values"][2] = max(-TURNS, min(TURNS, node["widgets_values"][2]))
        if node["type"] == "SceneMemoryBank":
            node["widgets_values"][0] = f"editor {frontend.mode}"
    frontend.page.set_viewport_size({"width": 1600, "height": 1300})
    frontend.load(workflow)
    (last,) = [node["id"] for node in workflow["nodes"] if node.get("title", "").startswith("If it looked")]
    hand = EditorHand.of_node(frontend, last)
    frontend.page.evaluate("async () => { await app.queuePrompt(0, 1) }")
    hand.wait_for("editor.seen.memory", LATER_S * 1000)
    # Away from the other nodes, which would lie over it.
    hand.node.evaluate("(node, size) => { node.pos = [0, 3000]; node.setSize(size) }", list(SIZE))
    hand.look()
    hand.button("▸ Path")
    hand.wait_for("editor.path.length")
    hand.button("New path")
    hand.button("Fit")
    for right, forward, yaw in ((0.6, 0.6, 45), (1.2, 1.0, 150)):
        hand.double_click(right, forward)
        hand.set_field("yaw", yaw)
    hand.set_field("up", 0.4)
    hand.set_field("pitch", -12)
    hand.node.evaluate("(node, size) => node.setSize(size)", list(SIZE))
    frontend.settle(1500)
    frontend.page.evaluate("root => root.cameraEditor.goTo(12)", hand.root)
    places = hand.root.evaluate(
        "root => { const m = root.cameraEditor.seen.memory; return [[...m.right], [...m.forward]] }"
    )
    frontend.page.mouse.move(*hand.point(places[0][20], places[1][20]))
    frontend.settle(1500)
    shot = Image.open(io.BytesIO(frontend.page.screenshot(clip=around(hand)))).convert("RGB")
    shot.save(path, quality=88)
    frontend.close()


def around(hand: EditorHand) -> FloatRect:
    """The part of the page with the node."""
    x, y, width, height = hand.node.evaluate(
        """node => {
          const shown = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
          if (shown) return [shown.x, shown.y, shown.width, shown.height]
          const { scale, offset } = app.canvas.ds
          const page = app.canvas.canvas.getBoundingClientRect()
          return [page.left + (node.pos[0] + offset[0]) * scale, page.top + (node.pos[1] + offset[1] - 30) * scale,
            node.size[0] * scale, (node.size[1] + 60) * scale]
        }"""
    )
    return {
        "x": max(0.0, x - MARGIN),
        "y": max(0.0, y - MARGIN),
        "width": width + 2 * MARGIN,
        "height": height + 2 * MARGIN,
    }


def film_of_the_demo(server: HostServer, chromium: Browser, path: Path) -> dict[str, float]:
    """Rebuilds the minute-long path of the demo by hand, films it, and says how long it took and how near it came.

    Raises:
        SetupError: it took a minute or more, or missed the path.
    """
    frontend = Frontend(chromium, server, "classic")
    frontend.page.set_viewport_size({"width": 1600, "height": 1300})  # what the page lays over the graph stands aside
    frontend.page.evaluate("() => app.graph.clear()")
    pictures: list[tuple[float, Image.Image]] = []
    began = 0.0

    def snap() -> None:
        if began and (not pictures or time.monotonic() - began - pictures[-1][0] > 0.15):
            raw = frontend.page.screenshot(clip=around(hand), type="jpeg", quality=90)
            pictures.append((time.monotonic() - began, Image.open(io.BytesIO(raw)).convert("RGB")))

    hand = EditorHand.added(frontend, {"fps": 8, "radius": 1.5}, size=SIZE, after=snap)
    hand.look()
    hand.node.evaluate("node => app.canvas.deselectAll()")
    began = time.monotonic()
    rebuild(hand)
    seconds = time.monotonic() - began
    for _ in range(24):
        frontend.settle(120)
        snap()
    missed = apart(hand)
    frontend.close()
    save_film(pictures, path)
    say(f"The demo's path, rebuilt by hand in {seconds:.0f} s, off by at most {missed['units']:.2f} units and "
        f"{missed['degrees']:.1f} degrees: {path}")  # fmt: skip
    if seconds >= MOST_SECONDS or missed["units"] > 0.1 or missed["degrees"] > 3.0:
        raise SetupError(f"The path was not rebuilt in a minute: {seconds:.0f} s, {missed}.")
    return {"seconds": seconds, **missed}


def rebuild(hand: EditorHand) -> None:
    """The demo's path by hand: round a bend and back, turn away and back, all the way round: 480 frames, one minute."""
    hand.button("▸ Path")
    hand.wait_for("editor.path.length")
    hand.button("New path")
    for right, forward, yaw, frame in ((0.2, 0.75, 30, 45), (0.75, 1.3, 60, 90)):
        hand.double_click(right, forward)
        hand.set_field("right", right)
        hand.set_field("forward", forward)
        hand.set_field("yaw", yaw)
        hand.set_field("frame", frame)
    for (right, forward), frame in (((0.2, 0.75), 135), ((0.0, 0.0), 180)):
        hand.double_click(right, forward)
        hand.set_field("frame", frame)
    for yaw, frame in ((-140, 260), (0, 340), (360, 480)):
        hand.button("+ Add")
        hand.turn(len(hand.shown()) - 1, yaw)
        hand.set_field("frame", frame)
    hand.button("Fit")
    hand.button("▶")


def apart(hand: EditorHand) -> dict[str, float]:
    """How far the rebuilt path is from the demo's, at worst, in scene units and degrees."""
    keyframes = import_from_pack("memory.cameras.keyframes")
    drawn = import_from_pack("memory.cameras.keyframe_path").drawn_path(
        keyframes.parse_keyframes(hand.value("keyframes")), frames=481, fps=8.0, fov=70.0, aspect=1.6
    )
    demo = demo_path()
    turn = np.swapaxes(drawn.poses[:, :3, :3], 1, 2) @ demo[:, :3, :3]
    angles = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)))
    units = np.linalg.norm(drawn.poses[:, :3, 3] - demo[:, :3, 3], axis=1)
    return {"units": float(units.max()), "degrees": float(angles.max())}


def demo_path() -> NDArray[np.float64]:
    """Poses (481, 4, 4) of the moves of the demo's workflow, one after the other, from the start."""
    presets = import_from_pack("memory.cameras.presets")
    poses = np.eye(4)[None]
    workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] == TYPE and str(node.get("title", ""))[:1].isdigit():
            move, frames, amount, radius, easing, fov, fps, aspect = node["widgets_values"][:8]
            path = presets.make_preset(
                move, frames=frames + 1, fps=fps, amount=amount, fov=fov, aspect=aspect, easing=easing, radius=radius
            )
            poses = np.concatenate([poses, path.after(poses[-1]).poses[1:]])
    return np.asarray(poses, dtype=np.float64)


def save_film(pictures: list[tuple[float, Image.Image]], path: Path) -> None:
    """The pictures as an animation at the speed at which they were taken."""
    times = [taken for taken, _ in pictures]
    lasts = [
        max(FILM_MS, round(1000 * (after - taken)))
        for taken, after in zip(times, [*times[1:], times[-1] + 2.0], strict=True)
    ]
    width = max(picture.width for _, picture in pictures)
    height = max(picture.height for _, picture in pictures)
    small = []
    for _, picture in pictures:
        # The node grows when the map is opened: all pictures are as large as the largest.
        page = Image.new("RGB", (width, height), picture.getpixel((2, 2)))
        page.paste(picture, (0, 0))
        small.append(page.resize((FILM_WIDTH, round(height * FILM_WIDTH / width)), Image.Resampling.LANCZOS))
    small[0].save(path, save_all=True, append_images=small[1:], duration=lasts, loop=0, quality=45, method=4)

"""`dev.py pictures`: the pictures of docs/geometry.md, of a room that is drawn by the world's own renderer.

They are made by the library alone, without ComfyUI: photographs become memory, and a new path is shown as it knows it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .console import say
from .paths import ROOT
from .support.pack import import_from_pack

if TYPE_CHECKING:
    from scene_memory.memory.cameras.trajectory import Trajectory
    from scene_memory.memory.geometry.view import View
    from scene_memory.memory.state.state import MemoryState

Pixels = NDArray[np.uint8]
DOCS = ROOT / "docs"
SEED, PHOTOGRAPHS, FRAMES, COLUMNS = 7, 24, 96, 6
SIZE = (160, 256)
GAP, LINE = 4, 22
WIDTH, QUALITY = 1560, 82
KEYFRAMES = (
    {"frame": 0}, {"frame": 30, "right": 0.8, "forward": 0.5, "yaw": 60},
    {"frame": 60, "right": 1.2, "forward": -0.6, "yaw": 165},
    {"frame": 95, "right": 0.3, "up": 0.25, "forward": -0.5, "yaw": 285, "pitch": -8},
)  # fmt: skip
"""The path of the template *A place that was photographed*."""


def make() -> None:
    """docs/geometry-views.jpg, docs/geometry-fills.jpg and docs/geometry-known.png."""
    say("Drawing the pictures of docs/geometry.md ...")
    presets = import_from_pack("memory.cameras.presets")
    around = presets.make_preset(
        "loop", frames=PHOTOGRAPHS, fps=8.0, amount=360.0, radius=0.7, fov=70.0, aspect=SIZE[1] / SIZE[0]
    )
    photographs, depth = rendered(around)
    moments = np.linspace(0, FRAMES - 1, COLUMNS).round().astype(int)
    views = import_from_pack("memory.geometry.memory_view")
    with tempfile.TemporaryDirectory() as folder:
        deep = remembered(Path(folder), "deep", photographs, around, depth)
        flat = remembered(Path(folder), "flat", photographs, around, None)
        path = drawn(deep.last_pose)
        shown, without = viewed(deep, path), viewed(flat, path)
        truth, _ = rendered(path)
        fills = [(f"fill: {one}", viewed(deep, path, fill=one, grow=2).pictures[moments[1:4]]) for one in views.FILLS]
    sheet = [
        ("photographs, six of 24, with their cameras and depth", photographs[:: PHOTOGRAPHS // COLUMNS]),
        ("a new path through the room, as the memory knows it; grey was seen by none", shown.pictures[moments]),
        ("the mask: white is unknown, and left to the model", as_grey(~shown.known[moments])),
        ("the same path without depth: frames are only turned, where the camera has not moved",
         without.pictures[moments]),
        ("the truth", truth[moments]),
    ]  # fmt: skip
    save(rows(sheet), DOCS / "geometry-views.jpg")
    save(rows(fills), DOCS / "geometry-fills.jpg")
    picture = import_from_pack("memory.pictures.picture_of_view")
    shares = views.known_shares(shown)
    curve = picture.view_picture(shares, path.fps, list(shown.pictures[picture.chosen_moments(FRAMES)]))
    Image.fromarray(curve).save(DOCS / "geometry-known.png", optimize=True)


def rendered(path: Trajectory) -> tuple[Pixels, NDArray[np.float32]]:
    """Pictures (F, H, W, 3) and z-depth (F, H, W) of the room along a path."""
    render, scenes = import_from_pack("world.render"), import_from_pack("world.scenes")
    room, pictures, depth = scenes.make_scene(SEED, "room"), [], []
    for start in range(0, len(path), 4):
        part = path[start : start + 4]
        made = render.render_with_depth(room, part.poses, part.intrinsics, SIZE[1], SIZE[0], supersample=2)
        pictures.append(np.asarray(made[0], dtype=np.uint8))
        depth.append(made[1].numpy())
    return np.concatenate(pictures), np.concatenate(depth)


def remembered(
    folder: Path, name: str, pictures: Pixels, cameras: Trajectory, depth: NDArray[np.float32] | None
) -> MemoryState:
    """Pictures (F, H, W, 3) with z-depth (F, H, W), or without, as a memory in a bank of its own."""
    bank = import_from_pack("memory.bank.bank").Bank.create(folder, name)
    state: MemoryState = bank.append(bank.empty(), frames=pictures, trajectory=cameras, shot=0, depth=depth)
    return state


def drawn(begin: NDArray[np.float64]) -> Trajectory:
    """The template's path, from the pose (4, 4) of the newest photograph."""
    keyframes = import_from_pack("memory.cameras.keyframes").Keyframe
    path: Trajectory = import_from_pack("memory.cameras.keyframe_path").drawn_path(
        [keyframes(**one) for one in KEYFRAMES], frames=FRAMES, fps=8.0, fov=70.0, aspect=SIZE[1] / SIZE[0]
    )
    return path.after(begin)


def viewed(state: MemoryState, path: Trajectory, **settings: Any) -> View:
    """The whole path as a memory knows it."""
    views = import_from_pack("memory.geometry.memory_view")
    retriever = import_from_pack("memory.retrieval.settings").RetrievalSettings(k=8)
    parts = list(views.memory_view(state, path, retriever, views.ViewSettings(**settings)))
    whole: View = import_from_pack("memory.geometry.view").View(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("pictures", "confidence", "depth", "source"))
    )  # fmt: skip
    return whole


def as_grey(mask: NDArray[np.bool_]) -> Pixels:
    """Masks (n, H, W) as pictures (n, H, W, 3)."""
    return np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=-1)


def rows(sheet: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Pictures (n, H, W, 3) beside each other, a row for each caption."""
    pictures = import_from_pack("memory.pictures.drawing")
    lines: list[Pixels] = []
    for caption, row in sheet:
        parts = [np.pad(one, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for one in row]
        line = np.concatenate(parts, axis=1)
        strip = np.full((LINE, line.shape[1], 3), 255, dtype=np.uint8)
        pictures.write(strip, caption, (4, LINE - 6), (30, 30, 30), 1.2)
        lines += [strip, line]
    return np.concatenate(lines)


def save(pixels: Pixels, path: Path) -> None:
    picture = Image.fromarray(pixels)
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, quality=QUALITY)

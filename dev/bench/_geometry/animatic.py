"""How long Memory View takes from click to picture: the node itself, in this process, without the network."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ....memory.bank.bank import Bank
from ....memory.cameras.presets import make_preset
from ....memory.cameras.trajectory import Trajectory
from ....memory.geometry.memory_view import FULL, HALF
from ....memory.retrieval.settings import RetrievalSettings
from ....memory.state.state import MemoryState
from ....world.render import render_with_depth
from ....world.scenes import make_scene
from .._host import load_host

SEED = 9201
PHOTOGRAPHS, FPS, SECONDS, K = 24, 8.0, 10, 6
WIDTH, HEIGHT = 832, 480


def figures(repeats: int = 3) -> dict[str, float]:
    """Seconds to the first preview and to the end, of a path of SECONDS in a place that was photographed from where it
    begins: the best of so many runs, each with nothing read before. ``animatic_s`` is of half the detail, as one looks
    for a path; ``animatic_full_s`` of the whole, as a model is given it."""
    load_host(cpu=True)
    with tempfile.TemporaryDirectory() as folder:
        state = photographed(Path(folder))
        half, full = ([_viewed(state, detail) for _ in range(repeats)] for detail in (HALF, FULL))
    return {
        "animatic_first_s": min(run[0] for run in half),
        "animatic_s": min(run[1] for run in half),
        "animatic_full_first_s": min(run[0] for run in full),
        "animatic_full_s": min(run[1] for run in full),
        "animatic_known_share": full[0][2],
    }


def photographed(folder: Path) -> MemoryState:
    """A room in a bank, photographed all around from one place, with depth."""
    around, scene = _path("look around", PHOTOGRAPHS, 345.0), make_scene(SEED, "room")
    bank, state = Bank.create(folder, "room"), None
    for start in range(0, PHOTOGRAPHS, 4):
        part = around[start : start + 4]
        pictures, depth = render_with_depth(scene, part.poses, part.intrinsics, WIDTH, HEIGHT, supersample=1)
        frames = np.asarray(pictures, dtype=np.uint8)
        state = bank.append(state or bank.empty(), frames=frames, trajectory=part, shot=0, depth=depth.numpy())
    assert state is not None
    return state


def _viewed(state: MemoryState, detail: str) -> tuple[float, float, float]:
    """Seconds to the first preview, seconds in all, and the share of the pictures that is known."""
    import comfy.utils

    from ....nodes.remember.memory_view import MemoryView

    begun, first = time.perf_counter(), []

    def on_progress(value: int, total: int, preview: Any, **_: Any) -> None:
        if preview is not None and not first:
            first.append(time.perf_counter() - begun)

    comfy.utils.set_progress_bar_global_hook(on_progress)
    try:
        path = _path("walk", round(SECONDS * FPS), 0.5)
        result = MemoryView.execute(
            state, path, segment_frames=16, width=0, height=0, fill="grey", grow=4, depth_edges=0,
            detail=detail, retriever=RetrievalSettings(k=K),
        )
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    return first[0], time.perf_counter() - begun, float(1 - result.result[1].mean())


def _path(move: str, frames: int, amount: float) -> Trajectory:
    return make_preset(move, frames=frames, fps=FPS, amount=amount, fov=70.0, aspect=WIDTH / HEIGHT)

"""Small real memories: a seeded film of noise along a camera path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.state import MemoryState, SegmentRecord


@pytest.fixture
def move() -> Callable[..., Trajectory]:
    """A preset with short defaults: ``move("pan", 12, amount=45)``."""

    def make(name: str = "turn away and come back", frames: int = 24, amount: float = 90.0) -> Trajectory:
        return make_preset(name, frames=frames, fps=8.0, amount=amount, fov=60.0, aspect=1.6)

    return make


@pytest.fixture
def pictures() -> Callable[..., NDArray[np.uint8]]:
    """Noise frames (F, 6, 10, 3): no two alike."""

    def make(frames: int, seed: int = 0, height: int = 6, width: int = 10) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank.create(tmp_path / "banks", "film")


@pytest.fixture
def filmed(move: Callable[..., Trajectory], pictures: Callable[..., NDArray[np.uint8]]) -> Callable[..., MemoryState]:
    """Appends ``segments`` segments of four frames along one path to a bank."""

    def make(bank: Bank, segments: int = 3, seed: int = 0) -> MemoryState:
        path, state = move("pan", 4 * segments), bank.load()
        for i in range(segments):
            state = bank.append(
                state, frames=pictures(4, 100 * seed + i), trajectory=path[4 * i : 4 * i + 4], shot=i // 2,
                prompt=f"segment {i}", info={"seed": seed},
            )
        return state

    return make


@pytest.fixture
def remembered() -> Callable[..., MemoryState]:
    """A memory of cameras only, made of one segment a path."""

    def make(*paths: Trajectory) -> MemoryState:
        state = MemoryState()
        for shot, path in enumerate(paths):
            record = SegmentRecord(
                id=f"{shot + 1:064x}", parent=state.id, start=state.frames, frames=len(path), shot=shot, prompt="",
                size=(6, 10), fps=path.fps,
            )
            state = state.with_segment(record, path.poses, path.intrinsics)
        return state

    return make

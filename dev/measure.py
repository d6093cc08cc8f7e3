"""Figures of a finished film, read from its bank and its video file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from .console import SetupError
from .support.pack import import_from_pack, load_pack

if TYPE_CHECKING:
    from scene_memory.memory.state.state import MemoryState

AWAY_S = 5.0
AT_A_TIME = 64


@dataclass(frozen=True)
class Film:
    """What a bank holds. `revisit_psnr` in dB compares frames at one pose before the camera left and after it returned;
    `motion` is the mean absolute difference between neighbouring frames, 0 to 1."""

    frames: int
    segments: int
    motion: float
    revisits: int
    revisit_psnr: float


def measure_bank(root: Path, name: str) -> Film:
    """Measures the bank `name` below `root`."""
    load_pack()
    state: MemoryState = import_from_pack("memory.bank.bank").Bank.open(root, name).load()
    metrics = import_from_pack("dev.metrics")
    pairs = metrics.revisit_pairs(state.poses, round(AWAY_S * (state.fps or 1)))
    if not pairs:
        raise SetupError(
            f"The camera of the bank {name!r} never returns to a pose after {AWAY_S:g} s or more: nothing to compare."
        )
    wanted = sorted({frame for pair in pairs for frame in pair})
    place = {frame: position for position, frame in enumerate(wanted)}
    pictures = state.read_frames(wanted)
    return Film(
        frames=state.frames,
        segments=len(state.segments),
        motion=film_motion(state),
        revisits=len(pairs),
        revisit_psnr=float(metrics.revisit_psnr(pictures, [(place[i], place[j]) for i, j in pairs])),
    )


def film_motion(state: MemoryState) -> float:
    """Mean absolute difference between neighbouring frames, read a few at a time."""
    metrics = import_from_pack("dev.metrics")
    total, steps = 0.0, max(1, state.frames - 1)
    for start in range(0, steps, AT_A_TIME):
        stop = min(start + AT_A_TIME + 1, state.frames)
        total += float(metrics.motion(state.read_frames(np.arange(start, stop)))) * (stop - start - 1)
    return float(total / steps)


def video_seconds(path: Path) -> float:
    """The length of a video by its own clock."""
    with av.open(str(path)) as container:
        return float(container.duration or 0) / av.time_base

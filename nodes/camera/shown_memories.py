"""What the camera path editor may look at: the memories that a Camera Trajectory of this server has been given.

A memory is named by its id, a sha256 of all that it holds, so a page can ask for exactly the memory that its node ran
with, also when the bank has gone on since, and for nothing that no graph of this server has used.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from ...memory.cameras.camera import FloatArray
from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.distances import distances
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.state import MemoryState

KEPT = 64
VIEWS = 48
"""Along a path, of which the editor asks how much was seen; fewer where depth makes each dearer."""


class ShownMemories:
    """The memories shown last, by id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: OrderedDict[str, MemoryState] = OrderedDict()

    def add(self, state: MemoryState) -> None:
        with self._lock:
            self._states[state.id] = state
            self._states.move_to_end(state.id)
            while len(self._states) > KEPT:
                self._states.popitem(last=False)

    def get(self, memory: str) -> MemoryState | None:
        with self._lock:
            return self._states.get(memory)


SHOWN = ShownMemories()


def path_info(
    path: Trajectory, start: FloatArray, continues: bool, memory: MemoryState | None
) -> dict[str, list[dict[str, Any]]]:
    """What a node tells the editor after a run: where the path begins (3 x 4, row by row), its clock, the memory's id,
    the distances that its retrieval would use along this path, and how many views the editor shall ask for."""
    info: dict[str, Any] = {
        "start": np.asarray(start, dtype=np.float64)[:3].ravel().tolist(),
        "continues": continues,
        "frames": len(path),
        "fps": path.fps,
        "aspect": float(path.intrinsics[-1, 1] / path.intrinsics[-1, 0]),
    }
    if memory is not None and memory.frames:
        SHOWN.add(memory)
        size = distances(memory, path, RetrievalSettings())
        info["memory"] = {
            "id": memory.id,
            "bank": memory.bank.name if memory.bank else "",
            "frames": memory.frames,
            "scale": size.scale,
            "near": size.near,
            "depth": size.depth,
            "far": size.far,
            "size": size.size,
            "sure": size.sure,
            "views": VIEWS // 2 if memory.has_depth else VIEWS,
        }
    return {"scene_memory_path": [info]}

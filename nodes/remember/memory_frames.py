"""Memory Frames: pictures out of a memory, with their cameras."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io
from numpy.typing import NDArray

from ...memory.cameras.pacing import spread
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.frame_ranges import frame_runs, indices_of, runs_of, runs_text
from ...memory.state.state import MemoryState
from ..inputs import frames_text
from ..messages import say
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory, SceneTrajectory


class MemoryFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryFrames",
            display_name="Memory Frames",
            category=f"{CATEGORY}/memory",
            description="Takes frames out of a memory as pictures, for any node that works on images, and the cameras "
            "that took them. Remember Pictures brings them into another memory.",
            search_aliases=["get frames", "extract images", "last frame"],
            inputs=[
                SceneMemory.Input("memory", tooltip="Where to look. Recommended: the last Shot Generator's memory."),
                frames_text("last 8"),
                io.Int.Input(
                    "at_most",
                    default=64,
                    min=1,
                    max=4096,
                    tooltip="If more frames are named, this many of them are taken, evenly spread: pictures take much "
                    "RAM. Recommended: 64.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames, in the order of the film."),
                SceneTrajectory.Output(display_name="trajectory", tooltip="The cameras that took them."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, memory: MemoryState, frames: str, at_most: int) -> io.NodeOutput:
        named = indices_of(frame_runs(frames, memory))
        chosen = named[spread(len(named), at_most)]
        if memory.bank is not None and not memory.bank.kept(memory, chosen).all():
            there = _with_pictures(memory, named)
            say(cls, f"{len(named) - len(there)} of {len(named)} frames have no picture any more and are left out")
            chosen = there[spread(len(there), at_most)]
        assert memory.fps is not None
        cameras = Trajectory(*memory.cameras(chosen), memory.fps, "memory")
        return io.NodeOutput(to_image(memory.read_frames(chosen)), cameras)


def _with_pictures(memory: MemoryState, named: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frames among ``named`` whose pictures were not dropped to keep the bank within its size."""
    assert memory.bank is not None
    there: NDArray[np.int64] = named[memory.bank.kept(memory, named)]
    if not len(there):
        raise ValueError(
            f"The pictures of the frames named ({runs_text(runs_of(named), 4)}) were dropped to keep the bank "
            "within max_size_gb. Name other frames, or 'all' for those that are left."
        )
    return there

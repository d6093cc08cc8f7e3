"""Memory Frames: pictures out of a memory, with their cameras."""

from __future__ import annotations

from comfy_api.latest import io

from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.picture_of_bank import spread
from ...memory.state.frame_ranges import frame_runs, indices_of
from ...memory.state.state import MemoryState
from ..inputs import frames_text
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory, SceneTrajectory


class MemoryFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryFrames",
            display_name="Memory Frames",
            category=CATEGORY,
            description="Takes frames out of a memory as pictures, for any node that works on images, and the cameras "
            "that took them. To bring a picture back in, use it as the start image of a Memory Bank.",
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
        )

    @classmethod
    def execute(cls, memory: MemoryState, frames: str, at_most: int) -> io.NodeOutput:
        named = indices_of(frame_runs(frames, memory))
        chosen = named[spread(len(named), at_most)]
        assert memory.fps is not None
        cameras = Trajectory(*memory.cameras(chosen), memory.fps, "memory")
        return io.NodeOutput(to_image(memory.read_frames(chosen)), cameras)

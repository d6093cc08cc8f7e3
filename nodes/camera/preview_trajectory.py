"""Preview Trajectory: a camera path from above, from the side and in perspective."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io, ui

from ...memory.cameras.pacing import spread
from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.picture_of_trajectory import figures, trajectory_picture
from ...memory.state.state import MemoryState
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory, SceneTrajectory

MOST_SEEN = 500


class PreviewTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryPreviewTrajectory",
            display_name="Preview Trajectory",
            category=f"{CATEGORY}/camera",
            description="Shows a camera path from above, from the side and in perspective, with its length, turning "
            "and lens, and where the memory has been.",
            search_aliases=["camera path", "show camera", "plot poses", "map"],
            inputs=[
                SceneTrajectory.Input("trajectory", tooltip="The camera path. Recommended: that of the next shot."),
                SceneMemory.Input(
                    "memory",
                    optional=True,
                    tooltip="Its cameras are shown in grey. Recommended: connect what the shot continues.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="picture", tooltip="The three views, and the figures."),
                io.String.Output(display_name="text", tooltip="The figures in words."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, trajectory: Trajectory, memory: MemoryState | None = None) -> io.NodeOutput:
        seen = None
        if memory is not None and memory.frames > 0:
            seen = memory.cameras(spread(memory.frames, MOST_SEEN))
        picture = to_image(np.ascontiguousarray(trajectory_picture(trajectory, seen))[None])
        return io.NodeOutput(picture, figures(trajectory), ui=ui.PreviewImage(image=picture, cls=cls))

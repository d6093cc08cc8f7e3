"""Story Camera: stands still where the story is, or at a place of its own after a cut."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io

from ...memory.cameras.camera import intrinsics_from_fov
from ...memory.cameras.presets import PRESETS, make_preset
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState
from ..camera.path_inputs import rate_and_aspect
from ..inputs import field_of_view, frame_rate
from ..types import CATEGORY, SceneMemory, SceneTrajectory

STILL = "static"
APART = 1000.0
"""Scene units from one place to the next: far enough that no view of one holds anything of another."""


class StoryCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryStoryCamera",
            display_name="Story Camera",
            category=f"{CATEGORY}/story",
            description="The camera of a shot in a story. It stands still, as far as the memory knows, where the "
            "prompt moves it; or it makes a move. After a cut it stands elsewhere, so that the shot does not begin "
            "with the newest picture.",
            search_aliases=["cut", "still camera", "StoryMem"],
            inputs=[
                SceneMemory.Input("memory", tooltip="The memory before the shot. Recommended: as for Shot Generator."),
                io.Boolean.Input(
                    "cut",
                    default=True,
                    tooltip="Whether a cut comes before this shot. Off lets it go on from the newest picture. "
                    "Recommended: as the story says.",
                ),
                io.Int.Input(
                    "frames", default=81, min=1, max=1001, tooltip="New frames of the shot. Recommended: 81, then 80."
                ),
                field_of_view("Horizontal field of view in degrees. Recommended: 70."),
                frame_rate(
                    "Frames a second, while nothing is remembered; after that the memory's own. Recommended: 16."
                ),
                io.Float.Input(
                    "aspect",
                    default=1.733,
                    min=0.1,
                    max=10.0,
                    step=0.001,
                    tooltip="Width divided by height, while nothing is remembered; after that the memory's own. "
                    "Recommended: 1.733 for 832 x 480.",
                ),
                io.Combo.Input(
                    "move",
                    options=list(PRESETS),
                    default=STILL,
                    optional=True,
                    tooltip="What the camera does, as in Camera Trajectory. Recommended: static where the prompt moves "
                    "the camera; a move for models that obey one.",
                ),
                io.Float.Input(
                    "amount",
                    default=0.0,
                    min=-3600.0,
                    max=3600.0,
                    step=0.5,
                    optional=True,
                    tooltip="How far the move goes, in degrees or scene units. Recommended: 30 degrees, or 1 unit.",
                ),
            ],
            outputs=[SceneTrajectory.Output(display_name="trajectory", tooltip="The camera, for Shot Generator.")],
        )

    @classmethod
    def execute(
        cls,
        memory: MemoryState,
        cut: bool,
        frames: int,
        fov: float,
        fps: float,
        aspect: float,
        move: str = STILL,
        amount: float = 0.0,
    ) -> io.NodeOutput:
        """Raises ValueError for a move that cannot be made of so few frames or goes so far."""
        rate, shape = rate_and_aspect(memory)
        fps, aspect = rate or fps, shape or aspect
        pose = memory.last_pose.copy()
        if cut and memory.frames:
            pose = np.eye(4)
            pose[0, 3] = APART * memory.shots
        if move == STILL:
            poses = np.repeat(pose[None], frames, axis=0)
            intrinsics = np.repeat(intrinsics_from_fov(fov, aspect)[None], frames, axis=0)
            return io.NodeOutput(Trajectory(poses, intrinsics, fps, "story"))
        # A move that goes on leaves out its first camera: that picture is there already.
        before = int(memory.frames > 0 and not cut)
        path = make_preset(move, frames=frames + before, fps=fps, amount=amount, fov=fov, aspect=aspect)
        return io.NodeOutput(path.after(pose)[before:])

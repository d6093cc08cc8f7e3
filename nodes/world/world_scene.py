"""World Scene: pictures, depth and a caption of the procedural worlds that the bundled model learned from."""

from __future__ import annotations

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io

from ...memory.cameras.camera import intrinsics_from_fov
from ...memory.cameras.trajectory import Trajectory
from ...world.render import render_with_depth
from ...world.scenes import PLACES, make_scene
from ..inputs import field_of_view, fixed_seed, world_side
from ..types import CATEGORY, SceneTrajectory

SUPERSAMPLE = 3
WHITE_IS = 20.0
FARTHEST = 1000.0
MOST_PICTURES, AT_ONCE = 1000, 4


class WorldScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryWorldScene",
            display_name="World Scene",
            category=f"{CATEGORY}/world model",
            description="Draws the first picture of a little world, for the start image of a Memory Bank, with the "
            "caption that fits it: all that the camera finds later is the model's. With a camera path it draws what is "
            "seen along it, as photographs with cameras and depth for Remember Pictures.",
            search_aliases=["start image", "first frame", "procedural scene", "photographs"],
            inputs=[
                io.Combo.Input(
                    "place",
                    options=["any", *PLACES],
                    default="room",
                    tooltip="What kind of place to draw. Recommended: room.",
                ),
                fixed_seed(
                    "Each number is another place. The model has seen none of them while it learned. "
                    "Recommended: any; try a few.",
                    default=7,
                    most=99_999,
                ),
                world_side("width", 96),
                world_side("height", 60),
                field_of_view("Horizontal field of view in degrees; use the same in Memory Bank. Recommended: 70."),
                SceneTrajectory.Input(
                    "trajectory",
                    optional=True,
                    tooltip="Draws a picture for each camera of this path, with the path's lens, instead of one from "
                    "the origin. Recommended: leave it open for a start image; connect it for Remember Pictures.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The picture, for Memory Bank's start_image."),
                io.String.Output(display_name="caption", tooltip="What is in it, for CLIP Text Encode."),
                io.Image.Output(
                    display_name="depth",
                    tooltip=f"How far everything in the picture is, for Memory Bank's start_depth: "
                    f"'white is far (linear)', with a depth_scale of {WHITE_IS:g}.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, place: str, seed: int, width: int, height: int, fov: float, trajectory: Trajectory | None = None
    ) -> io.NodeOutput:
        """Raises ValueError for a path of more pictures than fit into RAM."""
        scene = make_scene(seed, place)
        poses, lens = np.eye(4)[None], intrinsics_from_fov(fov, width / height)[None]
        if trajectory is not None:
            poses, lens = trajectory.poses, trajectory.intrinsics
        if len(poses) > MOST_PICTURES:
            raise ValueError(f"The camera path has {len(poses)} frames: at most {MOST_PICTURES} are drawn. Shorten it.")
        bar, drawn = comfy.utils.ProgressBar(total=len(poses)), []
        for start in range(0, len(poses), AT_ONCE):
            comfy.model_management.throw_exception_if_processing_interrupted()
            part = slice(start, start + AT_ONCE)
            drawn.append(render_with_depth(scene, poses[part], lens[part], width, height, supersample=SUPERSAMPLE))
            bar.update_absolute(value=min(part.stop, len(poses)), total=len(poses))
        picture, depth = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        grey = (depth.clamp(max=FARTHEST) / WHITE_IS)[..., None].expand(-1, -1, -1, 3)
        return io.NodeOutput(picture.to(torch.float32) / 255, scene.caption, grey.contiguous())

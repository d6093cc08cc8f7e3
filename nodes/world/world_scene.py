"""World Scene: a start picture and its caption from the procedural worlds that the bundled model learned from."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import io

from ...memory.cameras.camera import intrinsics_from_fov
from ...world.render import render_with_depth
from ...world.scenes import PLACES, make_scene
from ..inputs import field_of_view, fixed_seed, world_side
from ..types import CATEGORY

SUPERSAMPLE = 3
WHITE_IS = 20.0
FARTHEST = 1000.0


class WorldScene(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryWorldScene",
            display_name="World Scene",
            category=f"{CATEGORY}/world model",
            description="Draws the first picture of a little world, for the start image of a Memory Bank, with the "
            "caption that fits it. Only this one picture is drawn; all that the camera finds later is the model's.",
            search_aliases=["start image", "first frame", "procedural scene"],
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
    def execute(cls, place: str, seed: int, width: int, height: int, fov: float) -> io.NodeOutput:
        scene = make_scene(seed, place)
        lens = intrinsics_from_fov(fov, width / height)
        picture, depth = render_with_depth(scene, np.eye(4)[None], lens[None], width, height, supersample=SUPERSAMPLE)
        grey = (depth.clamp(max=FARTHEST) / WHITE_IS)[..., None].expand(-1, -1, -1, 3)
        return io.NodeOutput(picture.to(torch.float32) / 255, scene.caption, grey.contiguous())

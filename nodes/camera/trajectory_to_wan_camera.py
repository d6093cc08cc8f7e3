"""Trajectory to Wan Camera: a camera path for the stock nodes of Wan's Fun-Camera models."""

from __future__ import annotations

import comfy.model_management
from comfy_api.latest import io

from ...memory.cameras.trajectory import Trajectory
from ...memory.pictures.picture_of_trajectory import figures
from ...models.wan.options import STRIDE
from ...models.wan.plucker import SIDE, wan_camera_embedding
from ..messages import say
from ..types import CATEGORY, SceneTrajectory
from . import path_inputs

WHOLE, PART = "the whole path", "from first_frame on"
CROPPED, AS_IT_IS = "crop to the size", "as it is"


class TrajectoryToWanCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryTrajectoryToWanCamera",
            display_name="Trajectory to Wan Camera",
            category=f"{CATEGORY}/camera",
            description="Any camera path for WanCameraImageToVideo, in place of WanCameraEmbedding with its nine "
            "moves. For the same cameras the numbers are the same.",
            search_aliases=["wan camera embedding", "fun camera", "pluecker", "camera control"],
            inputs=[
                SceneTrajectory.Input("trajectory", tooltip="The camera path. Recommended: 81 frames of one shot."),
                io.Int.Input(
                    "width",
                    default=832,
                    min=SIDE,
                    max=16384,
                    step=SIDE,
                    tooltip="Width of the video in pixels. Recommended: 832, as in WanCameraImageToVideo.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=SIDE,
                    max=16384,
                    step=SIDE,
                    tooltip="Height of the video in pixels. Recommended: 480, as in WanCameraImageToVideo.",
                ),
                io.Int.Input(
                    "length",
                    default=81,
                    min=1,
                    max=16381,
                    step=STRIDE,
                    tooltip="Frames of the video, 4 n + 1. Recommended: 81.",
                ),
                io.Combo.Input(
                    "take",
                    options=[WHOLE, PART],
                    default=WHOLE,
                    tooltip="The whole path, played slower or faster to fit the length, or as many frames of it as the "
                    f"length says. Recommended: {WHOLE}.",
                ),
                path_inputs.frame_count(
                    "first_frame", 0, "Where to begin if not the whole path is taken. Recommended: 0."
                ),
                path_inputs.scale(
                    "How many times as far the model's camera goes; 0 keeps only the turning. The stock moves go 1.5 "
                    "to 3 units in 81 frames. Recommended: 1, or what makes the path about as long.",
                    most=1000.0,
                ),
                io.Combo.Input(
                    "lens",
                    options=[CROPPED, AS_IT_IS],
                    default=CROPPED,
                    tooltip="Crops the path's lens to the shape of the video, with square pixels, or takes its numbers "
                    f"as they are. Recommended: {CROPPED}.",
                ),
            ],
            outputs=[
                io.WanCameraEmbedding.Output(
                    display_name="camera_embedding", tooltip="For WanCameraImageToVideo's camera_conditions."
                ),
                io.Int.Output(display_name="width", tooltip="Width of the video in pixels."),
                io.Int.Output(display_name="height", tooltip="Height of the video in pixels."),
                io.Int.Output(display_name="length", tooltip="Frames of the video."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        trajectory: Trajectory,
        width: int,
        height: int,
        length: int,
        take: str,
        first_frame: int,
        scale: float,
        lens: str,
    ) -> io.NodeOutput:
        """Raises ValueError if the path has fewer frames from first_frame on than length takes."""
        if take == PART:
            there = max(0, len(trajectory) - first_frame)
            if there < length:
                raise ValueError(
                    f"length is {length}, and the camera path of {len(trajectory)} frames has {there} from first_frame "
                    f"{first_frame} on. Use a length of {max(1, (there - 1) // STRIDE * STRIDE + 1)}, an earlier "
                    f"first_frame, or take {WHOLE!r}."
                )
            path = trajectory[first_frame : first_frame + length]
        else:
            path = trajectory.retimed(length)
        path = path.scaled(scale)
        rays = wan_camera_embedding(path, width, height, square_pixels=lens == CROPPED)
        say(cls, figures(path))
        return io.NodeOutput(rays.to(comfy.model_management.intermediate_device()), width, height, length)

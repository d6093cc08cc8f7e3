"""Trajectory from 3D Cameras: a smooth camera path through views framed in the stock 3D nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io

from ...memory.cameras.pacing import speeds_from_text
from ...memory.cameras.through import BY_WAY, TIMINGS, path_through
from ...memory.pictures.picture_of_trajectory import figures
from ...memory.state.state import MemoryState
from ...models.host.camera_3d import camera_from_3d
from ..inputs import frame_rate
from ..messages import say
from ..types import CATEGORY
from . import path_inputs

AROUND, STRAIGHT = "around what they look at", "straight between them"
MOST = 50
PREFIX = "camera_"


class TrajectoryFrom3DCameras(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryTrajectoryFrom3DCameras",
            display_name="Trajectory from 3D Cameras",
            category=f"{CATEGORY}/camera",
            description="A smooth camera path through the views that you have framed in Load 3D, Preview 3D or Create "
            "Camera Info: connect their camera_info, one for each keyframe.",
            search_aliases=["load 3d", "camera info", "keyframes", "three.js", "camera path"],
            inputs=[
                io.Autogrow.Input(
                    "cameras",
                    template=io.Autogrow.TemplatePrefix(
                        input=io.Load3DCamera.Input(
                            "camera", tooltip="The camera_info of a 3D node. Recommended: connect one or more."
                        ),
                        prefix=PREFIX,
                        min=1,
                        max=MOST,
                    ),
                    tooltip="The cameras to pass, first to last. Recommended: 2 to 6.",
                ),
                path_inputs.frame_count("frames", 81, "Length of the path in frames. Recommended: 81.", least=1),
                io.Combo.Input(
                    "motion",
                    options=[AROUND, STRAIGHT],
                    default=AROUND,
                    tooltip="How the camera goes from one view to the next: round what they look at, which stays in "
                    f"the picture, or straight. Recommended: {AROUND}.",
                ),
                io.Boolean.Input(
                    "closed",
                    default=False,
                    tooltip="Goes on from the last camera to the first, for a loop. Recommended: off.",
                ),
                io.Combo.Input(
                    "timing",
                    options=list(TIMINGS),
                    default=BY_WAY,
                    tooltip="How the time is shared out: more for a longer way, so that the camera keeps its pace, or "
                    f"the same from each camera to the next. Recommended: {BY_WAY}.",
                ),
                path_inputs.easing(
                    "smooth", "'smooth' starts and stops gently, 'even' keeps one speed. Recommended: smooth."
                ),
                path_inputs.speed(),
                path_inputs.scale(
                    "How many of our scene units (about metres) one unit of the 3D view is. Recommended: 1, or what "
                    "makes the path a few units long."
                ),
                path_inputs.begins("where the first camera stands in the 3D view"),
                frame_rate(
                    "Frames a second, while nothing is remembered; after that the memory's own. "
                    "Recommended: 16 with Wan, 8 with the world model."
                ),
                path_inputs.aspect(
                    1.6,
                    0.1,
                    "Width divided by height of the pictures, while nothing is remembered; after that the memory's "
                    "own. The 3D view says how high a camera sees, this how wide. Recommended: 1.6 for 96 x 60.",
                ),
                path_inputs.continued_memory(),
            ],
            outputs=path_inputs.path_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        cameras: dict[str, Any],
        frames: int,
        motion: str,
        closed: bool,
        timing: str,
        easing: str,
        speed: str,
        scale: float,
        begins: str,
        fps: float,
        aspect: float,
        memory: MemoryState | None = None,
    ) -> io.NodeOutput:
        """Raises ValueError if no camera is connected, if one is none, or if speed cannot be read."""
        order = sorted(cameras, key=lambda name: int(name[len(PREFIX) :]))
        given = [camera_from_3d(cameras[name], name) for name in order]
        if not given:
            raise ValueError("No camera is connected. Connect the camera_info of a 3D node to cameras.")
        rate, shape = path_inputs.rate_and_aspect(memory)
        continues = begins == path_inputs.AT_THE_END and memory is not None and memory.frames > 0
        path = path_through(
            np.stack([camera.pose for camera in given]),
            np.stack([camera.intrinsics(shape or aspect) for camera in given]),
            frames=frames + continues,
            fps=rate or fps,
            distances=[camera.distance for camera in given] if motion == AROUND else None,
            closed=closed,
            timing=timing,
            easing=easing,
            speed=speeds_from_text(speed),
            name="3D cameras",
        )
        path = path_inputs.placed(path.scaled(scale), begins, memory)
        say(cls, figures(path))
        return io.NodeOutput(path, len(path))

"""Measure Camera: where the camera of a clip really was."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io

from ...film.seen_again import remembered_near
from ...memory.cameras.camera import FloatArray, intrinsics_from_fov
from ...memory.cameras.trajectory import Trajectory
from ...memory.geometry.camera_report import report
from ...memory.geometry.measure_camera import measure_camera
from ...memory.geometry.multi_view import measure_by_views
from ...memory.state.state import MemoryState
from ...models.host.multi_view import cameras_by_da3
from ..messages import say
from ..pictures import to_uint8
from ..types import CATEGORY, SceneMemory, SceneTrajectory

USUAL_FOV, USUAL_FPS = 70.0, 16.0


class MeasureCamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryMeasureCamera",
            display_name="Measure Camera",
            category=f"{CATEGORY}/camera",
            description="Finds the camera path of a clip in its pictures, and says where it parts from the plan and "
            "which frames are not sure. Needs no model; Depth Anything 3 can be used. With a memory that has depth the "
            "path lies where the film does, and is as long as it was.",
            search_aliases=["camera tracking", "matchmove", "structure from motion", "slam", "camera pose", "solve"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="The frames of one take, in order. Recommended: Load Video, or a shot's frames."
                ),
                SceneTrajectory.Input(
                    "trajectory",
                    optional=True,
                    tooltip="The path that was planned, one camera for each frame: it gives the first camera, the lens "
                    "and, without depth, the length of the way; the result is compared with it. Recommended: that of "
                    "the shot; none for a clip from elsewhere.",
                ),
                SceneMemory.Input(
                    "memory",
                    optional=True,
                    tooltip="Remembered frames with depth that show the same place say where the clip lies and how "
                    "large it is. Recommended: the memory that the shot goes on from.",
                ),
                io.Float.Input(
                    "fov",
                    default=0.0,
                    min=0.0,
                    max=150.0,
                    step=1.0,
                    tooltip="Horizontal field of view of the clip in degrees; 0 takes the trajectory's lens, else the "
                    f"memory's, else {USUAL_FOV:g}. A wrong one bends the path. Recommended: 0.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=1.0,
                    tooltip="Frames a second of the clip; 0 takes the trajectory's, else the memory's, else "
                    f"{USUAL_FPS:g}. Recommended: 0.",
                ),
                io.Custom("DA3_MODEL").Input(
                    "da3_model",
                    optional=True,
                    tooltip="Depth Anything 3 (Small or Base) looks for the cameras instead: for clips that have too "
                    "little to hold on to for points to be followed. The memory needs no depth then. Recommended: "
                    "leave it open; Load Depth Anything 3 where the report says that few frames are sure.",
                ),
            ],
            outputs=[
                SceneTrajectory.Output(display_name="trajectory", tooltip="The path as it was measured."),
                io.String.Output(
                    display_name="report",
                    tooltip="Angle and way, planned and measured, where they part, and which frames are not sure.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        trajectory: Trajectory | None = None,
        memory: MemoryState | None = None,
        fov: float = 0.0,
        fps: float = 0.0,
        da3_model: Any = None,
    ) -> io.NodeOutput:
        """``images`` is IMAGE (F, H, W, C). Raises ValueError if the trajectory has another length, if a picture holds
        NaN, or if the model sees no cameras."""
        if trajectory is not None and len(trajectory) != len(images):
            raise ValueError(
                f"images has {len(images)} frames and trajectory {len(trajectory)}. Connect the path that these frames "
                "were made along, or leave trajectory open."
            )
        pictures = to_uint8(images)
        lens = _lens(pictures.shape[2] / pictures.shape[1], trajectory, memory, fov)
        rate = fps or (trajectory.fps if trajectory else 0.0) or (memory.fps if memory else None) or USUAL_FPS
        planned = None if trajectory is None else Trajectory(trajectory.poses, lens, rate, trajectory.name)
        remembered = remembered_near(memory, planned, da3_model is None) if memory is not None else None
        if da3_model is None:
            measured = measure_camera(pictures, lens, planned, remembered, rate, _share_progress())
        else:
            estimate = partial(cameras_by_da3, da3_model)
            measured = measure_by_views(pictures, estimate, lens, planned, remembered, rate, _share_progress())
        words = report(measured, planned)
        say(cls, words)
        return io.NodeOutput(measured.trajectory, words)


def _lens(aspect: float, trajectory: Trajectory | None, memory: MemoryState | None, fov: float) -> FloatArray:
    """Intrinsics (4,) or (F, 4) of pictures of an ``aspect``, width / height."""
    if fov:
        return intrinsics_from_fov(fov, aspect)
    if trajectory is not None:
        return trajectory.intrinsics
    if memory is not None and memory.frames:
        return memory.cameras(np.array([memory.frames - 1]))[1][0]
    return intrinsics_from_fov(USUAL_FOV, aspect)


def _share_progress() -> Callable[[float], None]:
    """A progress bar on the node that runs, to be called with the share that is done. It raises ComfyUI's own exception
    where the artist cancelled."""
    steps = 1000
    bar = comfy.utils.ProgressBar(total=steps)

    def on_share(done: float) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(value=round(steps * done), total=steps)

    return on_share

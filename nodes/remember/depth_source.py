"""Depth Source: where the depth of new frames comes from, a depth model of ComfyUI's or a depth video."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ...film.depth import FITS, SCALE_AND_SHIFT, DepthMaps, DepthSource, DepthVideo
from ...models.host.depth import DepthAnything3, MoGe
from .. import inputs
from ..pictures import NEAR_IS_WHITE, to_depth
from ..types import CATEGORY, SceneDepth

KEYFRAMES = 4


class DepthSourceNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryDepthSource",
            display_name="Depth Source",
            category=f"{CATEGORY}/memory",
            description="Reads depth off the frames of a shot as they are made, brings it to the scale of what the "
            "memory knows, and keeps it small beside them. With depth, retrieval knows what hides what, and Memory "
            "View and known pixels can move the camera. Connect one depth model of ComfyUI, or depth pictures.",
            search_aliases=["depth anything", "moge", "depth estimation", "geometry", "da3", "depth video"],
            inputs=[
                io.Custom("DA3_MODEL").Input(
                    "da3_model",
                    optional=True,
                    tooltip="A Depth Anything 3 model. Recommended: Load Depth Anything 3 with the Mono or Base model.",
                ),
                io.Custom("MOGE_MODEL").Input(
                    "moge_model",
                    optional=True,
                    tooltip="A MoGe model, in place of Depth Anything; version 2 is in metres. Recommended: Load MoGe "
                    "Model.",
                ),
                io.Image.Input(
                    "depth_video",
                    optional=True,
                    tooltip="Depth pictures in place of a model, one for each frame of the shot, as a 3-D scene or a "
                    "depth node gives them. Recommended: leave it open, and connect a model.",
                ),
                inputs.depth_kind(),
                io.Int.Input(
                    "keyframes",
                    default=KEYFRAMES,
                    min=0,
                    max=1024,
                    tooltip="How many frames of each segment are given to the model, evenly spread; the others see "
                    "their depth moved to them. 0 takes all, which is slow with a model. "
                    f"Recommended: {KEYFRAMES}; 8 with a fast camera, 0 with depth_video.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=SCALE_AND_SHIFT,
                    tooltip="How a new map joins what is known. 'scale and shift' is for models that read depth off "
                    "one picture, 'scale' for maps whose shape can be trusted, 'as it is' for true depth of a 3-D "
                    f"scene. Recommended: {SCALE_AND_SHIFT}.",
                ),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=0.0,
                    max=100_000.0,
                    step=0.01,
                    tooltip="Scene units (about metres) for each unit of the depth, or how far away pure white of "
                    "depth_video is: for the first map of a film, as all others join it, and for 'as it is'. 0 takes "
                    "MoGe 2 as metres, and else reckons from the camera's pace. Recommended: 0; 1 with the Metric "
                    "model of Depth Anything, 20 with World Scene's depth.",
                ),
            ],
            outputs=[
                SceneDepth.Output(
                    display_name="depth_source", tooltip="For depth_source of Shot Generator and Memory Bank."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        keyframes: int,
        fit: str,
        scale: float,
        da3_model: Any = None,
        moge_model: Any = None,
        depth_video: torch.Tensor | None = None,
        depth_kind: str = NEAR_IS_WHITE,
    ) -> io.NodeOutput:
        """``depth_video`` is IMAGE (F, H, W, C).

        Raises ValueError if not exactly one source is connected, or this ComfyUI's depth nodes are others.
        """
        given = {"da3_model": da3_model, "moge_model": moge_model, "depth_video": depth_video}
        connected = [name for name, value in given.items() if value is not None]
        if len(connected) != 1:
            said = " and ".join(connected) + " are" if connected else "Nothing is"
            raise ValueError(
                f"{said} connected to Depth Source: it takes one of da3_model, moge_model and depth_video. Connect "
                "Load Depth Anything 3 to da3_model, or leave all but one open."
            )
        source: DepthMaps
        if depth_video is not None:
            source = DepthVideo(to_depth(depth_video, depth_kind, 1.0))
        else:
            source = DepthAnything3(da3_model) if da3_model is not None else MoGe(moge_model)
            source.check()
        return io.NodeOutput(DepthSource(source, keyframes, fit, scale))

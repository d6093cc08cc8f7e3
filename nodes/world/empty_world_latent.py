"""Empty World Latent: for stock samplers with the bundled model."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..inputs import world_side
from ..types import CATEGORY


class EmptyWorldLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryEmptyWorldLatent",
            display_name="Empty World Latent",
            category=f"{CATEGORY}/world model",
            description="An empty clip for the world model in a stock sampler such as KSampler. There it has no memory "
            "and turns slowly to the right; use the Shot Generator for more.",
            inputs=[
                world_side("width", 96),
                world_side("height", 60),
                io.Int.Input("frames", default=8, min=1, max=32, tooltip="Length of the clip. Recommended: 8."),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Clips at a time. Recommended: 1."),
            ],
            outputs=[io.Latent.Output(tooltip="An empty clip for a sampler.")],
        )

    @classmethod
    def execute(cls, width: int, height: int, frames: int, batch_size: int) -> io.NodeOutput:
        device = comfy.model_management.intermediate_device()
        return io.NodeOutput({"samples": torch.zeros([batch_size, 3, frames, height, width], device=device)})

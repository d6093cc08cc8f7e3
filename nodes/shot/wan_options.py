"""Wan Memory Options: the second model of a pair, and how a Wan is given its memory."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...models.host.identity import model_kind
from ...models.wan.camera_layers import ATTACHMENT, read_camera_layers
from ...models.wan.family import CONCAT_START, NO_START, family_of
from ...models.wan.options import AUTO, POSITIONS, TIMES, WanOptions, with_options
from ...models.wan.uni3c import Uni3C, with_uni3c
from .. import folders
from ..folders import NO_FILE
from ..types import CATEGORY


class WanMemoryOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryWanOptions",
            display_name="Wan Memory Options",
            category=f"{CATEGORY}/models",
            description="For models of the Wan family in the Shot Generator: joins a pair of high and low noise models "
            "into one, and says how remembered frames enter. Without this node everything follows the model.",
            search_aliases=["wan 2.2", "high noise low noise", "A14B", "two models", "echo memory", "phantom"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A Wan; of a pair, the high noise model. Recommended: MODEL of Load Diffusion Model.",
                ),
                io.Model.Input(
                    "low_noise_model",
                    optional=True,
                    tooltip="The low noise model of Wan 2.2 14B, which goes on where the noise is below the boundary. "
                    "Recommended: connect it for Wan 2.2 14B, leave it open for all others.",
                ),
                io.Float.Input(
                    "boundary",
                    default=0.875,
                    min=0.01,
                    max=0.99,
                    step=0.005,
                    tooltip="Noise level, from 1 to 0, below which the low noise model works. Recommended: 0.875 for "
                    "text to video, 0.9 for image to video.",
                ),
                io.Combo.Input(
                    "context_time",
                    options=list(TIMES),
                    default=AUTO,
                    tooltip="At which time remembered frames stand beside the noisy ones. Recommended: auto; 'same as "
                    "the segment' with Echo-Memory's and Phantom's weights.",
                ),
                io.Combo.Input(
                    "context_position",
                    options=list(POSITIONS),
                    default=AUTO,
                    tooltip="Where remembered frames stand in the order of time. Recommended: auto; 'after the "
                    "segment' with Echo-Memory's and Phantom's weights.",
                ),
                io.Boolean.Input(
                    "blank_negative",
                    default=False,
                    tooltip="The negative prompt sees blank frames in place of the remembered ones, so that cfg pulls "
                    "towards the memory as well. Recommended: off; on with Phantom's weights.",
                ),
                io.Float.Input(
                    "camera_scale",
                    default=1.0,
                    min=0.001,
                    max=1000.0,
                    step=0.05,
                    tooltip="For Fun Camera: how far the model's camera goes for one scene unit. Recommended: 1, if a "
                    "shot of 81 frames goes up to about 3 units.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="For Wan 2.1 image to video: looks at the first picture of every segment. "
                    "Recommended: clip_vision_h.",
                ),
                io.Combo.Input(
                    "camera_layers",
                    options=[NO_FILE, *folders.diffusion_models()],
                    default=NO_FILE,
                    optional=True,
                    tooltip="For Echo-Memory's weights: their file once more. It holds layers for the camera path, "
                    "which Load Diffusion Model leaves out. Recommended: none for all other models.",
                ),
                io.Int.Input(
                    "switch_step",
                    default=0,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="The low noise model takes over after so many steps, whatever the noise; 0 goes by the "
                    "boundary. Recommended: 0; 2 for LoRAs that make a picture in 4 steps.",
                ),
                io.Float.Input(
                    "low_noise_cfg",
                    default=0.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    optional=True,
                    tooltip="cfg of the low noise model; 0 takes that of Shot Generator. Recommended: 0; 1 where only "
                    "the low noise model has a LoRA for few steps.",
                ),
                io.ModelPatch.Input(
                    "uni3c",
                    optional=True,
                    tooltip="A Uni3C control net for text to video or image to video: it guides the model along what "
                    "the memory knows of the coming views, where memory_enters_as of Shot Generator is known pixels. "
                    "Recommended: MODEL_PATCH of Load Model Patch, or leave it open.",
                ),
                io.Float.Input(
                    "uni3c_strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    optional=True,
                    tooltip="How strongly Uni3C guides. Recommended: 1.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with these options, for MoC Sparse Sampler or Shot Generator.")
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        boundary: float,
        context_time: str,
        context_position: str,
        blank_negative: bool,
        camera_scale: float,
        low_noise_model: Any = None,
        clip_vision: Any = None,
        camera_layers: str = NO_FILE,
        switch_step: int = 0,
        low_noise_cfg: float = 0.0,
        uni3c: Any = None,
        uni3c_strength: float = 1.0,
    ) -> io.NodeOutput:
        """Raises ValueError if the model is no Wan, an option cannot be, the file of camera layers does not fit, or the
        model is one that Uni3C cannot guide."""
        family = family_of(model)
        if family is None:
            raise ValueError(
                f"Wan Memory Options takes a Wan text to video, image to video, TI2V-5B, Fun Camera or VACE model, but "
                f"this is {model_kind(model)}. Leave this node out, or load one of those."
            )
        options = WanOptions(
            times=context_time,
            positions=context_position,
            blank_negative=blank_negative,
            low_noise=low_noise_model,
            boundary=boundary,
            switch_step=switch_step,
            low_noise_cfg=low_noise_cfg,
            clip_vision=clip_vision,
            camera_scale=camera_scale,
        )
        marked = with_options(model, options)
        if camera_layers != NO_FILE:
            layers = read_camera_layers(folders.diffusion_model(camera_layers), model)
            marked.set_attachments(key=ATTACHMENT, attachment=layers)
        if uni3c is not None:
            if family.start not in (NO_START, CONCAT_START) or family.vace:
                raise ValueError(
                    f"uni3c is connected, but the model is {family.name}: Uni3C guides Wan text to video and image to "
                    "video. Leave uni3c open, or load one of those."
                )
            marked = with_uni3c(marked, Uni3C(uni3c, uni3c_strength))
        return io.NodeOutput(marked)

"""Story Memory Options: a Wan image to video model with StoryMem's or Memento's LoRA."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ...models.host.identity import model_kind
from ...models.story.options import FRAME, MEMENTO, METHODS, MOTION, STORYMEM, StoryOptions, with_story
from ...models.wan.family import CONCAT_START, family_of
from ..types import CATEGORY

KNOWN = {"1 picture (MI2V)": FRAME, "5 pictures (MM2V)": MOTION}


class StoryMemoryOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryStoryOptions",
            display_name="Story Memory Options",
            category=f"{CATEGORY}/story",
            description="For Wan 2.2 image to video with the LoRAs of StoryMem or Memento: remembered frames enter the "
            "Shot Generator as these were trained, in front of the shot.",
            search_aliases=["StoryMem", "Memento", "MI2V", "MM2V", "multi shot", "consistent characters"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Wan 2.2 image to video with the LoRA. Recommended: MODEL of Wan Memory Options, which "
                    "joins the high and the low noise model, each with its own LoRA.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=STORYMEM,
                    tooltip="Which LoRA it is. Recommended: as the file says.",
                ),
                io.Combo.Input(
                    "known_frames",
                    options=list(KNOWN),
                    default=next(iter(KNOWN)),
                    tooltip="Newest pictures with which a shot that goes on begins. Recommended: 1 with MI2V and "
                    "Memento, 5 with MM2V.",
                ),
                io.Int.Input(
                    "spacing",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="StoryMem only: how far apart remembered frames stand in time, in latent frames. 1 is what "
                    "its released code does. Recommended: 1; 5 if remembered pictures flash up in the shot.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Memento only: the text encoder for the subject. Recommended: CLIP of Load CLIP.",
                ),
                io.String.Input(
                    "subject",
                    default="",
                    multiline=True,
                    tooltip="Memento only: who or what must stay the same. A picture of it is made beside every shot "
                    "and then thrown away. Recommended: 'subject' of Load Story; empty makes none.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model, for Shot Generator or Story Film.")],
        )

    @classmethod
    def execute(
        cls, model: Any, method: str, known_frames: str, spacing: int, subject: str, clip: Any = None
    ) -> io.NodeOutput:
        """Raises ValueError if the model is not what the method was trained on, or if the subject needs a clip."""
        family = family_of(model)
        if family is None or family.start != CONCAT_START or (method == MEMENTO and family.clip_vision):
            raise ValueError(
                f"Story Memory Options takes Wan 2.2 image to video A14B, but this is {model_kind(model)}. Load "
                "wan2.2_i2v_high_noise_14B and low_noise_14B, and the LoRAs of StoryMem or Memento on them."
            )
        texts: list[torch.Tensor | None] = [None, None]
        if method == MEMENTO and subject.strip():
            if clip is None:
                raise ValueError(
                    "subject is given, but nothing is connected to clip. Connect Load CLIP, or leave it empty."
                )
            texts = [clip.encode_from_tokens_scheduled(clip.tokenize(text))[0][0] for text in (subject.strip(), "")]
        options = StoryOptions(method, KNOWN[known_frames], spacing, *texts)
        return io.NodeOutput(with_story(model, options))

"""Consistency Report: whether places that a film sees again are the same places."""

from __future__ import annotations

import math
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
from comfy_api.latest import io, ui

from ...memory.cameras.pacing import spread
from ...memory.consistency.likeness import features_agree, shots_agree
from ...memory.consistency.report import ConsistencyReport
from ...memory.consistency.revisits import LOOKS, Compared, change_a_second, compared, revisit_pairs
from ...memory.pictures.picture_of_consistency import consistency_picture, least_and_best
from ...memory.state.state import MemoryState
from ...models.story.keyframe_choice import features_of
from ..messages import say
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory

SEEN_FRAMES = 64
"""Frames that a vision model is asked about, evenly spread over the film."""


class ConsistencyReportNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryConsistencyReport",
            display_name="Consistency Report",
            category=f"{CATEGORY}/memory",
            description="Measures whether a film agrees with itself: finds the places that the camera sees again after "
            "it has looked away, moves what was seen there before to where the camera stands now, and compares. Needs "
            "no model.",
            search_aliases=["revisit", "PSNR", "SSIM", "benchmark", "metrics", "quality", "DINO", "evaluate"],
            inputs=[
                SceneMemory.Input("memory", tooltip="The film. Recommended: the last Shot Generator's memory."),
                io.Int.Input(
                    "looks",
                    default=LOOKS,
                    min=1,
                    max=400,
                    tooltip="How many looks back to compare at most, evenly spread over the film. "
                    f"Recommended: {LOOKS}.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Also says how alike frames and shots are by what a vision model sees. Recommended: leave "
                    "it open; a DINOv2 for subjects, clip_vision_h for the scene.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="picture", tooltip="A plot, and the looks that agree least and best."),
                io.String.Output(display_name="text", tooltip="The same in words."),
                io.Float.Output(
                    display_name="psnr", tooltip="The mean of all looks in dB; 0 if no place is seen again."
                ),
                io.String.Output(display_name="json", tooltip="All figures, for other programs."),
                io.String.Output(display_name="csv", tooltip="The looks as a table."),
            ],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, memory: MemoryState, looks: int, clip_vision: Any = None) -> io.NodeOutput:
        """Raises ValueError for an empty memory."""
        if not memory.frames:
            raise ValueError("The memory holds no frames yet. Connect the memory of a Shot Generator.")
        pairs = revisit_pairs(memory, looks)
        bar, found, shown = comfy.utils.ProgressBar(total=len(pairs) + 1), [], list[Compared]()
        for number, one in enumerate(compared(memory, pairs), 1):
            comfy.model_management.throw_exception_if_processing_interrupted()
            found.append(one.revisit)
            shown = least_and_best(shown, one)
            bar.update_absolute(value=number)
        features, between = _seen(memory, clip_vision)
        report = ConsistencyReport(
            memory.frames, memory.duration, memory.shots, tuple(found), change_a_second(memory), features, between
        )
        picture = to_image(consistency_picture(report, shown)[None])
        say(cls, report.words())
        psnr = 0.0 if math.isnan(report.psnr) else report.psnr
        shown_on_node = ui.PreviewImage(image=picture, cls=cls)
        return io.NodeOutput(picture, report.words(), psnr, report.json(), report.csv(), ui=shown_on_node)


def _seen(memory: MemoryState, clip_vision: Any) -> tuple[float, float]:
    """How alike frames are by what a vision model sees, and shots; NaN without one."""
    if clip_vision is None:
        return math.nan, math.nan
    frames = np.asarray(spread(memory.frames, SEEN_FRAMES), dtype=np.int64)
    features = features_of(memory, frames, clip_vision)
    return features_agree(features), shots_agree(features, memory.shot_ids[frames])

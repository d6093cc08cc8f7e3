"""MiniMax H3 Prompt: a prompt that Shot Generator encodes again with the frames that each segment remembers."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...models.minimax.prompt import ALWAYS, AT_CUTS, LARGE, MATCH, H3Prompt, encoded
from ..types import CATEGORY


class MinimaxH3Prompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryMinimaxPrompt",
            display_name="MiniMax H3 Prompt",
            category=f"{CATEGORY}/models",
            description="The prompt of MiniMax H3 for the Shot Generator. The model reads text and pictures together, "
            "so the text is encoded anew for each segment with the frames that are remembered for it.",
            search_aliases=["minimax", "h3", "hailuo", "reference to video", "keyframes"],
            inputs=[
                io.Clip.Input(
                    "clip", tooltip="MiniMax H3's text encoder. Recommended: CLIP of Load CLIP with the type minimax."
                ),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What to show. The model does not see the camera path: say in words how the camera moves. "
                    "Recommended: one short paragraph.",
                ),
                io.String.Input(
                    "with_references",
                    multiline=True,
                    default="",
                    tooltip="Words in front of the prompt where remembered frames are references. <Picture 1> is the "
                    "newest of them. Recommended: 'The same place as in <Picture 1>.'",
                ),
                io.Combo.Input(
                    "references",
                    options=[AT_CUTS, ALWAYS],
                    default=AT_CUTS,
                    tooltip="When remembered frames are references. 'at cuts': a shot that goes on begins exactly with "
                    "the newest frame instead, as a keyframe. 'always': every segment looks at them, and may begin "
                    "with a small jump. Recommended: at cuts.",
                ),
                io.Combo.Input(
                    "reference_size",
                    options=[MATCH, LARGE],
                    default=MATCH,
                    tooltip="'match' keeps references no larger than the shot; 'max' up to 2048 pixels, which is "
                    "several times slower. Recommended: match.",
                ),
                io.Model.Input(
                    "references_model",
                    optional=True,
                    tooltip="The model for segments with references. Recommended: the ref2va file, where the model of "
                    "Shot Generator is the fl2va file; open if that is ref2va itself.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    tooltip="For 'positive' or 'negative' of Shot Generator. In a stock sampler it is the text alone."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: Any,
        prompt: str,
        with_references: str,
        references: str,
        reference_size: str,
        references_model: Any = None,
    ) -> io.NodeOutput:
        given = H3Prompt(clip, prompt, with_references, references, reference_size, references_model)
        return io.NodeOutput(encoded(given))

"""Memory Info: what a memory holds, as a picture and in words."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ...film.depth import depth_report
from ...film.measured_path import camera_report
from ...memory.pictures.picture_of_bank import THUMBNAILS, bank_picture
from ...memory.retrieval.reasons import report
from ...memory.state.state import MemoryState
from ...memory.state.summary import summarise, summary_text
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory
from .banks import earlier_memories


class MemoryInfo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryInfo",
            display_name="Memory Info",
            category=f"{CATEGORY}/memory",
            description="Shows a memory: where the camera was, seen from above, the shots and their frame numbers, "
            "what each segment looked at and why, what is pinned, excluded, superseded or dropped, some frames, and "
            "the size on disk.",
            search_aliases=["inspect memory", "timeline", "map", "frame numbers"],
            inputs=[
                SceneMemory.Input("memory", tooltip="What to show. Recommended: the last Shot Generator's memory."),
                io.Int.Input(
                    "thumbnails",
                    default=THUMBNAILS,
                    min=0,
                    max=60,
                    tooltip=f"How many frames to show, evenly spread over the film. Recommended: {THUMBNAILS}.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="picture", tooltip="Map, shots, time line and frames."),
                io.String.Output(
                    display_name="text",
                    tooltip="The same in words: for each segment the frames that it looked at, the rule that chose "
                    "them and what they saw; and the ids of earlier memories that Memory Bank can bring back.",
                ),
                io.Int.Output(display_name="frames", tooltip="How many frames are remembered."),
                io.Float.Output(display_name="seconds", tooltip="How long the film is."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, memory: MemoryState, thumbnails: int) -> io.NodeOutput:
        disk = memory.bank.size_bytes() if memory.bank else None
        picture = to_image(bank_picture(memory, disk, thumbnails)[None])
        text = summary_text(summarise(memory), disk, earlier_memories(memory), report(memory))
        text = "\n".join([text, *camera_report(memory), *depth_report(memory)])
        return io.NodeOutput(picture, text, memory.frames, memory.duration, ui=ui.PreviewImage(image=picture, cls=cls))

"""Story Keyframes: what a story remembers of its newest shot, and what it forgets for that."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io, ui
from numpy.typing import NDArray

from ...memory.state.edits import Edit
from ...memory.state.frame_ranges import runs_of
from ...memory.state.state import MemoryState
from ...memory.story.keyframes import THRESHOLD, bank_of
from ...models.story.keyframe_choice import (
    LIKENESS,
    QUERY,
    RULES,
    chosen_by_likeness,
    chosen_by_query,
    rule_for,
)
from ..messages import say
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory


class StoryKeyframes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryStoryKeyframes",
            display_name="Story Keyframes",
            category=f"{CATEGORY}/story",
            description="Chooses keyframes of the newest shot and pins them, so that the next shots see them. The "
            "oldest ones stay; of the others the newest. Place it between two Shot Generators whose retriever takes "
            "'pinned'.",
            search_aliases=["StoryMem", "Memento", "KeyframeQuery", "key frames", "memory update"],
            inputs=[
                SceneMemory.Input("memory", tooltip="The memory with the new shot. Recommended: from Shot Generator."),
                io.Int.Input("keep", default=8, min=2, max=19, tooltip="Keyframes kept in all. Recommended: 8."),
                io.Int.Input(
                    "fixed",
                    default=3,
                    min=0,
                    max=18,
                    tooltip="So many of the oldest keyframes are never forgotten. Recommended: 3.",
                ),
                io.Int.Input(
                    "per_shot", default=3, min=1, max=10, tooltip="New keyframes of a shot, at most. Recommended: 3."
                ),
                io.Float.Input(
                    "likeness",
                    default=THRESHOLD,
                    min=0.1,
                    max=1.0,
                    step=0.01,
                    tooltip="A keyframe is less like the one before than this, and not more like any other. "
                    "Recommended: 0.9.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="Tells which pictures are alike by what they show; without it by their colours. "
                    "Recommended: clip_vision_h.",
                ),
                io.Combo.Input(
                    "by",
                    options=list(RULES),
                    default=LIKENESS,
                    optional=True,
                    tooltip="How keyframes are chosen. KeyframeQuery asks Memento's file, and needs the four inputs "
                    "below. Recommended: likeness for StoryMem, KeyframeQuery for Memento.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="For KeyframeQuery. Recommended: MODEL of Story Memory Options, with Memento's LoRAs.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="For KeyframeQuery. Recommended: wan_2.1_vae."),
                io.Clip.Input("clip", optional=True, tooltip="For KeyframeQuery. Recommended: CLIP of Load CLIP."),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="For KeyframeQuery: the prompt of the NEXT shot. The story's queries read what follows "
                    "'global caption:', the shot's queries all of it. Recommended: the same text as the next shot's.",
                ),
            ],
            outputs=[
                SceneMemory.Output(
                    display_name="memory", tooltip="The memory in which exactly these frames are pinned."
                ),
                io.Image.Output(display_name="keyframes", tooltip="All keyframes, the oldest first."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        memory: MemoryState,
        keep: int,
        fixed: int,
        per_shot: int,
        likeness: float,
        clip_vision: Any = None,
        by: str = LIKENESS,
        model: Any = None,
        vae: Any = None,
        clip: Any = None,
        prompt: str = "",
    ) -> io.NodeOutput:
        """Raises ValueError if the memory is empty, fixed leaves no room in keep, or KeyframeQuery lacks something."""
        if not memory.frames:
            raise ValueError("The memory holds no frames yet. Connect the memory of a Shot Generator.")
        bank_of([], keep, fixed)
        pinned = memory.pinned_frames()
        if rule_for(by, model) == QUERY:
            bank = chosen_by_query(memory, keep, fixed, model, vae, clip, prompt)
            found = int((~np.isin(bank, pinned)).sum())
        else:
            fresh = chosen_by_likeness(memory, per_shot, likeness, clip_vision)
            bank, found = np.asarray(bank_of([*pinned.tolist(), *fresh], keep, fixed), dtype=np.int64), len(fresh)
        state = _changed(memory, "unpin", pinned[~np.isin(pinned, bank)])
        state = _changed(state, "pin", bank[~np.isin(bank, pinned)])
        say(cls, f"{found} new keyframes, {len(bank)} in all")
        pictures = to_image(memory.read_frames(bank, nearest=True))
        return io.NodeOutput(state, pictures, ui=ui.PreviewImage(image=pictures, cls=cls))


def _changed(memory: MemoryState, kind: str, frames: NDArray[np.int64]) -> MemoryState:
    if not len(frames):
        return memory
    edit = Edit(kind, runs_of(frames))
    return memory.bank.edit(memory, edit) if memory.bank else memory.with_edit(edit)

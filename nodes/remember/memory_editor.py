"""Memory Editor: what the film may use of its memory."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ...memory.pictures.picture_of_bank import edit_picture
from ...memory.retrieval.distances import typical_distance
from ...memory.state.edits import Edit
from ...memory.state.frame_ranges import Runs, count_of, frame_runs, indices_of, runs_of, runs_text
from ...memory.state.state import MemoryState
from ...memory.state.superseding import SAME_PLACE, outdated_frames
from ..inputs import FRAMES, frames_text
from ..messages import say
from ..pictures import to_image
from ..types import CATEGORY, SceneMemory

SUPERSEDED = "superseded"
ACTIONS = ["pin", "unpin", "exclude", "include", "strength", SUPERSEDED, "restore"]


class MemoryEditor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryEditor",
            display_name="Memory Editor",
            category=f"{CATEGORY}/memory",
            description="Says what the next shots may use of the memory. 'superseded' makes a change last: name the "
            "frames that show the table after it fell, and it stays fallen. No picture is changed or deleted; the bank "
            "keeps the edit, and 'continue' in Memory Bank has it.",
            search_aliases=["pin frames", "exclude frames", "forget", "reference strength", "superseded"],
            inputs=[
                SceneMemory.Input(
                    "memory", tooltip="What to edit. Recommended: the memory of the Shot Generator before."
                ),
                io.Combo.Input(
                    "action",
                    options=ACTIONS,
                    default="pin",
                    tooltip="pin: these frames are always given to the model. exclude: never. strength: how much they "
                    "count beside others. superseded: these frames show how the place looks now, and every earlier "
                    "frame that saw it is outdated. unpin, include and restore take that back. "
                    "Recommended: superseded, when something changed that must not change back.",
                ),
                frames_text("last 8"),
                io.Float.Input(
                    "strength",
                    default=0.5,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="For 'strength': how much the frames count; 1 is normal, 0 is never. Recommended: 0.5.",
                ),
                io.String.Input(
                    "outdated",
                    default="",
                    optional=True,
                    tooltip="For 'superseded': the outdated frames by hand. Left empty, they are all earlier frames "
                    f"that saw the same place. {FRAMES} Recommended: leave it empty.",
                ),
                io.Float.Input(
                    "same_place",
                    default=SAME_PLACE,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="For 'superseded': an earlier frame is outdated if at least this share of its view, or of "
                    f"the newer frame's, is the same. Lower outdates more frames. Recommended: {SAME_PLACE}.",
                ),
            ],
            outputs=[
                SceneMemory.Output(display_name="memory", tooltip="The memory with the edit in force."),
                io.Image.Output(display_name="preview", tooltip="The frames that the edit is about."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        memory: MemoryState,
        action: str,
        frames: str,
        strength: float,
        outdated: str = "",
        same_place: float = SAME_PLACE,
    ) -> io.NodeOutput:
        named = frame_runs(frames, memory)
        newer: Runs = ()
        if action == SUPERSEDED:
            newer, named = named, _outdated(memory, named, outdated, same_place)
        result = memory
        if named:
            edit = _edit(action, named, newer, strength)
            result = memory.bank.edit(memory, edit) if memory.bank else memory.with_edit(edit)
        say(cls, _said(action, named, newer))
        picture = to_image(edit_picture(memory, action, named, newer)[None])
        return io.NodeOutput(result, picture, ui=ui.PreviewImage(image=picture, cls=cls))


def _edit(action: str, runs: Runs, newer: Runs, strength: float) -> Edit:
    if action == SUPERSEDED:
        return Edit("supersede", runs, by=newer[0][0])
    if action == "strength":
        return Edit("strength", runs, value=strength)
    return Edit(action, runs)


def _outdated(memory: MemoryState, newer: Runs, by_hand: str, same_place: float) -> Runs:
    if not by_hand.strip():
        return runs_of(outdated_frames(memory, newer, typical_distance(memory, indices_of(newer)), same_place))
    named = frame_runs(by_hand, memory, "outdated")
    for start, stop in newer:
        for old_start, old_stop in named:
            if old_start < stop and start < old_stop:
                raise ValueError(
                    f'outdated is "{by_hand.strip()}", but frame {max(start, old_start)} is also among frames '
                    f"{runs_text(newer)}, which show the place as it is now. Name each frame in one of the two only."
                )
    return named


def _said(action: str, runs: Runs, newer: Runs) -> str:
    count = count_of(runs)
    if not count:
        return "No earlier frame saw this place: nothing is outdated."
    what = f"{count} frame{'' if count == 1 else 's'}: {runs_text(runs)}"
    return f"Outdated since frame {newer[0][0]}, {what}" if newer else f"{action}, {what}"

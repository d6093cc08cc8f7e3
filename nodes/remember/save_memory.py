"""Save Memory: a memory as one file, to keep or to give away."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ...memory.bank.archive import ENDING, write_archive
from ...memory.files import publish, unfinished
from ...memory.state.state import MemoryState
from ...memory.state.summary import bytes_text
from .. import folders
from ..folders import check_prefix, filename_prefix, save_place
from ..messages import byte_progress, say, warn
from ..types import CATEGORY, SceneMemory


class SaveMemory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemorySave",
            display_name="Save Memory",
            category=f"{CATEGORY}/memory",
            description="Writes everything that a memory holds into one file in the output folder: frames, cameras, "
            "depth and edits. Load Memory, or Memory Bank with 'import', takes it up again on any computer.",
            search_aliases=["export memory", "share", "backup"],
            inputs=[
                SceneMemory.Input("memory", tooltip="What to save. Recommended: the last Shot Generator's memory."),
                filename_prefix("memory/SceneMemory", "memory/ and the film's name"),
            ],
            outputs=[
                SceneMemory.Output(display_name="memory", tooltip="The same memory, to go on with."),
                io.String.Output(display_name="file", tooltip="The file's name, as Load Memory lists it."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None) -> bool | str:
        return check_prefix(filename_prefix)

    @classmethod
    def execute(cls, memory: MemoryState, filename_prefix: str) -> io.NodeOutput:
        """Raises ValueError if the memory is empty or no file can have such a name."""
        if memory.frames == 0:
            raise ValueError("The memory is empty: there is nothing to save. Connect the memory of a Shot Generator.")
        folder, name, counter, subfolder = save_place(filename_prefix)
        with unfinished(Path(folder)) as part:
            damage = write_archive(memory, part, byte_progress())
            path = publish(part, Path(folder), name, counter, ENDING)
        shown = (Path(subfolder) / path.name).as_posix()
        line = f"{shown}, {bytes_text(path.stat().st_size)}"
        if damage:
            warn(cls, f"{line}. {damage}")
        else:
            say(cls, line)
        return io.NodeOutput(memory, f"{shown}{folders.IN_OUTPUT}")

"""Memory to Video: the whole film, streamed from the bank to a file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.utils
from comfy.cli_args import args
from comfy_api.latest import InputImpl, io, ui

from ...film.video import write_video
from ...memory.files import publish, unfinished
from ...memory.state.state import MemoryState
from ...memory.state.summary import damaged_text
from ..folders import check_prefix, filename_prefix, save_place
from ..messages import warn
from ..types import CATEGORY, SceneMemory

MOST_FPS = 120.0
MOST_WRITTEN = 256


class WrittenFilms:
    """Films that this ComfyUI has written, by what they were made of, so that a graph that is run again for another
    reason writes no copy. A file that was changed, moved or deleted since does not count."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, tuple[Path, int, int]] = OrderedDict()

    def note(self, made_of: Hashable, path: Path) -> None:
        """The file holds what it was made of, from now on."""
        status = path.stat()
        self._known[made_of] = path, status.st_size, status.st_mtime_ns
        while len(self._known) > MOST_WRITTEN:
            self._known.popitem(last=False)

    def find(self, made_of: Hashable) -> Path | None:
        """The file that was made of this and is as it was; None if there is none."""
        path, *then = self._known.get(made_of, (None, 0, 0))
        try:
            status = path.stat() if path is not None else None
        except OSError:
            return None
        return path if status is not None and then == [status.st_size, status.st_mtime_ns] else None


_WRITTEN = WrittenFilms()


class MemoryToVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryToVideo",
            display_name="Memory to Video",
            category=f"{CATEGORY}/memory",
            description="Saves everything a memory has shown as one MP4, frame by frame from disk: a long film takes "
            "no more RAM than a short one. The file carries the workflow; drop it onto ComfyUI to get the graph back.",
            search_aliases=["save video", "export film", "mp4"],
            inputs=[
                SceneMemory.Input("memory", tooltip="The film to save. Recommended: the last Shot Generator's memory."),
                filename_prefix("video/SceneMemory", "video/SceneMemory"),
                io.Int.Input(
                    "scale",
                    default=1,
                    min=1,
                    max=16,
                    tooltip="Enlarges the pictures by this whole number. Recommended: 6 with the world model, else 1.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=MOST_FPS,
                    step=1.0,
                    tooltip="Frames a second of the file. 0 takes the memory's. Recommended: 0.",
                ),
                io.Int.Input(
                    "quality",
                    default=18,
                    min=0,
                    max=51,
                    tooltip="H.264 rate factor: lower is better and larger; 0 is almost without loss, in a file many "
                    "times as large. Recommended: 18.",
                ),
            ],
            outputs=[io.Video.Output(tooltip="The saved film.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None, fps: float | None) -> bool | str:
        if fps is not None and not 0.0 <= fps <= MOST_FPS:
            return f"fps is {fps}: it must be a number from 0 to {MOST_FPS:g}. Use 0 for the memory's own."
        return check_prefix(filename_prefix)

    @classmethod
    def execute(cls, memory: MemoryState, filename_prefix: str, scale: int, fps: float, quality: int) -> io.NodeOutput:
        """Raises ValueError if the memory is empty or no file can have such a name."""
        if memory.size is None:
            raise ValueError("The memory is empty: there is nothing to save. Connect the memory of a Shot Generator.")
        height, width = memory.size
        folder, name, counter, subfolder = save_place(filename_prefix, width * scale, height * scale)
        # A preview that was changed somewhere runs this node again, and the film is the one that is there.
        made_of = (memory.bank.path if memory.bank else None, memory.id, folder, name, scale, fps, quality)
        if (there := _WRITTEN.find(made_of)) is not None:
            return cls._output(there, subfolder)
        bar = comfy.utils.ProgressBar(total=memory.frames)

        def on_frame(done: int, total: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update_absolute(value=done, total=total)

        damaged: list[int] = []
        with unfinished(Path(folder)) as part:
            write_video(
                memory,
                part,
                fps=fps,
                scale=scale,
                quality=quality,
                metadata=cls._metadata(),
                on_frame=on_frame,
                on_damage=damaged.extend,
            )
            path = publish(part, Path(folder), name, counter, ".mp4")
        if damaged:
            warn(cls, f"{damaged_text(damaged)}: the pictures next to them stand in.")
        else:
            _WRITTEN.note(made_of, path)
        return cls._output(path, subfolder)

    @classmethod
    def _output(cls, path: Path, subfolder: str) -> io.NodeOutput:
        saved = ui.SavedResult(filename=path.name, subfolder=subfolder, type=io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(file=str(path)), ui=ui.PreviewVideo(values=[saved]))

    @classmethod
    def _metadata(cls) -> dict[str, Any]:
        if args.disable_metadata:
            return {}
        return {**(cls.hidden.extra_pnginfo or {}), **({"prompt": cls.hidden.prompt} if cls.hidden.prompt else {})}

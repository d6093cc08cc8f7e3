"""Save Trajectory: a camera path as a file for this pack or for another program."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ...memory.camera_files import WRITABLE, write_trajectory
from ...memory.cameras.trajectory import Trajectory
from ...memory.files import publish, unfinished
from .. import folders
from ..folders import check_prefix, filename_prefix, save_place
from ..messages import say
from ..types import CATEGORY, SceneTrajectory

ENDINGS = {"RealEstate10K": ".txt", "COLMAP": "/images.txt", "TUM": ".txt"}
"""How the files of a layout end; COLMAP looks for three files of fixed names in a folder. Others are JSON."""


class SaveTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemorySaveTrajectory",
            display_name="Save Trajectory",
            category=f"{CATEGORY}/camera",
            description="Writes a camera path into a file in the output folder: to load it again here, or in a program "
            "that reads RealEstate10K, COLMAP, nerfstudio or TUM.",
            search_aliases=["export camera", "camera path", "poses", "colmap", "nerfstudio"],
            inputs=[
                SceneTrajectory.Input("trajectory", tooltip="The camera path. Recommended: that of the finished film."),
                filename_prefix("cameras/SceneMemory", "cameras/ and the film's name"),
                io.Combo.Input(
                    "layout",
                    options=list(WRITABLE),
                    default=WRITABLE[0],
                    tooltip="How the file is written; the help page says what each one keeps. "
                    f"Recommended: {WRITABLE[0]}, which keeps everything.",
                ),
                io.Int.Input(
                    "width",
                    default=832,
                    min=1,
                    max=16384,
                    tooltip="Width of the pictures, for layouts that count in pixels (COLMAP, nerfstudio). "
                    "Recommended: that of your video, such as 832.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=1,
                    max=16384,
                    tooltip="Height of the pictures, for layouts that count in pixels. "
                    "Recommended: that of your video, such as 480.",
                ),
            ],
            outputs=[
                SceneTrajectory.Output(display_name="trajectory", tooltip="The same path, to go on with."),
                io.String.Output(display_name="file", tooltip="The file's name, as Load Trajectory lists it."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None) -> bool | str:
        return check_prefix(filename_prefix)

    @classmethod
    def execute(
        cls, trajectory: Trajectory, filename_prefix: str, layout: str, width: int, height: int
    ) -> io.NodeOutput:
        folder, name, counter, subfolder = save_place(filename_prefix)
        ending = ENDINGS.get(layout, ".json")
        alone = "/" not in ending
        with unfinished(Path(folder)) as part:
            part.mkdir()
            made = part / (f"path{ending}" if alone else ending[1:])
            write_trajectory(trajectory, made, layout, size=(width, height))
            path = publish(made if alone else part, Path(folder), name, counter, ending if alone else "")
        shown = (Path(subfolder) / path.name).as_posix() + ("" if alone else ending)
        say(cls, f"{shown}, {len(trajectory)} frames")
        return io.NodeOutput(trajectory, f"{shown}{folders.IN_OUTPUT}")

"""Load Trajectory: a camera path from a file of this pack or of another program."""

from __future__ import annotations

from comfy_api.latest import io

from ...memory.camera_files import READABLE, read_trajectory
from ...memory.camera_files.reading import AUTO
from ...memory.pictures.picture_of_trajectory import figures
from ...memory.state.state import MemoryState
from ..folders import CAMERA_ENDINGS, CAMERAS, NO_FILE, camera_file, camera_stamp
from ..messages import say
from ..types import CATEGORY
from . import path_inputs

BESIDE = "beside it"


class LoadTrajectory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        files = CAMERAS.names()
        return io.Schema(
            node_id="SceneMemoryLoadTrajectory",
            display_name="Load Trajectory",
            category=f"{CATEGORY}/camera",
            description="A camera path from a file: of Save Trajectory, of RealEstate10K, COLMAP, nerfstudio, TUM and "
            "other programs. The layout is recognised by the content.",
            search_aliases=["camera path", "import camera", "poses", "colmap", "nerfstudio", "transforms.json", "3dgs",
                            "gaussian splatting", "vipe", "euroc", "csv"],  # fmt: skip
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[NO_FILE, *files],
                    default=NO_FILE,
                    tooltip=f"A file ({', '.join(CAMERA_ENDINGS)}) in ComfyUI's input or output folder. Press R to see "
                    "a file that you have just put there. Recommended: put files into the input folder.",
                ),
                io.Combo.Input(
                    "layout",
                    options=[AUTO, *READABLE],
                    default=AUTO,
                    tooltip="How the file is written. Name it if it is not recognised, to be told what is wrong. "
                    f"Recommended: {AUTO}.",
                ),
                path_inputs.begins("at the place that the file says"),
                path_inputs.scale(
                    "How many of our scene units (about metres) one unit of the file is; 0 keeps only the turning. "
                    "Recommended: 1, or what makes the path 1 to 3 units long."
                ),
                path_inputs.frame_count("first_frame", 0, "Leave out the frames before this one. Recommended: 0."),
                path_inputs.frame_count("frames", 0, "How many frames to take; 0 takes all. Recommended: 0."),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=1.0,
                    tooltip="Frames a second: the path is resampled to it, or runs at it if the file has no times. 0 "
                    "takes the memory's own, else the file's, else 24. Recommended: 0.",
                ),
                io.Float.Input(
                    "fov",
                    default=0.0,
                    min=0.0,
                    max=170.0,
                    step=1.0,
                    tooltip="Horizontal field of view in degrees instead of the file's; 0 takes the file's, else 70. "
                    "Recommended: 0.",
                ),
                path_inputs.aspect(
                    0.0,
                    0.0,
                    "Width divided by height of the pictures; 0 takes the memory's own, else the file's. "
                    "Recommended: 0.",
                ),
                io.String.Input(
                    "camera",
                    default="",
                    tooltip="Which camera, if the file has several: cam03 in ReCamMaster, the CAMERA_ID in COLMAP. "
                    "Recommended: empty.",
                ),
                io.Combo.Input(
                    "intrinsics",
                    options=[BESIDE, *files],
                    default=BESIDE,
                    optional=True,
                    tooltip="The second file of layouts that have the lens in one of its own, such as LingBot's "
                    f"intrinsics.npy. Recommended: {BESIDE}, under its usual name.",
                ),
                path_inputs.continued_memory(
                    "The path begins at the last camera of this memory, at its frame rate and shape."
                ),
            ],
            outputs=path_inputs.path_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file: str | None, intrinsics: str | None = None) -> bool | str:
        try:
            if file is not None:
                camera_file(file)
            if intrinsics not in (None, BESIDE):
                camera_file(intrinsics, "intrinsics")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str | None, intrinsics: str | None = BESIDE, **_: object) -> object:
        """Runs again when the content of a file has changed."""
        if file is None or intrinsics is None:
            return float("nan")
        files = [file] if intrinsics == BESIDE else [file, intrinsics]
        return " ".join(camera_stamp(camera_file(name)) for name in files)

    @classmethod
    def execute(
        cls,
        file: str,
        layout: str,
        begins: str,
        scale: float,
        first_frame: int,
        frames: int,
        fps: float,
        fov: float,
        aspect: float,
        camera: str,
        intrinsics: str = BESIDE,
        memory: MemoryState | None = None,
    ) -> io.NodeOutput:
        """Raises ValueError if there is no such file, if it cannot be read, or if first_frame lies behind its end."""
        rate, shape = path_inputs.rate_and_aspect(memory)
        notes: list[str] = []
        path = read_trajectory(
            camera_file(file),
            layout=layout,
            fps=fps or rate,
            fov=fov,
            aspect=aspect or shape,
            camera=camera,
            intrinsics=None if intrinsics == BESIDE else camera_file(intrinsics, "intrinsics"),
            on_note=notes.append,
        )
        if first_frame >= len(path):
            raise ValueError(
                f"first_frame is {first_frame}, and the path of {file} has {len(path)} frames. Use 0 to "
                f"{len(path) - 1}."
            )
        path = path[first_frame : first_frame + frames if frames else len(path)].scaled(scale)
        path = path_inputs.placed(path, begins, memory)
        say(cls, ". ".join([figures(path), " ".join(notes)]) if notes else figures(path))
        return io.NodeOutput(path, len(path))

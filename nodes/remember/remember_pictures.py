"""Remember Pictures: photographs, a block-out or any clip, with the cameras that took them, become memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import Input, io
from numpy.typing import NDArray

from ...film.depth import DepthSource, depth_words
from ...film.remember import Depths, remember, remembered_size
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState
from .. import inputs
from ..messages import say
from ..pictures import NEAR_IS_WHITE, preview_picture, to_depth, to_uint8
from ..types import CATEGORY, SceneMemory, SceneTrajectory
from ..video_pictures import VideoPictures

REFUSE, SCALE = "refuse", "scale and crop"
PREVIEW_SIZE = 512
MOST_EVERY = 1000
_RATE_SLACK = 1.005
SIDE = (
    "The {side} of the film, while nothing is remembered: the pictures are scaled and cropped to it, lens and depth "
    "with them. 0 takes the memory's, or the pictures' own. Recommended: what your video model makes, such as {usual}."
)

Pixels = NDArray[np.uint8]
FloatArray = NDArray[np.float64]


class RememberPictures(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryRememberPictures",
            display_name="Remember Pictures",
            category=f"{CATEGORY}/memory",
            description="Makes memory of pictures that were not filmed here: photographs of a place, a Blender "
            "block-out, a clip from any model, with the cameras that took them. Shots then go on in that place. "
            "Thousands of pictures stream to the disk; a graph that is queued again finds them there.",
            search_aliases=["photogrammetry", "colmap", "nerfstudio", "import images", "import video", "extend video",
                            "blender", "photos", "scan"],  # fmt: skip
            inputs=[
                SceneMemory.Input(
                    "memory",
                    tooltip="What the pictures are added to, as one more shot. Recommended: Memory Bank on 'new', "
                    "without a start image.",
                ),
                SceneTrajectory.Input(
                    "trajectory",
                    tooltip="The camera of each picture, in the order of the pictures. Recommended: Load Trajectory "
                    "with the COLMAP or nerfstudio file, begins 'as it is'; or the camera that the pictures were "
                    "rendered or measured with.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The pictures as a batch, one for each camera. Recommended: up to some hundred; for more, "
                    "use 'video', which takes hardly any RAM.",
                ),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="The pictures as a video, one frame for each camera, or more frames than cameras: then "
                    "those that were shown when the cameras were there are taken. Recommended: Load Video.",
                ),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="Depth of the pictures, one for each camera, in the units of the cameras. Retrieval then "
                    "knows what hides what, and Memory View can move the pictures. Recommended: connect it if you "
                    "have it.",
                ),
                inputs.depth_kind(),
                inputs.depth_scale(),
                io.Combo.Input(
                    "other_size",
                    options=[REFUSE, SCALE],
                    default=REFUSE,
                    optional=True,
                    tooltip="Pictures of another size than the memory's: 'refuse' them, or 'scale and crop' them to "
                    f"it, lens and depth with them. Recommended: {REFUSE}, until you have looked at the sizes.",
                ),
                inputs.side("width", SIDE.format(side="width", usual=832), optional=True),
                inputs.side("height", SIDE.format(side="height", usual=480), optional=True),
                io.Int.Input(
                    "every",
                    default=1,
                    min=1,
                    max=MOST_EVERY,
                    optional=True,
                    tooltip="Remembers every picture, every second, every third ... with its camera. Neighbours in a "
                    "video show nearly the same. Recommended: 1 for photographs, 2 to 8 for a video of 30 frames a "
                    "second.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=120.0,
                    step=1.0,
                    optional=True,
                    tooltip="Frames a second of the film, for all later shots as well. 0 takes the memory's, or in an "
                    "empty one the trajectory's. Recommended: 0, or what your video model wants: 16 for Wan 2.1.",
                ),
                io.String.Input(
                    "times",
                    default="",
                    optional=True,
                    tooltip="The second at which each picture was taken, separated by commas or spaces, one for each "
                    "camera: with 'video' they say which of its frames the cameras belong to, with 'images' in which "
                    "order the pictures are remembered. Recommended: empty.",
                ),
                inputs.depth_source(
                    "Reads depth off the pictures, where 'depth' has none, and brings it to the size of the cameras' "
                    "path. Recommended: Depth Source with keyframes 0 for photographs; open where 'depth' is connected."
                ),
            ],
            outputs=[SceneMemory.Output(display_name="memory", tooltip="The memory with the pictures in it.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, times: str | None = "") -> bool | str:
        try:
            _seconds(times or "")
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls,
        memory: MemoryState,
        trajectory: Trajectory,
        images: torch.Tensor | None = None,
        video: Input.Video | None = None,
        depth: torch.Tensor | None = None,
        depth_kind: str = NEAR_IS_WHITE,
        depth_scale: float = 1.0,
        other_size: str = REFUSE,
        width: int = 0,
        height: int = 0,
        every: int = 1,
        fps: float = 0.0,
        times: str = "",
        depth_source: DepthSource | None = None,
    ) -> io.NodeOutput:
        """``images`` and ``depth`` are IMAGE (F, H, W, C).

        Raises ValueError if pictures, cameras, depth or times are not as many, or of a size or rate that does not fit.
        """
        if (images is None) == (video is None):
            what = "Both 'images' and 'video' are" if video is not None else "Neither 'images' nor 'video' is"
            raise ValueError(f"{what} connected. Connect one of them.")
        if depth is not None and len(depth) != len(trajectory):
            raise ValueError(
                f"There are {len(depth)} depth maps for {len(trajectory)} cameras. Connect one for each camera, or "
                "leave 'depth' open."
            )
        if depth is not None and depth_source is not None:
            raise ValueError("Both depth and depth_source are connected, and each says how far away things are. Leave "
                             "one of them open.")
        taken = _seconds(times)
        if taken is not None and len(taken) != len(trajectory):
            raise ValueError(
                f"times holds {len(taken)} numbers for {len(trajectory)} cameras. Give one for each, or leave it empty."
            )
        order = np.arange(len(trajectory)) if taken is None else np.argsort(taken, kind="stable")
        rows = order[::every]
        if images is not None:
            chosen = _of_images(images, trajectory, rows)
        else:
            assert video is not None
            chosen = _of_video(VideoPictures(video), trajectory, rows, every, None if taken is None else taken[rows])
        rate = _rate(memory, trajectory, fps, every)
        path = replace(
            trajectory, poses=trajectory.poses[rows], intrinsics=trajectory.intrinsics[rows], fps=rate
        )
        if depth_source is not None and depth_source.source.frames not in (0, len(path)):
            raise ValueError(
                f"The depth source has {depth_source.source.frames} depth pictures, and {len(path)} pictures are "
                "remembered. Give it one for each, or a depth model."
            )
        size = remembered_size(memory, chosen.size, (height, width), other_size == SCALE)
        bar = comfy.utils.ProgressBar(total=len(path))
        newest: list[Pixels] = []

        def watched() -> Iterator[Pixels]:
            for picture in chosen.pictures:
                comfy.model_management.throw_exception_if_processing_interrupted()
                newest[:] = [picture]
                yield picture

        state, written = memory, 0
        deep = depth_source or _depths(depth, depth_kind, depth_scale, rows)
        said: list[str] = []
        times_of = None if taken is None else taken[rows]
        for done in remember(memory, watched(), path, size, deep, times_of):
            state, written = done.state, written + done.written
            said = depth_words(done.depth) or said
            shown = ("JPEG", preview_picture(newest[0]), PREVIEW_SIZE)
            bar.update_absolute(value=done.pictures, total=len(path), preview=shown)
        where = "" if written else ", all of them from the bank"
        above = state.bank.above_limit() if state.bank is not None else ""
        lines = [f"{len(path)} pictures remembered as shot {memory.shots + 1}{where}.", chosen.said, *said, above]
        say(cls, "\n".join(filter(None, lines)))
        return io.NodeOutput(state)


@dataclass(frozen=True)
class Chosen:
    """The pictures (H, W, 3) for the cameras, their size (height, width), and what the artist is told of the choice."""

    pictures: Iterator[Pixels]
    size: tuple[int, int]
    said: str = ""


def _of_images(images: torch.Tensor, trajectory: Trajectory, rows: NDArray[np.int64]) -> Chosen:
    if len(images) != len(trajectory):
        raise ValueError(
            f"There are {len(images)} images and {len(trajectory)} cameras. Connect one camera for each image: "
            "leave out what is too much with Get Image from Batch, or with first_frame and frames of Load Trajectory."
        )
    pictures = (to_uint8(images[row : row + 1])[0] for row in rows.tolist())
    return Chosen(pictures, (images.shape[1], images.shape[2]))


def _of_video(
    video: VideoPictures, trajectory: Trajectory, rows: NDArray[np.int64], every: int, taken: FloatArray | None
) -> Chosen:
    """One frame for each camera where there are as many; else those shown when the cameras were there."""
    first = next(video.every(), None)
    if first is None:
        raise ValueError("The video has no frames. Choose another one.")
    size = (first[1].shape[0], first[1].shape[1])
    cameras = f"{len(trajectory)} cameras at {trajectory.fps:g} a second last {trajectory.duration:.2f} s"
    shown = f"the video has {video.count} frames at {video.rate:g} a second, {video.duration:.2f} s"
    if taken is None and video.count == len(trajectory):
        return Chosen(video.rows(range(0, video.count, every)), size)
    moments = taken if taken is not None else rows / trajectory.fps
    if taken is None and trajectory.fps > video.rate * _RATE_SLACK:
        raise ValueError(f"The {cameras}; {shown}: there is not a picture for each camera. Give the path the video's "
                         "rate or its number of frames.")
    if moments[-1] > video.duration - 0.5 / video.rate:
        raise ValueError(f"The {cameras}, the last of them at {moments[-1]:.2f} s; {shown}. Give the path the video's "
                         "rate, or leave out the cameras behind its end.")
    return Chosen(video.at(moments), size, f"By time: {shown}.")


def _rate(memory: MemoryState, trajectory: Trajectory, fps: float, every: int) -> float:
    """Frames a second at which the pictures stand in the film."""
    if memory.fps is not None and fps and abs(memory.fps - fps) > 1e-6:
        raise ValueError(
            f"fps is {fps:g}, and the memory runs at {memory.fps:g} frames a second. Use 0, or begin a new Memory Bank."
        )
    return memory.fps or fps or trajectory.fps / every


def _depths(depth: torch.Tensor | None, kind: str, scale: float, rows: NDArray[np.int64]) -> Depths | None:
    if depth is None:
        return None
    maps = depth
    return lambda part: to_depth(maps[torch.from_numpy(rows[part])], kind, scale)


def _seconds(times: str) -> FloatArray | None:
    """The numbers in a text; None for an empty one. Raises ValueError for what is no number of seconds."""
    words = times.replace(",", " ").replace(";", " ").split()
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            found.append(math.nan)
        if not (math.isfinite(found[-1]) and found[-1] >= 0.0):
            raise ValueError(f"times: {word[:40]!r} is no number of seconds from 0. Use numbers such as 0, 0.5, 1.25.")
    return np.array(found) if found else None

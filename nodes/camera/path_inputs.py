"""What nodes of camera paths share: inputs and outputs that mean the same everywhere, and where a path begins."""

from __future__ import annotations

from comfy_api.latest import io

from ...memory.cameras.pacing import EASINGS
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState
from ..types import SceneMemory, SceneTrajectory

AT_THE_END, AS_IT_IS = "where the film stands", "as it is"
BEGINS = (AT_THE_END, AS_IT_IS)
MOST_FRAMES = 1_000_000


def scale(tooltip: str, most: float = 100_000.0) -> io.Float.Input:
    """How many times as far the camera goes; 0 keeps only the turning."""
    return io.Float.Input("scale", default=1.0, min=0.0, max=most, step=0.01, tooltip=tooltip)


def frame_count(name: str, default: int, tooltip: str, least: int = 0) -> io.Int.Input:
    """A number of frames, or the place of one in a path."""
    return io.Int.Input(name, default=default, min=least, max=MOST_FRAMES, tooltip=tooltip)


def easing(default: str, tooltip: str) -> io.Combo.Input:
    return io.Combo.Input("easing", options=list(EASINGS), default=default, tooltip=tooltip)


def speed(whose: str = "") -> io.String.Input:
    """A speed curve in words (``memory.cameras.pacing.speeds_from_text``)."""
    return io.String.Input(
        "speed",
        default="",
        tooltip=f"Speed curve{whose}: how many times as fast as usual, at evenly spaced moments, such as 1, 0.2, 1 "
        "for slow in the middle. Recommended: empty.",
    )


def begins(otherwise: str) -> io.Combo.Input:
    """Where a path from elsewhere begins; ``otherwise`` says what "as it is" means."""
    return io.Combo.Input(
        "begins",
        options=list(BEGINS),
        default=AT_THE_END,
        tooltip="Where the path begins: at the last camera of the memory (at the origin where none is connected), or "
        f"{otherwise}. Recommended: {AT_THE_END}.",
    )


def aspect(default: float, least: float, tooltip: str) -> io.Float.Input:
    """Width divided by height of the pictures."""
    return io.Float.Input("aspect", default=default, min=least, max=10.0, step=0.01, tooltip=tooltip)


def continued_memory(tooltip: str = "The path begins at the last camera of this memory.") -> SceneMemory.Input:
    return SceneMemory.Input(
        "memory", optional=True, tooltip=f"{tooltip} Recommended: connect what the shot continues."
    )


def path_outputs(tooltip: str = "The camera path.") -> list[io.Output]:
    return [
        SceneTrajectory.Output(display_name="trajectory", tooltip=tooltip),
        io.Int.Output(display_name="frames", tooltip="How many frames it has."),
    ]


def placed(path: Trajectory, begins: str, memory: MemoryState | None) -> Trajectory:
    """The path moved so that it begins where ``begins`` says; without a memory, the film stands at the origin.

    A path that continues a memory leaves out its first camera: that picture is there already. Raises ValueError if
    nothing of the path would be left.
    """
    if begins != AT_THE_END:
        return path
    if memory is None or memory.frames == 0:
        return path.relative()
    if len(path) < 2:
        raise ValueError(
            "The camera path has 1 frame, and the memory holds the picture of that camera already. Use a path of at "
            f"least 2 frames, or set begins to {AS_IT_IS!r}."
        )
    return path.after(memory.last_pose)[1:]


def rate_and_aspect(memory: MemoryState | None, before: Trajectory | None = None) -> tuple[float, float]:
    """Frames a second, and width divided by height, of the path before or of what is remembered; 0 where neither is."""
    if before is not None:
        return before.fps, float(before.intrinsics[-1, 1] / before.intrinsics[-1, 0])
    if memory is None or memory.size is None or memory.fps is None:
        return 0.0, 0.0
    return memory.fps, memory.size[1] / memory.size[0]

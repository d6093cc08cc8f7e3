"""Where a camera path from elsewhere begins: at the last camera of the film, or where it is."""

from __future__ import annotations

from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState

AT_THE_END, AS_IT_IS = "where the film stands", "as it is"
BEGINS = (AT_THE_END, AS_IT_IS)


def placed(path: Trajectory, begins: str, memory: MemoryState | None) -> Trajectory:
    """The path moved so that it begins where ``begins`` says; without a memory, the film stands at the origin.

    A path that continues a memory leaves out its first camera: that picture is there already.
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


def rate_and_aspect(memory: MemoryState | None) -> tuple[float, float]:
    """Frames a second, and width divided by height, of what is remembered; 0 where nothing is."""
    if memory is None or memory.size is None or memory.fps is None:
        return 0.0, 0.0
    return memory.fps, memory.size[1] / memory.size[0]

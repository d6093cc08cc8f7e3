"""Pictures from elsewhere become memory: photographs, a block-out, any clip, with the cameras that took them.

They are written a segment at a time as they come, so thousands take no more RAM than a few dozen, and whoever stops has
what was finished. Each segment has a key of its pictures, cameras and depth: what the bank has from an earlier run is
loaded, also after another memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..memory.bank.bank import Bank
from ..memory.cameras.trajectory import Trajectory
from ..memory.pictures.fit import Fit, shown
from ..memory.state.depth import DEPTH_NOTE, depth_to_keep
from ..memory.state.state import MemoryState
from .depth import DepthSource, SegmentDepth, segment_depth
from .identity import Identity
from .write_queue import WriteQueue

RECIPE = 1
"""Raised when the same pictures and cameras come to mean another segment: all are then written anew."""

SEGMENT_FRAMES, SEGMENT_BYTES = 64, 64 * 2**20
SOURCE = "pictures from elsewhere"

Depths = Callable[[slice], NDArray[np.float32]]


@dataclass(frozen=True)
class Remembered:
    """How far it is: the memory after one more segment that is on the disk, how many of the pictures are in it, and
    whether the segment was written now or was there already."""

    state: MemoryState
    pictures: int
    written: bool

    @property
    def depth(self) -> Mapping[str, Any]:
        """How the depth of the newest pictures was read, as noted beside them; empty where it was not."""
        found = self.state.segments[len(self.state.segments) - 1].info.get(DEPTH_NOTE, {})
        return found if isinstance(found, Mapping) else {}


def segment_length(size: tuple[int, int]) -> int:
    """Pictures of the size (height, width) in a segment. Part of their keys: the same size gives the same number."""
    return max(1, min(SEGMENT_FRAMES, SEGMENT_BYTES // (3 * size[0] * size[1])))


def remembered_size(
    state: MemoryState, source: tuple[int, int], wanted: tuple[int, int], scale: bool
) -> tuple[int, int]:
    """The size (height, width) in which pictures of the size ``source`` are remembered.

    ``wanted`` has 0 for a side that is the memory's, or the pictures' own in an empty one; ``scale`` lets pictures of
    another size than the memory's be scaled and cropped. Raises ValueError, with both sizes, where they do not fit.
    """
    size = (wanted[0] or (state.size or source)[0], wanted[1] or (state.size or source)[1])
    if state.size is not None and size != state.size:
        raise ValueError(
            f"width and height ask for {shown(size)}, and the memory holds pictures of {shown(state.size)} (width x "
            "height). Set both to 0 for the memory's size, or begin a new Memory Bank."
        )
    if state.size is not None and source != state.size and not scale:
        raise ValueError(
            f"The pictures are {shown(source)}, and the memory holds {shown(state.size)} (width x height). Set "
            "other_size to 'scale and crop', which takes lens and depth along, or begin a new Memory Bank."
        )
    return size


def remember(
    state: MemoryState,
    pictures: Iterable[NDArray[np.uint8]],
    trajectory: Trajectory,
    size: tuple[int, int],
    depth: Depths | DepthSource | None = None,
    taken: NDArray[np.float64] | None = None,
) -> Iterator[Remembered]:
    """Puts pictures into the bank of a memory, as one shot, segment by segment.

    Args:
        pictures: (H, W, 3) uint8 RGB, one for each camera, asked for one at a time.
        trajectory: where each was taken, with the lens of the whole picture. Its rate is that of the memory, if that
            has one. No order is assumed: the cameras may be those of a walk or of photographs in any order.
        size: (height, width) in which they are kept; what has another shape is cropped from the middle, and the lens
            with it.
        depth: gives z-depth (n, h, w) in scene units of some of the pictures, NaN where unknown; or reads it off the
            pictures and joins it to what the memory knows.
        taken: (n,) the second at which each was taken, to be noted beside it.

    Raises:
        ValueError: no bank, another rate or size than the memory's, or another number of pictures than cameras. What
            was finished before is kept.
    """
    if state.bank is None:
        raise ValueError("The memory has no bank to write to. Start from a Memory Bank.")
    if state.fps is not None and abs(state.fps - trajectory.fps) > 1e-6:
        raise ValueError(f"The cameras run at {trajectory.fps:g} frames a second, the memory at {state.fps:g}. Give "
                         "them the memory's rate.")
    assert isinstance(state.bank, Bank)
    shot, begun, queue = state.shots, state.frames, WriteQueue()
    coming, start, length = iter(pictures), 0, segment_length(size)
    try:
        while start < len(trajectory):
            part = slice(start, min(start + length, len(trajectory)))
            kept, source = _taken(coming, part, size, len(trajectory))
            fit = Fit(source, size)
            path = replace(trajectory[part], intrinsics=fit.lens(trajectory.intrinsics[part]))
            if (written := queue.wait()) is not None:
                state = written
                yield Remembered(state, state.frames - begun, True)
            noted = {} if taken is None else {"times": [round(second, 6) for second in taken[part].tolist()]}
            found, known = SegmentDepth(), None
            if isinstance(depth, DepthSource):
                # What is read joins what this memory knows: it is looked for after no other, and before it is read.
                key = _key(kept, path, Identity().add("depth", (depth.identity, state.id)).hexdigest().encode())
                known = state.bank.recall(state, key) if state.bank.knows(key) else None
                if known is None:
                    found = segment_depth(state, depth, path, kept, part.start)
            elif depth is not None:
                found = SegmentDepth(depth_to_keep(fit.depth(depth(part)), len(kept), state.depth_size))
            described: dict[str, Any] = {
                "trajectory": path, "shot": shot, "info": {"source": SOURCE, **noted, **found.info},
                "depth": found.depth,
            }  # fmt: skip
            if not isinstance(depth, DepthSource):
                key = _key(kept, path, _depth_bytes(found.depth))
                known = state.bank.take_over(state, key, **described) if state.bank.knows(key) else None
            if known is not None:
                state = state.bank.within(known)
                yield Remembered(state, part.stop, False)
            elif state.bank.max_bytes is None:
                ready = state.bank.prepare(state, frames=kept, key=key, **described)
                queue.begin(ready, state.frames)
                state = ready.state
            else:
                state = state.bank.append(state, frames=kept, key=key, **described)
                yield Remembered(state, part.stop, True)
            start = part.stop
        if (written := queue.wait()) is not None:
            yield Remembered(written, len(trajectory), True)
        if next(coming, None) is not None:
            raise ValueError(f"There are more pictures than the {len(trajectory)} cameras. Give one camera for each.")
    finally:
        queue.close()


def _taken(
    coming: Iterator[NDArray[np.uint8]], part: slice, size: tuple[int, int], cameras: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The next pictures in their new size (n, h, w, 3), and the size that they had."""
    kept: NDArray[np.uint8] | None = None
    source = size
    for row in range(part.stop - part.start):
        picture = next(coming, None)
        if picture is None:
            raise ValueError(f"There are {part.start + row} pictures for {cameras} cameras. Give one camera for each.")
        if kept is None:
            source = (picture.shape[0], picture.shape[1])
            kept = np.empty((part.stop - part.start, *size, 3), dtype=np.uint8)
        elif picture.shape[:2] != source:
            raise ValueError(f"Picture {part.start + row} is {shown((picture.shape[0], picture.shape[1]))}, those "
                             f"before it {shown(source)} (width x height). Bring them to one size first.")
        kept[row] = Fit(source, size).picture(picture)
    assert kept is not None, "a part has a picture"
    return kept, source


def _key(pictures: NDArray[np.uint8], path: Trajectory, depth: bytes) -> str:
    """The key of a segment: of all that is kept of it; ``depth`` is what determines that."""
    whole = hashlib.sha256(f"remembered {RECIPE} {pictures.shape} {path.fps!r} ".encode())
    for part in (pictures, path.poses, path.intrinsics):
        whole.update(np.ascontiguousarray(part).data)
    whole.update(depth)
    return whole.hexdigest()


def _depth_bytes(depth: NDArray[np.float16] | None) -> bytes:
    return b"" if depth is None else f"depth {depth.shape}".encode() + np.ascontiguousarray(depth).tobytes()

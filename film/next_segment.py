"""The segment that follows a memory along a camera path, as the loop makes it and as it is made again to be watched."""

from __future__ import annotations

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.retrieve import Retrieval
from ..memory.state.state import MemoryState
from .context import ContextReader
from .continuity import whole_path
from .model import Adapter
from .segment import Segment


def next_segment(
    state: MemoryState,
    path: Trajectory,
    retrieval: Retrieval | None,
    adapter: Adapter,
    size: tuple[int, int],
    reader: ContextReader,
    goes_on: bool,
) -> Segment:
    """What the model is to make for the new frames of ``path``, on its own grid of lengths.

    Args:
        state: the memory before the segment.
        retrieval: the past frames that it may look at.
        size: (width, height).
        goes_on: whether it goes on from the newest frames, and so begins with those of the adapter's overlap, which are
            known; else it is a cut.
    """
    overlap = adapter.overlap_after(state.frames) if goes_on else 0
    context = reader.read(state, retrieval)
    first = state.frames - overlap
    known = reader.pixels(state, range(first, state.frames)) if overlap else None
    whole = whole_path(state, path, overlap, adapter.made_for(len(path) + overlap))
    return Segment(whole, *size, context, None if known is None else known[0], first, known)

"""What one step of training shows: a segment of a clip and frames to look at (Context-as-Memory, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...memory.retrieval.retrieve import retrieve
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.edits import Edit
from ...memory.state.state import MemoryState
from .clips import Clip


@dataclass(frozen=True)
class LessonPlan:
    """How lessons are drawn.

    frames: pictures of a segment, 4n+1. retrieval: k context frames: k-1 retrieved, and the segment's first.
    recent_share: lessons that see the segment's first frame only (the paper: 0.1). empty_share: lessons without
    context, as a film begins (ours). silent_share: lessons without caption, for guidance. begins_share: of a model that
    can be given its first picture, lessons in which it is.
    """

    frames: int = 81
    retrieval: RetrievalSettings = field(default_factory=lambda: RetrievalSettings(strategy="fov_nonadjacent", k=20))
    recent_share: float = 0.1
    empty_share: float = 0.1
    silent_share: float = 0.1
    begins_share: float = 0.9

    def __post_init__(self) -> None:
        for name in ("recent_share", "empty_share", "silent_share", "begins_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a share and lies between 0 and 1. Use 0.1.")
        if self.recent_share + self.empty_share > 1.0:
            raise ValueError("recent_share and empty_share are more than 1 together. Use 0.1 for each.")


@dataclass(frozen=True)
class Lesson:
    """A segment (``first`` frame and number of ``frames``) of clip number ``clip``, and context frames, oldest first.

    told: whether the caption is given. begins: whether the first picture is.
    """

    clip: int
    first: int
    frames: int
    context: tuple[int, ...]
    told: bool
    begins: bool


def draw_lesson(clips: list[Clip], cameras: list[MemoryState], plan: LessonPlan, random: np.random.Generator) -> Lesson:
    """A lesson from one of the clips, longer ones more often. The same random numbers draw the same lesson.

    Args:
        cameras: ``clip.cameras()`` of each clip.

    Raises:
        ValueError: no clip is long enough for a segment.
    """
    room = np.array([max(0, len(clip) - plan.frames + 1) for clip in clips], dtype=np.float64)
    if not room.any():
        longest = max(len(clip) for clip in clips)
        raise ValueError(
            f"frames is {plan.frames}, but the longest clip has {longest}. Use {(longest - 1) // 4 * 4 + 1} or fewer."
        )
    clip = int(random.choice(len(clips), p=room / room.sum()))
    first = int(random.integers(room[clip]))
    kind = random.random()
    context: tuple[int, ...] = ()
    if kind >= plan.empty_share:
        recent = kind < plan.empty_share + plan.recent_share
        context = (first,) if recent else context_for(cameras[clip], clips[clip], first, plan, random)
    told, begins = random.random() >= plan.silent_share, random.random() < plan.begins_share
    return Lesson(clip, first, plan.frames, context, told, begins)


def context_for(
    cameras: MemoryState, clip: Clip, first: int, plan: LessonPlan, random: np.random.Generator
) -> tuple[int, ...]:
    """The segment's first frame and k-1 frames retrieved from all of the clip that is not the segment."""
    stop = first + plan.frames
    others = cameras.with_edit(Edit("exclude", ((first, stop),)))
    settings = replace(plan.retrieval, k=plan.retrieval.k + 1, seed=int(random.integers(2**31)))
    found = retrieve(others, clip.trajectory[first:stop], settings)
    # Retrieval always gives the newest frame, which here is only the clip's end: it has to earn its place.
    earned = [int(reason.index) for reason in found.reasons if reason.rule != "most recent"]
    return tuple(sorted({first, *earned[: plan.retrieval.k - 1]}))

"""A training, and what one step shows: a segment of a clip and frames to look at (Context-as-Memory, algorithm 1)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from ...memory.retrieval.retrieve import retrieve
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.state.edits import Edit
from ...memory.state.state import MemoryState
from ...models.wan.options import MemoryOptions
from ..attention import Routing
from .clips import Clip

CONTEXT, MEMENTO = "context", "memento"
OBJECTIVES = (CONTEXT, MEMENTO)
LEAST_PAST = 4
"""Frames before a segment that Memento's lessons need: one latent frame."""


@dataclass(frozen=True)
class LessonPlan:
    """How lessons are drawn.

    frames: pictures of a segment, 4n+1. retrieval: k context frames: k-1 retrieved, and the segment's first; for
    Memento k frames retrieved from before the segment.
    recent_share: lessons that see the segment's first frame only (the paper: 0.1), for Memento those that remember no
    more than a segment's length and rebuild no subject (its code: 0.1). empty_share: lessons without context, as a film
    begins (ours; never for Memento). silent_share: lessons without caption, for guidance. begins_share: of a model that
    can be given its first picture, lessons in which it is (Memento's code: 0.5). subject_share: Memento's lessons that
    rebuild the subject where the clip tells of one (its script: 0.8).
    """

    frames: int = 81
    retrieval: RetrievalSettings = field(default_factory=lambda: RetrievalSettings(strategy="fov_nonadjacent", k=20))
    recent_share: float = 0.1
    empty_share: float = 0.1
    silent_share: float = 0.1
    begins_share: float = 0.9
    subject_share: float = 0.8
    objective: str = CONTEXT

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective is {self.objective!r}: use {' or '.join(OBJECTIVES)}.")
        for name in ("recent_share", "empty_share", "silent_share", "begins_share", "subject_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a share and lies between 0 and 1. Use 0.1.")
        if self.recent_share + self.empty_share > 1.0:
            raise ValueError("recent_share and empty_share are more than 1 together. Use 0.1 for each.")


@dataclass(frozen=True)
class Training:
    """One training. steps: in all, resumed stretches included. batch: lessons of one step, one after another. draws:
    noises of one lesson, at once.

    part: "transformer", or "transformer_2" for the low noise half of a pair. shift: of the noise levels, as it will be
    in sampling. subject_weight: of Memento's subject against the shot (lambda of its equation 8; the paper's is 0.5,
    the script of its code has 1). exam_every: steps from one examination to the next, 0 for none.
    """

    steps: int
    seed: int = 0
    batch: int = 1
    rate: float = 1e-4
    decay: float = 0.01
    rank: int = 64
    layers: str = "attention"
    part: str = "transformer"
    shift: float = 3.0
    save_every: int = 250
    lessons: LessonPlan = field(default_factory=LessonPlan)
    options: MemoryOptions = MemoryOptions()
    routing: Routing | None = None
    draws: int = 1
    subject_weight: float = 0.5
    exam_every: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "save_every", "draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 1 is needed. Use 1.")
        for name in ("rate", "shift"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0.")
        if not 0.0 <= self.subject_weight < float("inf"):
            raise ValueError(f"subject_weight is {self.subject_weight}: it must be 0 or above. Use 0.5.")
        if self.lessons.objective == MEMENTO and self.routing is not None:
            raise ValueError("Memento splits its attention itself, so it cannot be routed. Leave --top-k out.")

    def shared_settings(self) -> str:
        """What a stretch that goes on must share with the one before, as text."""
        free = ("steps", "save_every", "exam_every")
        kept = {name: value for name, value in asdict(self).items() if name not in free}
        return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True)
class Lesson:
    """A segment (``first`` frame and number of ``frames``) of clip number ``clip``, and context frames, oldest first.

    captioned: whether the caption is given. begins: whether the first picture is. subject: the frame of the clip that
    is rebuilt from memory, if any; subject_captioned: whether its description is given.
    context_clip: the clip that the context comes from, where it is not the segment's own; for examinations.
    """

    clip: int
    first: int
    frames: int
    context: tuple[int, ...]
    captioned: bool
    begins: bool
    subject: int | None = None
    subject_captioned: bool = True
    context_clip: int | None = None


def draw_lesson(clips: list[Clip], cameras: list[MemoryState], plan: LessonPlan, random: np.random.Generator) -> Lesson:
    """A lesson from one of the clips, longer ones more often. The same random numbers draw the same lesson.

    Args:
        cameras: ``clip.cameras()`` of each clip.

    Raises:
        ValueError: no shot is long enough for a segment.
    """
    starts = [_starts(clip, plan) for clip in clips]
    room = np.array([len(found) for found in starts], dtype=np.float64)
    if not room.any():
        longest = max(shot.stop - shot.first for clip in clips for shot in clip.shots)
        past = f" after {LEAST_PAST} frames to remember" if plan.objective == MEMENTO else ""
        raise ValueError(
            f"frames is {plan.frames}, but the longest shot has {longest}{past}. "
            f"Use {max(1, (longest - 1) // 4 * 4 + 1)} or fewer."
        )
    clip = int(random.choice(len(clips), p=room / room.sum()))
    first = int(starts[clip][int(random.integers(room[clip]))])
    if plan.objective == MEMENTO:
        return _story_lesson(cameras[clip], clips, clip, first, plan, random)
    kind = random.random()
    context: tuple[int, ...] = ()
    if kind >= plan.empty_share:
        recent = kind < plan.empty_share + plan.recent_share
        context = (first,) if recent else context_for(cameras[clip], clips[clip], first, plan, random)
    captioned, begins = random.random() >= plan.silent_share, random.random() < plan.begins_share
    return Lesson(clip, first, plan.frames, context, captioned, begins)


def context_for(
    cameras: MemoryState, clip: Clip, first: int, plan: LessonPlan, random: np.random.Generator
) -> tuple[int, ...]:
    """The segment's first frame and k-1 frames retrieved from all of the clip that is not the segment."""
    k = plan.retrieval.k
    found = _retrieved(cameras, clip, first, plan, ((first, first + plan.frames),), random)
    return tuple(sorted({first, *found[: k - 1]}))


def _story_lesson(
    cameras: MemoryState, clips: list[Clip], number: int, first: int, plan: LessonPlan, random: np.random.Generator
) -> Lesson:
    """A shot and k frames of what came before it, and perhaps a picture of the subject that came before it too."""
    clip, recent = clips[number], random.random() < plan.recent_share
    since = max(0, first - plan.frames) if recent else 0
    hidden = tuple(part for part in ((0, since), (first, len(clip))) if part[0] < part[1])
    memory = tuple(sorted(_retrieved(cameras, clip, first, plan, hidden, random)[: plan.retrieval.k]))
    captioned, begins = random.random() >= plan.silent_share, random.random() < plan.begins_share
    shows = [frame for frame in clip.shows if frame < first]
    rebuilt = random.random() < plan.subject_share and bool(shows) and not recent
    subject = int(random.choice(shows)) if rebuilt else None
    return Lesson(number, first, plan.frames, memory, captioned, begins, subject, random.random() >= plan.silent_share)


def _starts(clip: Clip, plan: LessonPlan) -> list[int]:
    """First frames of the segments that lie in one shot."""
    least = LEAST_PAST if plan.objective == MEMENTO else 0
    return [
        first for shot in clip.shots for first in range(max(shot.first, least), shot.stop - plan.frames + 1)
    ]  # fmt: skip


def _retrieved(
    cameras: MemoryState,
    clip: Clip,
    first: int,
    plan: LessonPlan,
    hidden: tuple[tuple[int, int], ...],
    random: np.random.Generator,
) -> list[int]:
    """At least k frames of a clip that are not hidden, if there are so many; the most telling come first."""
    others = cameras.with_edit(Edit("exclude", hidden))
    settings = replace(plan.retrieval, k=plan.retrieval.k + 1, seed=int(random.integers(2**31)))
    found = retrieve(others, clip.trajectory[first : first + plan.frames], settings)
    # Retrieval always gives the newest frame, which here is only the newest that is left: it has to earn its place.
    earned = [int(reason.index) for reason in found.reasons if reason.rule != "most recent"]
    newest = [int(reason.index) for reason in found.reasons if reason.rule == "most recent"]
    return earned if plan.objective == CONTEXT else [*newest, *earned]

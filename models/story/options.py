"""How a Wan image to video model is given the memory of a story: carried by the MODEL as an attachment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

STORYMEM, MEMENTO = "StoryMem", "Memento"
METHODS = (STORYMEM, MEMENTO)
FRAME, MOTION = 1, 5
"""Newest pictures with which a shot that goes on begins: StoryMem's MI2V and MM2V."""

ATTACHMENT = "scene_memory_story"


@dataclass(frozen=True, eq=False)
class StoryOptions:
    """Which layout the LoRA was trained with.

    known: newest pictures that a shot that goes on is given, FRAME or MOTION. spacing: for StoryMem, latent frames from
    one remembered frame to the next; 1 is what its released code does. subject, no_subject: for Memento, the encoded
    text (1, L, width) of the subject that is rebuilt beside the shot, and of an empty one for the negative prompt; None
    rebuilds nothing.
    """

    method: str = STORYMEM
    known: int = FRAME
    spacing: int = 1
    subject: Tensor | None = None
    no_subject: Tensor | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}: expected one of {', '.join(METHODS)}.")
        if self.known not in (FRAME, MOTION):
            raise ValueError(f"known_frames is {self.known}: a story goes on from {FRAME} or {MOTION} pictures. Use 1.")
        if self.spacing < 1:
            raise ValueError(f"spacing is {self.spacing}: remembered frames lie 1 latent frame apart or more. Use 1.")


def with_story(model: Any, options: StoryOptions) -> Any:
    """A copy of a MODEL that carries the options."""
    marked = model.clone()
    marked.set_attachments(key=ATTACHMENT, attachment=options)
    return marked


def story_of(model: Any) -> StoryOptions | None:
    """The options that a MODEL carries; None if it is to be given a memory in the way of its family."""
    found = model.get_attachment(key=ATTACHMENT)
    return found if isinstance(found, StoryOptions) else None

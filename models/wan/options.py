"""How a Wan is given its memory: what the artist says, carried by the MODEL, and what follows for RoPE positions.

Nothing of ComfyUI is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AUTO = "auto"
CLEAN, SAME, NOISED = "clean", "same as the segment", "noised like the segment"
BEFORE, AFTER, TRUE = "before the segment", "after the segment", "true time"
TIMES = (AUTO, CLEAN, SAME, NOISED)
POSITIONS = (AUTO, BEFORE, AFTER, TRUE)

ATTACHMENT = "scene_memory_wan"

STRIDE = 4
"""Pictures to one latent frame of Wan's VAEs; the first latent frame is one picture."""


@dataclass(frozen=True)
class MemoryOptions:
    """What the model was trained to take; AUTO follows the family.

    times: time at which context frames enter. CLEAN is time 0 for clean latents, SAME the segment's own time for clean
    latents, NOISED the segment's own time for latents with the noise of that time.
    positions: where the context frames stand in time (RoPE), see ``ContextPositions``.
    blank_negative: the negative prompt sees blank frames in place of the context, as Phantom's does.
    """

    times: str = AUTO
    positions: str = AUTO
    blank_negative: bool = False

    def __post_init__(self) -> None:
        for name, given, known in (("times", self.times, TIMES), ("positions", self.positions, POSITIONS)):
            if given not in known:
                raise ValueError(f"{name} is {given!r}: expected one of {', '.join(known)}. Use {AUTO}.")


@dataclass(frozen=True)
class WanOptions(MemoryOptions):
    """What a Wan in ComfyUI takes beside that.

    low_noise, boundary: a second MODEL that goes on where the noise level has fallen below the boundary (0..1).
    switch_step: instead, the step with which the second MODEL begins, counted from 0; 0 goes by the boundary.
    low_noise_cfg: cfg of the second MODEL; 0 takes the first one's.
    clip_vision: encodes each segment's first picture, for Wan 2.1 image to video.
    camera_scale: how far Fun Camera goes for one scene unit.
    """

    low_noise: Any = None
    boundary: float = 0.875
    switch_step: int = 0
    low_noise_cfg: float = 0.0
    clip_vision: Any = None
    camera_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.boundary < 1.0:
            raise ValueError(f"boundary is {self.boundary:g}: it must lie between 0 and 1. Use 0.875, or 0.9 for I2V.")
        if self.switch_step < 0:
            raise ValueError(f"switch_step is {self.switch_step}: steps are counted from 0. Use 0 for the boundary.")
        if not 0.0 <= self.low_noise_cfg < float("inf"):
            raise ValueError(f"low_noise_cfg is {self.low_noise_cfg:g}: it must be 0 or more. Use 0 for the same cfg.")

    @property
    def pair(self) -> dict[str, Any]:
        """How the pair shares the steps, by the names of ``Conditioned``."""
        cfg = self.low_noise_cfg or None
        return {"boundary": self.boundary, "switch_step": self.switch_step, "low_noise_cfg": cfg}


def with_options(model: Any, options: WanOptions) -> Any:
    """A copy of a MODEL that carries the options."""
    marked = model.clone()
    marked.set_attachments(key=ATTACHMENT, attachment=options)
    return marked


def options_of(model: Any) -> WanOptions:
    """The options that a MODEL carries, or those that follow the family."""
    found = model.get_attachment(key=ATTACHMENT)
    return found if isinstance(found, WanOptions) else WanOptions()


@dataclass(frozen=True)
class ContextPositions:
    """RoPE positions in time of context frames, oldest first, in latent frames; the first frame being made is at 0.

    ``kind`` BEFORE: -K..-1. AFTER: the newest right behind the T frames being made, older ones further on, as
    Echo-Memory and Phantom append theirs. TRUE: ``ago`` latent frames before the segment, as long ago as they are.
    """

    kind: str
    ago: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ago)

    def at(self, own: int) -> list[float]:
        """Positions (K,) beside ``own`` frames being made."""
        count = len(self)
        if self.kind == AFTER:
            return [float(own + count - 1 - index) for index in range(count)]
        if self.kind == TRUE:
            return [-ago for ago in self.ago]
        assert self.kind == BEFORE
        return [float(index - count) for index in range(count)]

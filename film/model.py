"""The protocol of a video model for the segment loop: its lengths and sizes, sampling, decoding and identity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..memory.state.state import MemoryState
from .keys import ShotKey
from .latents import ContextLatents
from .plan import CONTEXT_FRAMES, ShotPlan
from .segment import ContextFrames, Segment

Pixels = NDArray[np.uint8]
OnStep = Callable[[int, Tensor], None]
"""on_step(step, x0) after each sampling step, x0 being the latent that the step leads to."""

KEPT = "Nothing of this segment is kept; what was finished before it stays in the bank, and a new run goes on from it."
"""What a refusal of a segment that has been made ends with."""


class VideoModel(ABC):
    """A video model as Context-as-Memory needs it: how long and large its segments are, how many past frames it looks
    at, and how a segment is made. A host (ComfyUI, diffusers) serves its models by a class of this kind."""

    name: str
    """What artists read, and part of a segment's key, as is the version."""

    version: int
    """Raised whenever a change makes other pictures of the same inputs: segments of before are then made anew."""

    frame_numbers: bool = True
    """Whether it matters which frames of the film the context frames and the segment are, beside what they show."""

    default_segment: int
    """Frames a segment, if the artist does not say."""

    longest_segment: int
    shortest_segment: int = 1
    frame_grid: tuple[int, int] = (1, 0)
    """(n, r): the model makes a multiple of n and r frames more, such as Wan's 4n + 1."""

    default_size: tuple[int, int]
    """(width, height) for a memory that has no frames yet."""

    size_multiple: int
    context_without_retriever: int
    """Most recent frames that the model looks at when no retriever is connected."""

    most_context: int
    """Context frames beyond which the model was never trained."""

    overlap: int = 0
    """Newest frames with which a segment that goes on begins: they are known, and are not put into the film again."""

    memory_ways: tuple[str, ...] = (CONTEXT_FRAMES,)
    """How memory can enter: of ``plan.MEMORY_WAYS``."""

    @abstractmethod
    def sample(self, plan: ShotPlan, segment: Segment, seed: int, on_step: OnStep) -> Tensor:
        """The latent (1, C, T, h, w) of a segment's frames, known ones included, in the space of the plan's VAE.

        Raises ValueError where the plan does not fit the model, or what it makes is no picture.
        """

    @abstractmethod
    def decode(self, plan: ShotPlan, latent: Tensor) -> Pixels:
        """The pictures (F, H, W, 3) uint8 of such a latent.

        Raises ValueError where the VAE gives no pictures.
        """

    @abstractmethod
    def latents(self, vae: Any) -> ContextLatents | None:
        """Where latents of context frames come from, for a model that looks at them as latents; else None."""

    @abstractmethod
    def shot_key(self, plan: ShotPlan, size: tuple[int, int]) -> ShotKey:
        """What all segments of a plan of a size (width, height) share.

        Raises NoIdentity if something in it cannot be told apart; then no segment is found again.
        """

    def depth_of(self, plan: ShotPlan, frames: ContextFrames) -> NDArray[np.float32] | None:
        """The z-depth (K, h, w) in scene units that the model itself reads in K frames, for those that the memory has
        no depth of; None where it reads none."""
        return None

    def check_memory_way(self, plan: ShotPlan) -> None:
        """Raises ValueError where memory cannot enter the model as a plan says."""
        if plan.memory_enters_as not in self.memory_ways:
            raise ValueError(
                f"memory_enters_as is {plan.memory_enters_as}, but {self.name} takes {' or '.join(self.memory_ways)} "
                f"only. Use {self.memory_ways[0]}."
            )

    def notes(self) -> dict[str, Any]:
        """What is written down beside a segment for whoever looks at the bank, more than the loop itself says."""
        return {}

    @abstractmethod
    def check_interrupted(self) -> None:
        """Raises whatever ends a shot where somebody has asked for that; called before each segment."""

    def overlap_after(self, frames: int) -> int:
        """The overlap with a memory of so many frames."""
        return self.overlap

    def made_for(self, frames: int) -> int:
        """Frames that the model makes where so many are asked for; what is too many at the end is left out."""
        step, rest = self.frame_grid
        return max(self.shortest_segment, -(-(frames - rest) // step) * step + rest)

    def segment_lengths(self, frames: int, wanted: int, continues: bool = False) -> list[int]:
        """New frames of each segment of a shot, with ``wanted`` frames made at a time (0: the model's own length).

        The last may be shorter. ``continues``: the shot goes on from the newest frame, so that its first segment begins
        with the overlap, too.

        Raises ValueError where the model does not make ``wanted`` frames at a time.
        """
        length = wanted or self.default_segment
        step, rest = self.frame_grid
        if self.made_for(length) != length:
            better = max(self.shortest_segment, round((length - rest) / step) * step + rest)
            raise ValueError(
                f"segment_frames is {wanted}: {self.name} makes {step}n+{rest} frames at a time. "
                f"Use {better}, or 0 for its own length ({self.default_segment})."
            )
        if length > self.longest_segment:
            raise ValueError(
                f"segment_frames is {length}: {self.name} makes at most {self.longest_segment} frames at a time. "
                f"Use 0 for its own length ({self.default_segment})."
            )
        if length <= self.overlap and (continues or frames > length):
            raise ValueError(
                f"segment_frames is {wanted}: {self.name} begins each segment with as many known frames (overlap "
                f"{self.overlap}), so nothing new would be made. Use 0 for its own length ({self.default_segment})."
            )
        lengths: list[int] = []
        while frames > 0:
            lengths.append(min(frames, length - self.overlap * (continues or bool(lengths))))
            frames -= lengths[-1]
        return lengths

    def shot_size(self, state: MemoryState, plan: ShotPlan) -> tuple[int, int]:
        """(width, height) of a shot: the memory's, else what the plan says, else the model's own.

        Raises ValueError where the plan has another size than the memory, or the model cannot make it.
        """
        if state.size is not None:
            kept = (state.size[1], state.size[0])
            wanted = (plan.width or kept[0], plan.height or kept[1])
            if wanted != kept:
                raise ValueError(
                    f"width x height is {wanted[0]}x{wanted[1]}, but the memory holds {kept[0]}x{kept[1]} frames. "
                    "Use 0 to take the memory's size, or start a new Memory Bank."
                )
            size = kept
        else:
            size = (plan.width or self.default_size[0], plan.height or self.default_size[1])
        self.check_size(*size)
        return size

    def check_size(self, width: int, height: int) -> None:
        """Raises ValueError for a size that the model cannot make, and names the nearest that it can."""
        step = self.size_multiple
        if width < step or height < step or width % step or height % step:
            better = tuple(max(step, round(side / step) * step) for side in (width, height))
            raise ValueError(
                f"The size {width}x{height} does not fit {self.name}: width and height must be multiples of {step}. "
                f"Use {better[0]}x{better[1]}."
            )

"""A shot as a value: everything that determines it beside the model and the memory, checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.state import MemoryState
from .family import WanFamily
from .options import MemoryOptions, Routing

SIZES = {8: (832, 480), 16: (1280, 704)}
LENGTHS = {8: 81, 16: 121}
"""Width and height, and frames at a time, that a model was made for, by the scale of its VAE."""


@dataclass(frozen=True)
class ShotPlan:
    """One continuous take.

    retrieval: None looks at the newest frame where the model cannot be given its first picture, else at none.
    segment_frames, width, height: 0 takes the model's own length, and the memory's size or the model's own.
    shift: of the noise schedule; None keeps the folder's. guidance_low: guidance below the boundary of a pair.
    """

    trajectory: Trajectory
    steps: int = 40
    guidance: float = 5.0
    guidance_low: float | None = None
    shift: float | None = None
    seed: int = 0
    retrieval: RetrievalSettings | None = None
    options: MemoryOptions = MemoryOptions()
    routing: Routing | None = None
    segment_frames: int = 0
    width: int = 0
    height: int = 0
    prompt: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}: at least 1 is needed. Use 40.")
        for name in ("guidance", "guidance_low"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: it must be 0 or above. Use 5, or 1 for no guidance.")
        if self.shift is not None and not 0.0 < self.shift < float("inf"):
            raise ValueError(f"shift is {self.shift}: it must be above 0. Use 3 for 480p, 5 for 720p.")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}: it must be 0 or above and below 2**64. Use 0.")

    @property
    def lowest_guidance(self) -> float:
        """Guidance below the boundary of a pair."""
        return self.guidance if self.guidance_low is None else self.guidance_low

    @property
    def guided(self) -> bool:
        """Whether the negative prompt is computed at all."""
        return max(self.guidance, self.lowest_guidance) > 1.0

    def retrieval_for(self, family: WanFamily) -> RetrievalSettings | None:
        """How this model looks back; None for not at all."""
        if self.retrieval is None and family.newest_without_retriever:
            return RetrievalSettings(strategy="recent", k=family.newest_without_retriever)
        return self.retrieval


def shot_size(state: MemoryState, plan: ShotPlan, scale: int) -> tuple[int, int]:
    """(width, height) of a shot: the memory's, else the plan's, else the model's own.

    Args:
        scale: pixels to one number of a latent; sides must be multiples of twice as many.

    Raises:
        ValueError: the size is not the memory's, or none that the model can make.
    """
    if state.size is not None:
        kept = (state.size[1], state.size[0])
        wanted = (plan.width or kept[0], plan.height or kept[1])
        if wanted != kept:
            raise ValueError(
                f"width x height is {wanted[0]}x{wanted[1]}, but the memory holds {kept[0]}x{kept[1]} frames. "
                "Use 0 to take the memory's size, or start a new bank."
            )
    own = SIZES.get(scale, SIZES[8])
    width, height = (state.size[1], state.size[0]) if state.size else (plan.width or own[0], plan.height or own[1])
    for name, side in (("width", width), ("height", height)):
        if side < 2 * scale or side % (2 * scale):
            use = max(1, round(side / (2 * scale))) * 2 * scale
            raise ValueError(f"{name} is {side}: this model makes multiples of {2 * scale}. Use {use}.")
    return width, height


def check_memory(state: MemoryState, plan: ShotPlan) -> None:
    """Raises ValueError where a shot cannot follow a memory."""
    if state.bank is None:
        raise ValueError("This memory has no bank, so nothing could be kept. Begin with Bank.create(...).empty().")
    if state.fps is not None and state.fps != plan.trajectory.fps:
        raise ValueError(
            f"The camera path runs at {plan.trajectory.fps:g} frames a second, but the memory at {state.fps:g}. "
            "Use path.resampled(state.fps)."
        )

"""A shot as a value: everything that determines it beside the memory, checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..memory.cameras.camera import FloatArray
from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.state import MemoryState
from .depth import DepthSource
from .measured_path import AS_PLANNED, CAMERA_WAYS

CONTEXT_FRAMES, KNOWN_PIXELS, BOTH = "context frames", "known pixels", "both"
MEMORY_WAYS = (CONTEXT_FRAMES, KNOWN_PIXELS, BOTH)
"""How memory can enter a model: as frames beside those being made, as pixels of these, or as both."""


@dataclass(frozen=True)
class ShotPlan:
    """Everything that determines a shot.

    model, vae, positive, negative, sampler, cfg: what it is sampled with, known to the ``VideoModel`` alone. sigmas:
    (steps + 1,) noise levels. retriever: None looks at the newest frames only. segment_frames: 0 lets the model choose.
    width, height: 0 takes the memory's size, or the model's own. depth: (F, h, w) distance along the line of sight in
    scene units of what the frames will show, NaN where unknown: it is kept for retrieval. colour_anchor: 0..1, how far
    colours follow the remembered frames' (``colour.anchored``). depth_source: reads depth off the frames when they are
    made, in place of ``depth``. memory_enters_as: one of MEMORY_WAYS. hold_known: known pixels are kept at each step of
    the sampler. cameras: one of ``measured_path.CAMERA_WAYS``, those that the memory keeps.
    """

    model: Any
    vae: Any
    positive: Any
    negative: Any
    sampler: Any
    sigmas: Tensor
    seed: int
    cfg: float
    trajectory: Trajectory
    retriever: RetrievalSettings | None = None
    segment_frames: int = 0
    width: int = 0
    height: int = 0
    prompt: str = ""
    depth: FloatArray | None = None
    colour_anchor: float = 0.0
    depth_source: DepthSource | None = None
    memory_enters_as: str = CONTEXT_FRAMES
    hold_known: bool = False
    cameras: str = AS_PLANNED

    @property
    def has_known_pixels(self) -> bool:
        """Whether memory enters as known pixels, alone or beside context frames."""
        return self.memory_enters_as != CONTEXT_FRAMES

    @property
    def has_context(self) -> bool:
        """Whether memory enters as context frames, alone or beside known pixels."""
        return self.memory_enters_as != KNOWN_PIXELS


def check_plan(state: MemoryState, plan: ShotPlan) -> None:
    """Refuses a shot that cannot follow a memory.

    Raises ValueError in words that name the field.
    """
    if state.bank is None:
        raise ValueError(
            "The memory has no bank to write to. Start from a Memory Bank node; in a script, from "
            "Bank.create(...).empty()."
        )
    if plan.cfg != 1 and plan.negative is None:
        raise ValueError(
            f"cfg is {plan.cfg:g}, but nothing is connected to 'negative', which it steers away from. "
            "Connect a CLIP Text Encode there, or use cfg 1."
        )
    if plan.sigmas.numel() < 2:
        raise ValueError(f"sigmas holds {plan.sigmas.numel()} numbers: one step needs 2. Use 2 steps or more.")
    if state.fps is not None and abs(state.fps - plan.trajectory.fps) > 1e-6:
        raise ValueError(
            f"The camera path runs at {plan.trajectory.fps:g} frames a second, the memory at {state.fps:g}. "
            "Connect the memory to Camera Trajectory, or set the same fps."
        )
    if not 0.0 <= plan.colour_anchor <= 1.0:
        raise ValueError(
            f"colour_anchor is {plan.colour_anchor:g}: it must lie between 0 and 1. Use 0.5, or 0 for off."
        )
    if plan.memory_enters_as not in MEMORY_WAYS:
        raise ValueError(
            f"memory_enters_as is {plan.memory_enters_as!r}: expected one of {', '.join(MEMORY_WAYS)}. "
            f"Use {CONTEXT_FRAMES}."
        )
    if plan.cameras not in CAMERA_WAYS:
        raise ValueError(f"cameras is {plan.cameras!r}: expected one of {', '.join(CAMERA_WAYS)}. Use {AS_PLANNED}.")
    if plan.hold_known and not plan.has_known_pixels:
        raise ValueError(
            f"hold_known is on, but memory_enters_as is {CONTEXT_FRAMES}: there are no known pixels to hold. "
            f"Use {KNOWN_PIXELS} or {BOTH}, or switch hold_known off."
        )
    if plan.depth is not None and plan.depth_source is not None:
        raise ValueError(
            "Both 'depth' and 'depth_source' are connected, and each says how far away things are. Leave one open."
        )
    if plan.depth is not None and len(plan.depth) != len(plan.trajectory):
        raise ValueError(
            f"There are {len(plan.depth)} depth maps for a camera path of {len(plan.trajectory)} frames. "
            "Connect one for each frame, or leave 'depth' open."
        )
    if plan.depth_source is None:
        return
    frames = plan.depth_source.source.frames
    if frames and frames != len(plan.trajectory):
        raise ValueError(
            f"The depth source has {frames} depth pictures for a camera path of {len(plan.trajectory)} frames. Give it "
            "one for each frame of this shot, or use a depth model, which reads any picture."
        )

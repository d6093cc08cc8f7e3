"""The segment loop (Context-as-Memory, Algorithm 2): retrieve, sample, decode, remember, next."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import numpy as np
import torch

from ..memory.retrieval.retrieve import Retrieval, retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state import MemoryState
from ..memory.trajectory import Trajectory
from .adapters import adapter_for
from .adapters.base import Adapter, Conditioning
from .segment import ContextFrames, Segment

log = logging.getLogger(__name__)

StepCallback = Callable[[int, int, torch.Tensor], None]


@dataclass(frozen=True)
class ShotPlan:
    """Everything that determines a shot. `retriever` None looks at the newest frames only; `segment_frames` 0 lets the
    model choose; `width` and `height` 0 take the memory's size, or the model's own."""

    model: Any
    vae: Any
    positive: Conditioning
    negative: Conditioning | None
    sampler: Any
    sigmas: torch.Tensor
    seed: int
    cfg: float
    trajectory: Trajectory
    retriever: RetrievalSettings | None = None
    segment_frames: int = 0
    width: int = 0
    height: int = 0
    prompt: str = ""


@dataclass(frozen=True)
class SegmentDone:
    """One segment that is safe in the bank: its number in the shot, and the memory after it."""

    state: MemoryState
    index: int


def segment_lengths(plan: ShotPlan) -> list[int]:
    """Frames of each segment of a plan."""
    return adapter_for(plan.model).segment_lengths(len(plan.trajectory), plan.segment_frames)


def generate_shot(state: MemoryState, plan: ShotPlan, on_step: StepCallback | None = None) -> Iterator[SegmentDone]:
    """Make a shot segment by segment; each is written to the bank before it is yielded.

    Args:
        on_step: called as on_step(segment, step, x0) after every sampling step, x0 being the model's latent.

    Raises:
        ValueError: the model, size, length or frame rate do not fit, in words that name the field.
    """
    adapter = adapter_for(plan.model)
    width, height = shot_size(state, plan, adapter)
    _check(state, plan)
    shot = state.shots
    start = 0
    for index, length in enumerate(adapter.segment_lengths(len(plan.trajectory), plan.segment_frames)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        path = plan.trajectory[start : start + length]
        retrieval = choose_context(state, path, plan, adapter, index)
        segment = Segment(path, width, height, read_context(state, retrieval))
        latent = sample_segment(plan, adapter, segment, state.frames, index, on_step)
        pictures = decode(plan.vae, latent)
        state = _remember(state, plan, path, pictures, shot, retrieval)
        start += length
        yield SegmentDone(state, index)


def shot_size(state: MemoryState, plan: ShotPlan, adapter: Adapter) -> tuple[int, int]:
    """(width, height) of a shot: the memory's, else what the plan says, else the model's own."""
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
        size = (plan.width or adapter.default_size[0], plan.height or adapter.default_size[1])
    adapter.check_size(*size)
    return size


def choose_context(
    state: MemoryState, path: Trajectory, plan: ShotPlan, adapter: Adapter, index: int
) -> Retrieval | None:
    """Which past frames the segment may look at; None while nothing is remembered."""
    if not state.frames:
        return None
    settings = plan.retriever or RetrievalSettings(strategy="recent", k=adapter.context_without_retriever)
    found = retrieve(state, path, settings)
    if len(found.indices) > adapter.most_context and index == 0:
        log.info("%s looks at %d of the %d frames found.", adapter.name, adapter.most_context, len(found.indices))
    kept = found.indices[: adapter.most_context]
    return replace(found, indices=kept, reasons=found.reasons[: adapter.most_context])


def read_context(state: MemoryState, retrieval: Retrieval | None) -> ContextFrames | None:
    """The chosen frames from the bank, oldest first."""
    if retrieval is None:
        return None
    indices = np.sort(np.asarray(retrieval.indices, dtype=np.int64))
    return ContextFrames(state.read_frames(indices), state.poses[indices], state.intrinsics[indices])


def segment_seed(seed: int, first_frame: int) -> int:
    """A seed for the segment that begins at a frame: the same film position and seed give the same noise."""
    digest = hashlib.sha256(f"{seed}:{first_frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def sample_segment(
    plan: ShotPlan, adapter: Adapter, segment: Segment, first_frame: int, index: int, on_step: StepCallback | None
) -> torch.Tensor:
    """One pass of the stock guider and sampler; gives the latent in the VAE's space."""
    prepared = adapter.prepare(plan.model, plan.positive, plan.negative, segment)
    seed = segment_seed(plan.seed, first_frame)
    guider = comfy.samplers.CFGGuider(plan.model)
    if prepared.negative is None:
        guider.inner_set_conds({"positive": prepared.positive})
    else:
        guider.set_conds(prepared.positive, prepared.negative)
    guider.set_cfg(plan.cfg)
    noise = comfy.sample.prepare_noise(prepared.latent, seed)

    def callback(step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
        if on_step is not None:
            on_step(index, step, x0)
        comfy.model_management.throw_exception_if_processing_interrupted()

    latent = guider.sample(
        noise, prepared.latent, plan.sampler, plan.sigmas, callback=callback, disable_pbar=True, seed=seed
    )
    return latent.to(comfy.model_management.intermediate_device())


def decode(vae: Any, latent: torch.Tensor) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 of a segment's latent."""
    pictures = vae.decode(latent)
    if pictures.ndim == 5:
        pictures = pictures.flatten(0, 1)
    return (pictures[..., :3] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def _check(state: MemoryState, plan: ShotPlan) -> None:
    if state.bank is None:
        raise ValueError("The memory has no bank to write to. Start from a Memory Bank node.")
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


def _remember(
    state: MemoryState, plan: ShotPlan, path: Trajectory, pictures: np.ndarray, shot: int, retrieval: Retrieval | None
) -> MemoryState:
    assert state.bank is not None
    info = {
        "seed": plan.seed,
        "cfg": plan.cfg,
        "sigmas": [round(float(sigma), 6) for sigma in plan.sigmas],
        "strategy": plan.retriever.strategy if plan.retriever else "recent",
        "context": [int(index) for index in retrieval.indices] if retrieval else [],
    }
    return state.bank.append(state, frames=pictures, trajectory=path, shot=shot, prompt=plan.prompt, info=info)

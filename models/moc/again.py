"""Samples once more and watches: what routed attention looked into, for a segment of a memory or a stock latent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.sample
import numpy as np
import torch
from numpy.typing import NDArray

from ...film.context import ContextReader, next_segment
from ...film.continuity import continues, segment_seed
from ...film.loop import ENTERED
from ...film.model import VideoModel
from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.retrieve import Retrieval
from ...memory.state.state import MemoryState
from ..host.identity import model_kind
from ..host.sampling import Conditioned, Conditioning, sample
from ..registry import adapter_for, can_be_routed
from .patch import OVERRIDE
from .record import RECORD_KEY, RoutingRecord

OnStep = Callable[[int], None]


@dataclass(frozen=True)
class Sampling:
    """What a sampler is given beside latent, guidance and seed; ``negative`` None goes with a guidance of 1 only."""

    model: Any
    positive: Conditioning
    negative: Conditioning | None
    sampler: Any
    sigmas: torch.Tensor


@dataclass(frozen=True)
class SegmentAgain:
    """A segment of a memory as it was made: its frames [start, stop), the frames it could look back at, oldest first,
    and the seed and guidance that were noted with it. [first, last) are the frames of its shot."""

    start: int
    stop: int
    first: int
    last: int
    context: NDArray[np.int64]
    seed: int
    cfg: float

    def cameras(self, state: MemoryState, begin: int, end: int) -> Trajectory:
        """The camera path of frames."""
        assert state.fps is not None
        return Trajectory(*state.cameras(np.arange(begin, end)), state.fps)

    def goes_on(self, state: MemoryState) -> bool:
        """Whether it went on from the frame before it, and was no cut."""
        before = replace(state, frames=self.first)
        return self.start > self.first or continues(before, self.cameras(state, self.first, self.last))


def find_segment(state: MemoryState, frame: int) -> SegmentAgain:
    """The segment that a frame is in; negative frames count from the end.

    Raises ValueError where there is no such frame, or it was not made by the Shot Generator.
    """
    if not state.frames:
        raise ValueError("The memory is empty: nothing was made yet. Connect the memory of a Shot Generator.")
    if not -state.frames <= frame < state.frames:
        raise ValueError(f"frame is {frame}, but the memory holds {state.frames} frames. Use -1 for the newest.")
    number = int(state.segment_at([frame % state.frames])[0])
    record = state.segments[number]
    info = record.info
    if "context" not in info or "seed" not in info:
        raise ValueError(
            f"frame is {frame}, which is a picture that was brought in: the model looked into nothing. "
            "Choose a frame that the Shot Generator made, -1 for the newest."
        )
    if ENTERED in info:
        raise ValueError(
            f"frame is {frame}, whose segment was made with memory as {info[ENTERED]}: what it looked into cannot be "
            "watched again. Choose a frame of a shot with memory_enters_as on context frames."
        )
    first = last = number
    while first and state.segments[first - 1].shot == record.shot:
        first -= 1
    while last + 1 < len(state.segments) and state.segments[last + 1].shot == record.shot:
        last += 1
    return SegmentAgain(
        start=record.start,
        stop=record.start + record.frames,
        first=state.segments[first].start,
        last=state.segments[last].start + state.segments[last].frames,
        context=np.sort(np.asarray(info["context"], dtype=np.int64)),
        seed=int(info["seed"]),
        cfg=float(info.get("cfg", 1.0)),
    )


def watch_segment(
    state: MemoryState, again: SegmentAgain, sampling: Sampling, vae: Any = None, on_step: OnStep | None = None
) -> tuple[RoutingRecord, torch.Tensor]:
    """Make a segment of a memory again, with the seed and guidance noted there, and write down what it looked into.

    With the model, prompt, sampler and sigmas of then it is the same sampling: the segment is the loop's own. The
    latent (1, C, T, h, w) comes with it, before any colour anchor, which is for decoded pictures.

    Raises ValueError for a model that is not routed, a missing VAE, and a picture that was dropped from the bank.
    """
    assert state.size is not None
    adapter = adapter_for(sampling.model)
    _check_routed(sampling.model)
    if adapter.context_latents and vae is None:
        raise ValueError(f"{adapter.name} looks at past frames through its VAE: connect it to 'vae'.")
    reader = ContextReader(adapter.latents(vae))
    before, path = replace(state, frames=again.start), again.cameras(state, again.start, again.stop)
    size, onward = (state.size[1], state.size[0]), again.goes_on(state)
    _check_there(before, again, adapter, reader, onward)
    segment = next_segment(before, path, Retrieval(again.context, (), 0), adapter, size, reader, onward)
    conditioned = adapter.prepare(sampling.model, sampling.positive, sampling.negative, segment, vae)
    return watch(sampling, conditioned, seed=segment_seed(again.seed, again.start), cfg=again.cfg, on_step=on_step)


def watch(
    sampling: Sampling, conditioned: Conditioned, *, seed: int, cfg: float, on_step: OnStep | None = None
) -> tuple[RoutingRecord, torch.Tensor]:
    """Sample a conditioned pass, and write down what routed attention looked into; with it comes the latent, in the
    shape of the one that it fills, (1, C, T, h, w) of a video.

    Raises ValueError for a model that is not routed, and for guidance without a negative prompt.
    """
    if cfg != 1 and conditioned.negative is None:
        raise ValueError(
            f"The guidance (cfg) is {cfg:g}, but nothing is connected to 'negative', which it steers away from. "
            "Connect what the sampler had there."
        )
    _check_routed(sampling.model)
    model, low = conditioned.model or sampling.model, conditioned.low_noise
    latent = comfy.sample.fix_empty_latent_channels(model=sampling.model, latent_image=conditioned.latent)
    levels = tuple(float(level) for level in sampling.sigmas)
    record = RoutingRecord(latent.shape[2] if latent.ndim == 5 else 1, levels)
    watched = replace(
        conditioned,
        latent=latent,
        model=_recorded(model, record),
        low_noise=None if low is None else _recorded(low, record),
    )
    made = sample(
        model,
        watched,
        sampling.sampler,
        sampling.sigmas,
        cfg=cfg,
        seed=seed,
        on_step=lambda step, x0: on_step(step) if on_step else None,
    )
    return record, made


def _recorded(model: Any, record: RoutingRecord) -> Any:
    """A clone of a routed MODEL that fills the record. It is sampled once and thrown away; no segment's key sees it."""
    patched = model.clone()
    patched.model_options["transformer_options"] = {**patched.model_options["transformer_options"], RECORD_KEY: record}
    return patched


def _check_routed(model: Any) -> None:
    """Refuses, before anything is sampled, a MODEL in which nothing is routed or known of its attention."""
    if OVERRIDE not in model.model_options.get("transformer_options", {}):
        raise ValueError(
            f"This MODEL ({model_kind(model)}) is not routed: there is nothing to see. "
            "Connect the MODEL of MoC Sparse Sampler, with 'routing' on."
        )
    if not can_be_routed(model):
        raise ValueError(
            f"Attention of this MODEL ({model_kind(model)}) cannot be routed, so there is nothing to see: what its "
            "tokens are is not known here. Use the model of Load World Model, or a Wan without story options or VACE."
        )


def _check_there(
    before: MemoryState, again: SegmentAgain, adapter: VideoModel, reader: ContextReader, onward: bool
) -> None:
    """Refuses a segment of which a picture that the model saw was dropped since."""
    known = np.arange(before.frames - adapter.overlap_after(before.frames), before.frames) if onward else []
    seen = np.unique(np.concatenate([again.context, np.asarray(known, dtype=np.int64)]))
    if len(gone := seen[~reader.has(before, seen)]):
        raise ValueError(
            f"The picture of frame {gone[0]}, which this segment looked at, was dropped to keep the bank within its "
            "size: it cannot be made again. Choose a newer 'frame', or film with a larger max_size_gb."
        )

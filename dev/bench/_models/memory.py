"""How much more memory a segment takes for what it looks back at: what the host reckons, and what tensors take."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ....film.plan import CONTEXT_FRAMES
from ....film.segment import Segment
from ....memory.retrieval.retrieve import Retrieval
from .loaded import Loaded
from .shots import CONTEXT, DEGREES, Studio


@dataclass(frozen=True)
class Memory:
    """Bytes of a sampling step without and with remembered frames: as the host reckons them, and as measured."""

    predicted: tuple[float, float]
    real: tuple[float, float]

    @property
    def predicted_over_real(self) -> float:
        """The growth that the host reckons with over the growth that is measured, each as a share of what is needed
        without memory: the host's own figure is made for whole models on a GPU, its growth holds for any."""
        reckoned, measured = ((more - before) / before for before, more in (self.predicted, self.real))
        return reckoned / measured


def memory_of(studio: Studio, wide: Any) -> Memory:
    """One step of sampling ``wide``, both prompts in one batch, without remembered frames and with CONTEXT.

    Real is the most bytes of tensors that the step has alive at once beyond those that were there before it, see
    ``_peak``. Predicted is what the host asks for when it makes room
    for the same step.
    """
    loaded = replace(studio.loaded, model=wide)
    found = [_step(studio, loaded, segment_of(studio, count)) for count in (0, CONTEXT)]
    return Memory((found[0][0], found[1][0]), (found[0][1], found[1][1]))


def segment_of(studio: Studio, context: int) -> Segment:
    """A segment that goes on from the studio's past, as the loop builds it, looking back at so many of its frames."""
    from ....film.context import ContextReader
    from ....models.registry import adapter_for

    state, adapter = studio.past, adapter_for(studio.loaded.model, studio.family.way)
    overlap = adapter.overlap_after(state.frames)
    reader = ContextReader(adapter.latents(studio.loaded.vae))
    looked = np.linspace(0, state.frames - 6, context).astype(np.int64)
    seen = reader.read(state, Retrieval(looked[: adapter.most_context], (), 0)) if context else None
    known = reader.pixels(state, range(state.frames - overlap, state.frames)) if overlap else None
    path = studio.turn(studio.family.frames, -DEGREES).after(state.last_pose)
    first = state.frames - overlap
    return Segment(path, *studio.family.size, seen, None if known is None else known[0], first, known)


def prepared_of(loaded: Loaded, segment: Segment, way: str = CONTEXT_FRAMES) -> Any:
    """What Shot Generator would sample for a segment."""
    from ....models.registry import adapter_for

    adapter = adapter_for(loaded.model, way)
    return adapter.prepare(loaded.model, loaded.positive, loaded.negative, segment, loaded.vae)


def _step(studio: Studio, loaded: Loaded, segment: Segment) -> tuple[float, float]:
    """Bytes of one step, predicted and real."""
    import comfy.patcher_extension
    import comfy.sampler_helpers

    from ....models.host.sampling import sample

    asked: list[float] = []

    def reckon(executor: Any, model: Any, shape: Any, conds: Any, *rest: Any, **named: Any) -> Any:
        asked.append(comfy.sampler_helpers.estimate_memory(model, shape, conds)[0])
        return executor(model, shape, conds, *rest, **named)

    prepared = prepared_of(loaded, segment, studio.family.way)
    model = (prepared.model or loaded.model).clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREPARE_SAMPLING, "watch", reckon)
    once = replace(prepared, model=model, low_noise=None)

    def run() -> Any:
        return sample(
            model,
            once,
            studio.sampler,
            studio.sigmas()[:2],
            cfg=studio.family.cfg,
            seed=1,
            on_step=lambda step, x0: None,
        )

    peak = float(_peak(run, model.model.diffusion_model))
    return asked[0], peak


BEGIN = "the first block begins"


def _peak(run: Any, network: Any) -> int:
    """Most bytes of tensors alive at once, beyond those that were there before the call, from its first block on.

    At real size that is where the peak lies. Before, in a tiny segment, copies that a processor makes of convolutions'
    weights, as Fun Camera has them, outweigh all that grows with the segment.
    """

    def mark(*_: Any) -> None:
        with torch.profiler.record_function(BEGIN):
            pass

    blocks = getattr(network, "blocks", None)
    hook = blocks[0].register_forward_pre_hook(mark) if blocks is not None else None
    activities = [torch.profiler.ProfilerActivity.CPU]
    gc.collect()
    try:
        with torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True) as profile:
            result = run()
    finally:
        if hook is not None:
            hook.remove()
    del result
    events = sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    now = most = 0
    counts = all(event.name() != BEGIN for event in events)
    for event in events:
        if event.name() == BEGIN:
            counts = True
        elif event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now) if counts else 0
    return most

"""One segment: from noise to latents with the folder's scheduler, one model or two, with guidance and context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .forward import Context, predict
from .options import Routing
from .start import Start

StepCallback = Callable[[int, float, Tensor], None]
"""on_step(step, timestep, latents) after each step."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """What the models are told: text (1, L, D) for and against, and CLIP's view of the first picture."""

    positive: Tensor
    negative: Tensor | None = None
    image: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Models:
    """The transformer, and for a pair the one that goes on below ``boundary``, a timestep."""

    high: Any
    low: Any = None
    boundary: float = 0.0

    def at(self, timestep: float) -> tuple[Any, bool]:
        """The transformer for a timestep, and whether it is the one for low noise."""
        low = self.low is not None and timestep < self.boundary
        return (self.low if low else self.high), low


@dataclass(frozen=True, eq=False)
class Guidance:
    """How far away from the negative prompt: by the transformer for high and for low noise; 1 is not at all."""

    high: float = 1.0
    low: float = 1.0

    def mixed(self, low: bool, yes: Tensor, no: Callable[[], Tensor]) -> Tensor:
        """The prediction with guidance; the negative is only computed where it counts."""
        scale = self.low if low else self.high
        if scale <= 1.0:
            return yes
        against = no()
        return against + scale * (yes - against)


def sample(
    models: Models,
    scheduler: Any,
    noise: Tensor,
    prompts: Prompts,
    *,
    start: Start,
    guidance: Guidance,
    context: Context | None = None,
    blank_negative: bool = False,
    routing: Routing | None = None,
    on_step: StepCallback | None = None,
) -> Tensor:
    """Latents (1, C, T, h, w) float32 of a segment, from ``noise`` of that shape and a scheduler with its steps set."""
    latents, frames = noise.float(), noise.shape[2]
    against = context.blank() if context is not None and blank_negative else context
    for step, time in enumerate(scheduler.timesteps):
        network, low = models.at(float(time))
        kind = next(network.parameters()).dtype
        given = start.given(latents).to(kind)
        timestep = start.timestep(time.to(latents.device), frames)
        level = float(scheduler.sigmas[step])
        routed = routing if routing is not None and step >= routing.dense_steps else None

        def told(text: Tensor, seen: Context | None, network=network, given=given, kind=kind,
                 timestep=timestep, level=level, routed=routed) -> Tensor:  # fmt: skip
            image = prompts.image.to(kind) if prompts.image is not None else None
            shared = {"image": image, "context": seen, "level": level, "routing": routed}
            return predict(network, given, timestep, text.to(kind), **shared).float()

        def negative(told=told) -> Tensor:
            assert prompts.negative is not None, "checked with the guidance"
            return told(prompts.negative, against)

        made = guidance.mixed(low, told(prompts.positive, context), negative)
        latents = scheduler.step(made, time, latents, return_dict=False)[0]
        if on_step is not None:
            on_step(step, float(time), latents)
    return start.finished(latents)

"""Where remembered frames in front of a shot stand in time (RoPE)."""

from __future__ import annotations

from typing import Any

import comfy.conds
from torch import Tensor

from ..blocks import rotary, with_block_arguments

WRAPPER_KEY = "scene_memory_story"
PLACES = "scene_memory_story_places"


def spaced(count: int, spacing: int) -> tuple[float, ...]:
    """Places of ``count`` frames, oldest first, ``spacing`` latent frames apart, the shot's first frame being at 0."""
    return tuple(float((place - count) * spacing) for place in range(count))


def conditions(places: tuple[float, ...]) -> dict[str, Any]:
    """``model_conds`` that bring the places of the frames in front to the network."""
    return {PLACES: comfy.conds.CONDConstant(cond=places)}


def place_front(executor: Any, x: Tensor, timestep: Tensor, context: Tensor, clip: Any = None, concat: Any = None,
                transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL). Without places it hands everything on as it came."""
    options, places = transformer_options or {}, conds.pop(PLACES, None)
    if places is not None:
        network = executor.class_obj
        check_whole(options)
        embedding = rotary(network, x, options, x.shape[2] - len(places), front=places)
        options = with_block_arguments(options, [lambda given: {**given, "pe": embedding}] * len(network.blocks))
    result: Tensor = executor(x, timestep, context, clip, concat, options, **conds)
    return result


def check_whole(options: dict[str, Any]) -> None:
    """Refuses a part of the shot, whose frames in front would be missing."""
    if options.get("context_window") is not None:
        raise ValueError(
            "Context windows cut a story's remembered frames off. Leave the context window node out; use "
            "segment_frames of Shot Generator for longer shots."
        )

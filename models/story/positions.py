"""Where remembered frames in front of a shot stand in time (RoPE)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.conds
import torch
from torch import Tensor

WRAPPER_KEY = "scene_memory_story"
PLACES = "scene_memory_story_places"


def spaced(count: int, spacing: int) -> tuple[float, ...]:
    """Places of ``count`` frames, oldest first, ``spacing`` latent frames apart, the shot's first frame being at 0."""
    return tuple(float((place - count) * spacing) for place in range(count))


def conditions(places: tuple[float, ...]) -> dict[str, Any]:
    """``model_conds`` that bring the places of the frames in front to the network."""
    return {PLACES: comfy.conds.CONDConstant(places)}


def place_front(executor: Any, x: Tensor, timestep: Tensor, context: Tensor, clip: Any = None, concat: Any = None,
                transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL). Without places it hands everything on as it came."""
    options, places = transformer_options or {}, conds.pop(PLACES, None)
    if places is not None:
        network = executor.class_obj
        check_whole(options)
        turned = rotary(network, places, x, options)
        options = told_blocks(options, len(network.blocks), lambda given: {**given, "pe": turned})
    result: Tensor = executor(x, timestep, context, clip, concat, options, **conds)
    return result


def rotary(network: Any, places: tuple[float, ...], x: Tensor, options: dict[str, Any]) -> Tensor:
    """RoPE (1, tokens, 1, d/2, 2, 2) of x (B, C, K + T, h, w): K frames at ``places``, then the shot where the network
    itself puts it. Places are computed in float32: bfloat16 has no whole numbers above 256."""
    height, width = x.shape[-2:]
    scale = (options.get("rope_options") or {}).get("scale_t", 1.0)
    made = [
        network.rope_encode(t=1, h=height, w=width, t_start=place * scale, device=x.device, dtype=torch.float32,
                            transformer_options=options)
        for place in places
    ]  # fmt: skip
    own = network.rope_encode(
        t=x.shape[2] - len(places), h=height, w=width, device=x.device, dtype=x.dtype, transformer_options=options
    )
    return torch.cat([*made, own], dim=1)


def check_whole(options: dict[str, Any]) -> None:
    """Refuses a part of the shot, whose frames in front would be missing."""
    if options.get("context_window") is not None:
        raise ValueError(
            "Context windows cut a story's remembered frames off. Leave the context window node out; use "
            "segment_frames of Shot Generator for longer shots."
        )


def told_blocks(options: dict[str, Any], blocks: int, tell: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Options under which every block is given what ``tell`` makes of its arguments; replacements of others stay."""
    replaced = dict(options.get("patches_replace", {}))
    inner = replaced["dit"] = dict(replaced.get("dit", {}))
    for number in range(blocks):
        inner["double_block", number] = _telling(inner.get(("double_block", number)), tell)
    return {**options, "patches_replace": replaced}


def _telling(before: Callable[..., Any] | None, tell: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    def block(given: dict[str, Any], more: dict[str, Any]) -> Any:
        given = tell(given)
        return before(given, more) if before else more["original_block"](given)

    return block

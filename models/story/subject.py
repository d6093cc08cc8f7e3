"""Memento's pass through the network: remembered frames with the noise of the time, and a picture of the subject.

[subject | memory | shot] is one sequence. The subject is rebuilt beside the shot from a text of its own, and meets the
shot only through the memory (Memento, its split attention).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ..blocks import Arguments, Options, rotary, untraced, with_block_arguments, with_first_call
from ..wan.options import NOISED
from ..wan.timesteps import noised
from .positions import check_whole

WRAPPER_KEY = "scene_memory_memento"
MEMORY, SUBJECT, PLAN = "scene_memory_memento", "scene_memory_memento_subject", "scene_memory_memento_plan"
CALL, OVERRIDE = "scene_memory_memento_call", "optimized_attention_override"
FARTHEST = 512
STRIDE = 4

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MementoPlan:
    """Places in time of the subject's picture, if one is rebuilt, and of the remembered frames."""

    places: tuple[float, ...]
    subject: bool


def places_of(numbers: tuple[int, ...], now: int, subject: bool) -> tuple[float, ...]:
    """Places in latent frames of frames of the film, as long ago as they are, for a shot whose first new frame is
    ``now``: before it and at most 512 back, where the subject stands."""
    ago = [max(-FARTHEST, min(number // STRIDE, now // STRIDE - 1) - now // STRIDE) for number in numbers]
    return tuple(float(place) for place in ([-FARTHEST] * subject + ago))


def conditions(plan: MementoPlan, latents: Tensor, noise: Tensor, subject: Tensor | None) -> dict[str, Any]:
    """``model_conds`` that bring the remembered latents (1, 16, K, h, w) in model space, noise of that shape, and the
    text of the subject (1, L, width)."""
    told = {MEMORY: comfy.conds.CONDList(cond=[latents, noise]), PLAN: comfy.conds.CONDConstant(cond=plan)}
    return told if subject is None else {**told, SUBJECT: comfy.conds.CONDList(cond=[subject])}


def join_memory(executor: Any, x: Tensor, timestep: Tensor, context: Tensor, clip: Any = None, concat: Any = None,
                transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL). Without a memory it hands everything on as it came."""
    options = transformer_options or {}
    memory, plan, subject = conds.pop(MEMORY, None), conds.pop(PLAN, None), conds.pop(SUBJECT, None)
    if memory is not None:
        network = executor.class_obj
        check_whole(options)
        latents, noise = (part.to(x) for part in memory)
        first, count, channels = int(plan.subject), latents.shape[2], latents.shape[1]
        shown = noised(latents, noise, NOISED, options)
        x = x.clone()
        x[:, :channels, first : first + count] = shown
        embedding = rotary(network, x, options, x.shape[2] - len(plan.places), front=plan.places)
        if subject is not None:
            height, width = x.shape[-2:]
            frame = -(-height // network.patch_size[1]) * -(-width // network.patch_size[2])
            text = context.shape[1]
            context = torch.cat([context, subject[0].to(context)], dim=1)
            split = untraced(split_attention(frame, count * frame, text, subject[0].shape[1], options.get(OVERRIDE)))
            options = {**options, OVERRIDE: split}
        whole = options
        options = with_block_arguments(whole, [lambda given: _joined(given, whole, embedding)] * len(network.blocks))
    result: Tensor = executor(x, timestep, context, clip, concat, options, **conds)
    return result


def split_attention(
    subject: int, memory: int, text: int, its: int, before: Callable[..., Tensor] | None
) -> Callable[..., Tensor]:
    """An override of the host's attention, for so many tokens of the subject's picture, of memory, of the shot's text
    and of the subject's. ``before`` is the override that was there: it computes each part.

    Keys of another length after a block's self-attention are a text that another pack brings (the negative prompt of
    NAG): all tokens see it alike.
    """

    def override(backend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *rest: Any, **more: Any) -> Tensor:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return before(backend, q, k, v, *rest, **more) if before else backend(q, k, v, *rest, **more)

        mark = (more.get("transformer_options") or {}).get(CALL)
        if mark is None:
            return attend(q, k, v)
        if mark.take():
            return split_self(attend, q, k, v, subject, memory)
        return split_text(attend, q, k, v, subject, text) if k.shape[1] == text + its else attend(q, k, v)

    return override


def split_self(attend: Attention, q: Tensor, k: Tensor, v: Tensor, subject: int, memory: int) -> Tensor:
    """Tokens (B, [subject | memory | shot], C): subject with memory, memory with shot; memory takes the mean."""
    end = subject + memory
    one = attend(q[:, :end], k[:, :end], v[:, :end])
    two = attend(q[:, subject:], k[:, subject:], v[:, subject:])
    both = 0.5 * one[:, subject:] + 0.5 * two[:, :memory]
    return torch.cat([one[:, :subject], both, two[:, memory:]], dim=1)


def split_text(attend: Attention, q: Tensor, k: Tensor, v: Tensor, subject: int, text: int) -> Tensor:
    """The subject's tokens see its own text, which follows the shot's ``text`` tokens; all others see the shot's."""
    its = attend(q[:, :subject], k[:, text:], v[:, text:])
    return torch.cat([its, attend(q[:, subject:], k[:, :text], v[:, :text])], dim=1)


def _joined(given: Arguments, options: Options, embedding: Tensor) -> Arguments:
    """Arguments of a block with these positions, and a mark for its self-attention."""
    return {**with_first_call(given, CALL, options), "pe": embedding}

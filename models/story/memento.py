"""Adapter of Memento: remembered frames at their true times, and the subject rebuilt beside the shot.

[subject | memory | shot] is one sequence: remembered frames have the noise of the time, and a picture of the subject is
rebuilt beside the shot from a text of its own, and meets the shot only through the memory (Memento, its split
attention).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.conds
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ...film.segment import Segment
from ..blocks import rotary, untraced, with_block_arguments, with_first_call, with_wrappers
from ..host.sampling import Conditioned, Conditioning
from ..wan.adapter import with_conditions, with_empty_front
from ..wan.options import NOISED, STRIDE, WanOptions
from ..wan.timesteps import frame_noise, noised
from .options import MEMENTO
from .storymem import StoryMemAdapter, check_whole, grey, known_of, remembered

WRAPPER_KEY = "scene_memory_memento"
MEMORY, SUBJECT, PLAN = "scene_memory_memento", "scene_memory_memento_subject", "scene_memory_memento_plan"
CALL, OVERRIDE = "scene_memory_memento_call", "optimized_attention_override"
FARTHEST = 512

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class MementoAdapter(StoryMemAdapter):
    """Without remembered frames the shot is made as by the model's family, and no subject is rebuilt."""

    turn = 21
    files = {"Memento": ("backbone_high_noise", "backbone_low_noise")}
    method = MEMENTO

    def _conditioned(
        self, model: Any, options: WanOptions, positive: Conditioning, negative: Conditioning | None, segment: Segment,
        vae: Any,
    ) -> Conditioned:  # fmt: skip
        if self.family.clip_vision:
            raise ValueError(
                "Memento was trained on Wan 2.2 image to video A14B, but this is a Wan 2.1. Load the Wan 2.2 files, "
                "or use method StoryMem."
            )
        story, subject, known = self.options, self.options.subject is not None, known_of(segment)
        for one in (model, options.low_noise) if subject else ():
            if one is not None:
                check_cross_attention(one)
        memory, numbers = remembered(segment)
        if memory is None:
            plain = replace(segment, context=None)
            return super()._conditioned(model, options, positive, negative, plain, vae)
        now = segment.first_frame + (0 if known is None else len(known))
        plan = MementoPlan(positions_of(numbers, now, subject), subject)
        clean = model.model.process_latent_in(memory)
        noise = frame_noise(clean, numbers)
        front = memory
        if subject:
            front = torch.cat([vae.encode(grey(segment.width, segment.height)).to(memory), memory], dim=2)
        values, latent = self._values(segment, vae, front, len(numbers))

        def joined(kind: Conditioning, text: Tensor | None) -> Conditioning:
            return with_conditions(kind, values, conditions(plan, clean, noise, text))

        return Conditioned(
            positive=joined(positive, story.subject),
            negative=None if negative is None else joined(negative, story.no_subject),
            latent=with_empty_front(latent, front.shape[2]),
            model=with_memory(model),
            low_noise=None if options.low_noise is None else with_memory(options.low_noise),
            **options.pair,
            in_front=front.shape[2],
        )


def check_cross_attention(model: Any) -> None:
    """Refuses a subject beside another pack's cross attention that does not ask for attention as the host does, with
    ``transformer_options`` (NAG of KJNodes does since late 2025, before it did not): every token would be shown all of
    the text, so that the subject's own would reach the whole shot.

    Raises:
        ValueError: names the patch.
    """
    width = model.model.diffusion_model.dim
    for name, patch in getattr(model, "object_patches", {}).items():
        if ".cross_attn" in name and not (name.endswith(".cross_attn.forward") and asks_with_options(patch, width)):
            raise ValueError(
                f"Another node replaces {name} (as an older NAG does) and leaves out transformer_options, which does "
                "not go with Memento's subject: its text would reach the whole shot. Update that pack, leave that node "
                "out, or leave 'subject' of Story Memory Options empty."
            )


class BareAttention(nn.Module):
    """A cross attention of one head that leaves everything as it is, to see what a patch does with one."""

    num_heads = 1

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o, self.norm_q, self.norm_k = (nn.Identity() for _ in range(6))


def asks_with_options(patch: Any, width: int) -> bool:
    """Whether a patch of a cross attention's forward hands ``transformer_options`` on to the host's attention."""
    asked = []

    def noted(attention: Any, q: Tensor, *given: Any, **named: Any) -> Tensor:
        asked.append(q.shape)
        return torch.zeros_like(q)

    tokens, text = torch.zeros(1, 1, width), torch.zeros(1, 2, width)
    try:
        patch.__func__(BareAttention(), tokens, text, transformer_options={OVERRIDE: noted})
    except Exception:
        return False  # What else it needs is not known here.
    return bool(asked)


@dataclass(frozen=True)
class MementoPlan:
    """RoPE positions in time of the subject's picture, if one is rebuilt, and of the remembered frames."""

    positions: tuple[float, ...]
    subject: bool


def positions_of(numbers: tuple[int, ...], now: int, subject: bool) -> tuple[float, ...]:
    """RoPE positions, in latent frames, of frames of the film, as long ago as they are, for a shot whose first new
    frame is ``now``: before it and at most 512 back, where the subject stands."""
    ago = [max(-FARTHEST, min(number // STRIDE, now // STRIDE - 1) - now // STRIDE) for number in numbers]
    return tuple(float(position) for position in ([-FARTHEST] * subject + ago))


def conditions(plan: MementoPlan, latents: Tensor, noise: Tensor, subject: Tensor | None) -> dict[str, Any]:
    """``model_conds`` that bring the remembered latents (1, 16, K, h, w) in model space, noise of that shape, and the
    text of the subject (1, L, width)."""
    memory = {MEMORY: comfy.conds.CONDList(cond=[latents, noise]), PLAN: comfy.conds.CONDConstant(cond=plan)}
    return memory if subject is None else {**memory, SUBJECT: comfy.conds.CONDList(cond=[subject])}


def with_memory(model: Any) -> Any:
    """A copy of a MODEL that joins the memory of the conditioning to the shot in Memento's way."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.DIFFUSION_MODEL: join_memory})


def join_memory(executor: Any, x: Tensor, timestep: Tensor, context: Tensor, clip: Any = None, concat: Any = None,
                transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL): the network's answer to ``x`` (B, C, N, h, w), N frames
    [subject | memory | shot].

    Without a memory it hands everything on as it came. Refuses context windows.
    """
    options = transformer_options or {}
    memory, plan, subject = conds.pop(MEMORY, None), conds.pop(PLAN, None), conds.pop(SUBJECT, None)
    if memory is not None:
        network = executor.class_obj
        check_whole(options)
        latents, noise = (part.to(x) for part in memory)
        first, count, channels = int(plan.subject), latents.shape[2], latents.shape[1]
        x = x.clone()
        x[:, :channels, first : first + count] = noised(latents, noise, NOISED, options)
        embedding = rotary(network, x, options, x.shape[2] - len(plan.positions), front=plan.positions)
        if subject is not None:
            height, width = x.shape[-2:]
            frame = -(-height // network.patch_size[1]) * -(-width // network.patch_size[2])
            text = context.shape[1]
            context = torch.cat([context, subject[0].to(context)], dim=1)
            split = untraced(split_attention(frame, count * frame, text, subject[0].shape[1], options.get(OVERRIDE)))
            options = {**options, OVERRIDE: split}
        whole = options
        options = with_block_arguments(
            whole, [lambda given: {**with_first_call(given, CALL, whole), "pe": embedding}] * len(network.blocks)
        )
    result: Tensor = executor(x, timestep, context, clip, concat, options, **conds)
    return result


def split_attention(
    subject: int, memory: int, text: int, its: int, before: Callable[..., Tensor] | None
) -> Callable[..., Tensor]:
    """An override of the host's attention of (B, L, C), for so many tokens of the subject's picture, of memory, of the
    shot's text and of the subject's. ``before`` is the override that was there: it computes each part.

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
    """Attention (B, L, C) of L tokens [subject | memory | shot]: subject with memory, memory with shot; memory takes
    the mean."""
    end = subject + memory
    one = attend(q[:, :end], k[:, :end], v[:, :end])
    two = attend(q[:, subject:], k[:, subject:], v[:, subject:])
    both = 0.5 * one[:, subject:] + 0.5 * two[:, :memory]
    return torch.cat([one[:, :subject], both, two[:, memory:]], dim=1)


def split_text(attend: Attention, q: Tensor, k: Tensor, v: Tensor, subject: int, text: int) -> Tensor:
    """Attention (B, L, C) of the tokens to the texts: the subject's see its own, which follows the shot's ``text``
    tokens; all others see the shot's."""
    its = attend(q[:, :subject], k[:, text:], v[:, text:])
    return torch.cat([its, attend(q[:, subject:], k[:, :text], v[:, :text])], dim=1)

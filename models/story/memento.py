"""Adapter of Memento: remembered frames at their true times, and the subject rebuilt beside the shot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ...film.model import Conditioning, Prepared
from ...film.segment import Segment
from ..blocks import with_wrappers
from ..wan.adapter import with_conditions
from ..wan.options import options_of
from ..wan.timesteps import frame_noise
from .options import MEMENTO
from .start import grey
from .storymem import StoryMemAdapter, in_front_of, known_of, remembered
from .subject import OVERRIDE, WRAPPER_KEY, MementoPlan, conditions, join_memory, places_of


class MementoAdapter(StoryMemAdapter):
    """Without remembered frames the shot is made as by the model's family, and no subject is rebuilt."""

    method = MEMENTO

    def _ready(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any
    ) -> Prepared:
        if self.family.clip_vision:
            raise ValueError(
                "Memento was trained on Wan 2.2 image to video A14B, but this is a Wan 2.1. Load the Wan 2.2 files, "
                "or use method StoryMem."
            )
        options, told = options_of(model), self.options
        for one in (model, options.low_noise) if told.subject is not None else ():
            if one is not None:
                check_cross_attention(one)
        memory, numbers = remembered(segment)
        if memory is None:
            plain = replace(segment, context=None)
            return super()._ready(model, positive, negative, plain, vae)
        subject, known = told.subject is not None, known_of(segment)
        now = segment.first_frame + (0 if known is None else len(known))
        plan = MementoPlan(places_of(numbers, now, subject), subject)
        clean = model.model.process_latent_in(memory)
        noise = frame_noise(clean, numbers)
        front = torch.cat([grey(vae, segment.width, segment.height).to(memory), memory], dim=2) if subject else memory
        values, latent = self._values(segment, vae, front, len(numbers))

        def joined(kind: Conditioning, text: Tensor | None) -> Conditioning:
            return with_conditions(kind, values, conditions(plan, clean, noise, text))

        return Prepared(
            positive=joined(positive, told.subject),
            negative=None if negative is None else joined(negative, told.no_subject),
            latent=in_front_of(latent, front.shape[2]),
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


def with_memory(model: Any) -> Any:
    """A copy of a MODEL that joins the memory of the conditioning to the shot in Memento's way."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.DIFFUSION_MODEL: join_memory})

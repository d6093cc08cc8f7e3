"""Adapter of Memento: remembered frames at their true times, and the subject rebuilt beside the shot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...film.model import Conditioning, Prepared
from ...film.segment import Segment
from ..blocks import with_wrappers
from ..wan.adapter import with_conditions
from ..wan.options import options_of
from ..wan.timesteps import frame_noise
from .options import MEMENTO
from .start import grey
from .storymem import StoryMemAdapter, in_front_of, known_of, remembered
from .subject import WRAPPER_KEY, MementoPlan, conditions, join_memory, places_of


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
        memory, numbers = remembered(segment)
        if memory is None:
            plain = replace(segment, context=None)
            return super()._ready(model, positive, negative, plain, vae)
        options, told = options_of(model), self.options
        for one in (model, options.low_noise) if told.subject is not None else ():
            check_cross_attention(one)
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
    """Refuses a subject beside another pack's cross attention (NAG): that shows every token all of the text, so that
    the subject's own would reach the whole shot.

    Raises:
        ValueError: names the patch.
    """
    patched = [name for name in getattr(model, "object_patches", {}) if ".cross_attn" in name]
    if patched:
        raise ValueError(
            f"Another node replaces {patched[0]} (as NAG does), which does not go with Memento's subject: its text "
            "would reach the whole shot. Leave that node out, or leave 'subject' of Story Memory Options empty."
        )


def with_memory(model: Any) -> Any:
    """A copy of a MODEL that joins the memory of the conditioning to the shot in Memento's way."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.DIFFUSION_MODEL: join_memory})

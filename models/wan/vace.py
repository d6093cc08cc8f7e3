"""Adapter of Wan VACE: remembered frames are its references, the newest picture the first of its known frames."""

from __future__ import annotations

from typing import Any

import torch

from ...film.model import Conditioning, Prepared
from ...film.segment import Segment
from .adapter import WanAdapter, check_conditioning, check_pair, check_vae, with_conditions
from .family import family_of
from .options import options_of
from .start import start_of
from .vace_control import vace_values


class WanVaceAdapter(WanAdapter):
    """Nothing is patched: references stand in front of the video, as VACE was trained, and are cut off again."""

    most_context = 3
    describes_tokens = False
    frame_numbers = False

    @staticmethod
    def serves(model: Any) -> bool:
        family = family_of(model)
        return family is not None and family.vace

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Prepared:
        options = options_of(model)
        check_pair(self, options, negative)
        check_vae(self, vae)
        check_conditioning(model, positive, negative)
        size = segment.width, segment.height
        latent = start_of(self.family, vae, len(segment), *size, None).latent
        references = segment.context.latents if segment.context is not None else None
        count = 0 if references is None else references.shape[2]
        values = vace_values(vae, len(segment), *size, segment.begins_with, references)
        front = torch.zeros_like(latent[:, :, :1]).expand(-1, -1, count, -1, -1)
        return Prepared(
            positive=with_conditions(positive, values, {}),
            negative=None if negative is None else with_conditions(negative, values, {}),
            latent=torch.cat([front, latent], dim=2),
            low_noise=options.low_noise,
            **options.pair,
            in_front=count,
        )

"""Adapter of StoryMem: remembered frames in front of the shot, as known pictures of an image to video model."""

from __future__ import annotations

from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from numpy.typing import NDArray
from torch import Tensor

from ...film.model import Conditioning, Prepared
from ...film.segment import Segment
from ..blocks import with_wrappers
from ..wan.adapter import WanAdapter, check_conditioning, check_pair, check_vae, with_conditions
from ..wan.family import CONCAT_START, WanFamily, family_of
from ..wan.options import options_of
from ..wan.start import start_of
from .options import STORYMEM, StoryOptions, story_of
from .positions import WRAPPER_KEY, conditions, place_front, spaced
from .start import concat_values


class StoryMemAdapter(WanAdapter):
    """MI2V, MM2V and MR2V (references are remembered frames that come first). Nothing is patched at a spacing of 1."""

    version = 3
    context_without_retriever = 1
    most_context = 20
    describes_tokens = False
    method = STORYMEM

    def __init__(self, family: WanFamily, options: StoryOptions) -> None:
        super().__init__(family)
        self.name, self.options, self.overlap = f"{self.method} on {family.name}", options, options.known

    @classmethod
    def serves(cls, model: Any) -> bool:
        family, options = family_of(model), story_of(model)
        known = family is not None and family.start == CONCAT_START
        return known and options is not None and options.method == cls.method

    @classmethod
    def for_model(cls, model: Any) -> StoryMemAdapter:
        family, options = family_of(model), story_of(model)
        assert family is not None and options is not None, "asked only for what it serves"
        return cls(family, options)

    def overlap_after(self, frames: int) -> int:
        return self.overlap if frames >= self.overlap else 1

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Prepared:
        options = options_of(model)
        check_pair(self, options, negative)
        check_vae(self, vae)
        check_conditioning(model, positive, negative)
        return self._ready(model, positive, negative, segment, vae)

    def _ready(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any
    ) -> Prepared:
        options, (front, _) = options_of(model), remembered(segment)
        count = 0 if front is None else front.shape[2]
        values, latent = self._values(segment, vae, front, count)
        values |= self._seen(options, segment)
        placed, ours, low = model, {}, options.low_noise
        if count and self.options.spacing > 1:
            ours = conditions(spaced(count, self.options.spacing))
            placed = with_places(model)
            low = None if low is None else with_places(low)
        return Prepared(
            positive=with_conditions(positive, values, ours),
            negative=None if negative is None else with_conditions(negative, values, ours),
            latent=in_front_of(latent, count),
            model=placed,
            low_noise=low,
            **options.pair,
            in_front=count,
        )

    def _values(self, segment: Segment, vae: Any, front: Tensor | None, told: int) -> tuple[dict[str, Any], Tensor]:
        """Conditioning values and the shot's own latent. Where nothing is known the picture beside the noise is grey,
        with a mask that says so, as in training: the stock graph without a picture has nothing there."""
        known, size = known_of(segment), (segment.width, segment.height)
        start = start_of(self.family, vae, len(segment), *size, None)
        return concat_values(vae, len(segment), *size, known, front, told), start.latent


def remembered(segment: Segment) -> tuple[Tensor | None, tuple[int, ...]]:
    """Latents (1, C, K, h, w) of the remembered frames, oldest first, in the VAE's space, and their numbers (K,).

    Pictures with which the shot begins stand in the shot itself and are left out here.
    """
    context = segment.context
    if context is None or context.latents is None:
        return None, ()
    known = segment.begins_with is not None
    kept = [place for place, number in enumerate(context.numbers) if not (known and number >= segment.first_frame)]
    if not kept:
        return None, ()
    return context.latents[:, :, kept], tuple(context.numbers[place] for place in kept)


def known_of(segment: Segment) -> NDArray[Any] | None:
    """The shot's first pictures (n, H, W, 3) that are known."""
    if segment.known is not None:
        return segment.known
    return None if segment.begins_with is None else segment.begins_with[None]


def in_front_of(latent: Tensor, count: int) -> Tensor:
    """An empty latent that is ``count`` frames longer."""
    return torch.cat([torch.zeros_like(latent[:, :, :1]).expand(-1, -1, count, -1, -1), latent], dim=2)


def with_places(model: Any) -> Any:
    """A copy of a MODEL that puts the frames in front where the conditioning says."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.DIFFUSION_MODEL: place_front})

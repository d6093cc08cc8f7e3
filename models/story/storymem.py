"""Adapter of StoryMem: remembered frames in front of the shot, as known pictures of an image to video model.

StoryMem, section 3.2. The frames in front stand right before the shot in time, or ``spacing`` latent frames apart.
"""

from __future__ import annotations

from typing import Any

import comfy.conds
import torch
from comfy.patcher_extension import WrappersMP
from numpy.typing import NDArray
from torch import Tensor

from ...film.segment import Segment
from ..blocks import rotary, with_block_arguments, with_wrappers
from ..host.sampling import Conditioned, Conditioning
from ..inputs import as_image
from ..wan.adapter import WanAdapter, with_conditions, with_empty_front
from ..wan.family import CONCAT_START, WanFamily, family_of, start_of
from ..wan.options import WanOptions
from .options import STORYMEM, StoryOptions, story_of

WRAPPER_KEY = "scene_memory_story"
POSITIONS = "scene_memory_story_places"
GREY = 0.5
"""Of a picture of which nothing is known, as the host has it."""


class StoryMemAdapter(WanAdapter):
    """MI2V, MM2V and MR2V (references are remembered frames that come first). Nothing is patched at a spacing of 1."""

    turn = 20
    version = 3
    context_without_retriever = 1
    most_context = 20
    describes_tokens = False
    listed = ()
    files = {"StoryMem MI2V": ("Wan2.2-MI2V-A14B/backbone_high_noise", "backbone_low_noise")}
    method = STORYMEM

    def __init__(self, family: WanFamily, options: StoryOptions) -> None:
        super().__init__(family)
        self.name, self.options, self.overlap = f"{self.method} on {family.name}", options, options.known

    @classmethod
    def serves(cls, model: Any) -> bool:
        """Whether a MODEL is an image to video Wan whose story options name this method."""
        family, options = family_of(model), story_of(model)
        known = family is not None and family.start == CONCAT_START
        return known and options is not None and options.method == cls.method

    @classmethod
    def for_model(cls, model: Any) -> StoryMemAdapter:
        """The adapter of a MODEL's family and story options."""
        family, options = family_of(model), story_of(model)
        assert family is not None and options is not None, "asked only for what it serves"
        return cls(family, options)

    def overlap_after(self, frames: int) -> int:
        """The pictures that the options say, while the memory holds as many; else the newest one."""
        return self.overlap if frames >= self.overlap else 1

    def _conditioned(
        self, model: Any, options: WanOptions, positive: Conditioning, negative: Conditioning | None, segment: Segment,
        vae: Any,
    ) -> Conditioned:  # fmt: skip
        front, _ = remembered(segment)
        count = 0 if front is None else front.shape[2]
        values, latent = self._values(segment, vae, front, count)
        values |= self._clip_vision(options, segment)
        sampled, carried, low = model, {}, options.low_noise
        if count and self.options.spacing > 1:
            carried = conditions(spaced(count, self.options.spacing))
            sampled = with_positions(model)
            low = None if low is None else with_positions(low)
        return Conditioned(
            positive=with_conditions(positive, values, carried),
            negative=None if negative is None else with_conditions(negative, values, carried),
            latent=with_empty_front(latent, count),
            model=sampled,
            low_noise=low,
            **options.pair,
            in_front=count,
        )

    def _values(self, segment: Segment, vae: Any, front: Tensor | None, known: int) -> tuple[dict[str, Any], Tensor]:
        """Conditioning values of the host's image to video node, and the shot's own latent (1, 16, T, h, w).

        Where no picture is known the one beside the noise is grey, with a mask that says so, as in training: the host's
        node without a picture has nothing there.

        Args:
            front: latents (1, 16, K, h, w) in the VAE's space that stand before the shot.
            known: how many of these, the last ones, are known (the mask of image to video); the others are made.
        """
        first = known_of(segment)
        shown = grey(segment.width, segment.height) if first is None else as_image(first)
        start = start_of(self.family, vae, len(segment), segment.width, segment.height, shown)
        picture, mask = start.values["concat_latent_image"], start.values["concat_mask"]
        if first is None:
            mask = torch.ones_like(mask)
        if front is not None:
            before = torch.ones((1, 1, front.shape[2], *picture.shape[-2:]))
            before[:, :, front.shape[2] - known :] = 0.0
            picture, mask = torch.cat((front.to(picture), picture), dim=2), torch.cat((before, mask), dim=2)
        return {"concat_latent_image": picture, "concat_mask": mask}, start.latent


def remembered(segment: Segment) -> tuple[Tensor | None, tuple[int, ...]]:
    """Latents (1, C, K, h, w) of the remembered frames, oldest first, in the VAE's space, and their numbers (K,).

    Pictures with which the shot begins stand in the shot itself and are left out here.
    """
    context = segment.context
    if context is None or context.latents is None:
        return None, ()
    known = segment.begins_with is not None
    kept = [index for index, number in enumerate(context.numbers) if not (known and number >= segment.first_frame)]
    if not kept:
        return None, ()
    return context.latents[:, :, kept], tuple(context.numbers[index] for index in kept)


def known_of(segment: Segment) -> NDArray[Any] | None:
    """The shot's first pictures (n, H, W, 3) uint8 that are known."""
    if segment.known is not None:
        return segment.known
    return None if segment.begins_with is None else segment.begins_with[None]


def grey(width: int, height: int) -> Tensor:
    """The host's IMAGE (1, H, W, 3) of a picture of which nothing is known."""
    return torch.full((1, height, width, 3), GREY)


def spaced(count: int, spacing: int) -> tuple[float, ...]:
    """RoPE positions in time of ``count`` frames, oldest first, ``spacing`` latent frames apart; the shot is at 0."""
    return tuple(float((index - count) * spacing) for index in range(count))


def conditions(positions: tuple[float, ...]) -> dict[str, Any]:
    """``model_conds`` that bring the positions of the frames in front to the network."""
    return {POSITIONS: comfy.conds.CONDConstant(cond=positions)}


def with_positions(model: Any) -> Any:
    """A copy of a MODEL that puts the frames in front where the conditioning says."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.DIFFUSION_MODEL: position_front})


def position_front(executor: Any, x: Tensor, timestep: Tensor, context: Tensor, clip: Any = None, concat: Any = None,
                   transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL): the network's answer to ``x`` (B, C, K + T, h, w).

    Without positions of the K frames in front it hands everything on as it came. Refuses context windows.
    """
    options, positions = transformer_options or {}, conds.pop(POSITIONS, None)
    if positions is not None:
        network = executor.class_obj
        check_whole(options)
        embedding = rotary(network, x, options, x.shape[2] - len(positions), front=positions)
        options = with_block_arguments(options, [lambda given: {**given, "pe": embedding}] * len(network.blocks))
    result: Tensor = executor(x, timestep, context, clip, concat, options, **conds)
    return result


def check_whole(options: dict[str, Any]) -> None:
    """Refuses a part of the shot, whose frames in front would be missing.

    Raises ValueError where the host cuts the shot into context windows.
    """
    if options.get("context_window") is not None:
        raise ValueError(
            "Context windows cut a story's remembered frames off. Leave the context window node out; use "
            "segment_frames of Shot Generator for longer shots."
        )

"""Which kind of Wan a transformer is, from its configuration: what it takes beside noise and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .options import AUTO, BEFORE, CLEAN, NOISED, MemoryOptions

NO_START, CONCAT_START, LATENT_START = "none", "concat", "latent"


@dataclass(frozen=True)
class WanFamily:
    """A kind of Wan.

    start: how it takes a known first picture: not at all, as extra channels after a mask, or as a first latent frame
    that stays, at time 0. sees_picture: whether it also wants the picture as CLIP sees it (Wan 2.1 image to video).
    """

    name: str
    start: str
    sees_picture: bool = False

    @property
    def clean_time(self) -> bool:
        """Whether it was trained with known frames at time 0 beside noisy ones."""
        return self.start == LATENT_START

    @property
    def newest_without_retriever(self) -> int:
        """Context frames where nothing is retrieved; where the first picture is known, the newest is there already."""
        return 1 if self.start == NO_START else 0

    def times(self, options: MemoryOptions) -> str:
        """The time of context frames, AUTO resolved."""
        if options.times != AUTO:
            return options.times
        if self.clean_time:
            return CLEAN
        return NOISED

    def positions(self, options: MemoryOptions) -> str:
        """The places of context frames, AUTO resolved."""
        if options.positions != AUTO:
            return options.positions
        return BEFORE


def family_of(config: Any, expand_timesteps: bool = False) -> WanFamily:
    """The family of a transformer's ``config``.

    Args:
        expand_timesteps: what model_index.json says of it; true for TI2V-5B, whose first latent frame may be known.

    Raises:
        ValueError: its channels are of no known kind.
    """
    taken, made = config.in_channels, config.out_channels
    sees = getattr(config, "image_dim", None) is not None
    if taken == made:
        if expand_timesteps:
            return WanFamily("Wan 2.2 TI2V-5B", LATENT_START)
        return WanFamily("Wan text to video", NO_START)
    if taken == 2 * made + 4:
        return WanFamily("Wan image to video", CONCAT_START, sees)
    raise ValueError(
        f"The transformer has in_channels {taken} and out_channels {made}: expected as many, or twice as many and 4 "
        "more. Use a Wan text to video, image to video or TI2V-5B folder."
    )

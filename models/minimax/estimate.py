"""The host reckons memory by the segment's latent alone; each picture that goes with the prompt takes as much again as
the part of the segment that is as large."""

from __future__ import annotations

from math import prod
from typing import Any

from comfy.patcher_extension import WrappersMP

from ..blocks import with_wrappers
from .prompt import TAGS_KEY

WRAPPER_KEY = "scene_memory"
TEXT_TAG = 1
"""What the host's text encoder marks words with; all else are pictures."""


def reckoned(model: Any) -> Any:
    """A copy of a MODEL for which the host makes room for the pictures too."""
    return with_wrappers(model, WRAPPER_KEY, {WrappersMP.PREPARE_SAMPLING: reckon_pictures})


def reckon_pictures(
    executor: Any, model: Any, noise_shape: Any, conds: dict[str, Any], *rest: Any, **named: Any
) -> Any:
    """Wrapper (host's WrappersMP.PREPARE_SAMPLING). Noise is (B, 1, numbers): pictures and sound in one row."""
    network = model.model.diffusion_model
    token = prod(network.patch_size) * network.latents_dim
    more = max((numbers_of(cond, token) for kind in conds.values() for cond in kind), default=0)
    return executor(model, [*noise_shape[:-1], noise_shape[-1] + more], conds, *rest, **named)


def numbers_of(cond: dict[str, Any], token: int) -> int:
    """Numbers of a latent that take as much memory as the pictures of a prompt: their latents, and what the text
    encoder made of them, `token` numbers for each of its tokens."""
    pictures = [*cond.get("minimax_refs", ()), *cond.get("minimax_keyframes", ())]
    latents = sum(picture["latent"].numel() for picture in pictures if picture.get("latent") is not None)
    tags = cond.get(TAGS_KEY)
    return latents + (0 if tags is None else token * int((tags != TEXT_TAG).sum()))

"""One call of a Wan in Memento's way: the next shot from memory, and the subject rebuilt beside it from memory alone.

The sequence is [shot | memory | subject], all at one noise level. Shot and subject see the memory, not each other, and
the subject has a text of its own. The order differs from the authors' code; what is computed does not.
"""

from __future__ import annotations

from collections.abc import Sequence as Row
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import Split
from .forward import Context, appended, tokens_of_frame, with_context_times
from .options import NOISED
from .rope import PlacedRope, Sequence

FARTHEST = 512


@dataclass(frozen=True, eq=False)
class Subject:
    """Pictures of the subject being made: noisy latents (B, C, S, h, w), its text (B or 1, L, text_dim), and the latent
    (1, C, 1, h, w) of a picture of which nothing is known, for models that take known pictures beside the noise."""

    latents: Tensor
    text: Tensor
    blank: Tensor


def story_places(numbers: Row[int], now: int, stride: int) -> tuple[float, ...]:
    """Places (K,) in latent frames of remembered frames of the film, as long ago as they are, for a shot whose first
    frame is ``now``: before it and at most 512 back."""
    start = now // stride
    return tuple(float(max(-FARTHEST, min(number // stride, start - 1) - start)) for number in numbers)


def predict_story(
    transformer: Any,
    latents: Tensor,
    timestep: Tensor,
    text: Tensor,
    memory: Context,
    level: float | Tensor,
    subject: Subject | None = None,
) -> tuple[Tensor, Tensor | None]:
    """What a transformer from ``with_memory`` predicts for the shot (B, C_out, T, h, w), and for the subject.

    Args:
        latents: (B, C_in, T, h, w), known pictures and their mask in channels of their own where the model has them.
        memory: times NOISED, places of ``story_places``. level: the noise level (0..1) now, or (B, 1, 1, 1, 1).

    Raises:
        ValueError: the memory is not noised like the shot, or the model sees its first picture by CLIP (Wan 2.1).
    """
    if memory.times != NOISED:
        raise ValueError(f"times is {memory.times!r}: Memento's memory is {NOISED!r}. Use that.")
    if getattr(transformer.config, "image_dim", None) is not None:
        raise ValueError("Memento takes no Wan 2.1 image to video. Use a Wan 2.2 A14B, or text to video.")
    rope = getattr(transformer, "rope", None)
    if not isinstance(rope, PlacedRope):
        raise ValueError("This transformer cannot be told where its frames stand. Call with_memory(transformer) first.")
    own, channels = latents.shape[2], latents.shape[1]
    frame = tokens_of_frame(transformer, latents)
    parts, places, split = [latents, appended(memory, latents, level, channels)], memory.places, None
    if subject is not None:
        parts.append(_unknown(subject, latents, channels))
        count = subject.latents.shape[2]
        places = (*places, *[-float(FARTHEST)] * count)
        words = subject.text.to(text).expand(len(text), -1, -1)
        text, split = torch.cat([text, words], dim=1), Split(len(memory) * frame, count * frame, words.shape[1])
    timestep = with_context_times(timestep, own, len(places), memory.times)
    if timestep.ndim == 2:
        timestep = timestep.repeat_interleave(frame, dim=1)
    with rope.told(Sequence((*map(float, range(own)), *places), split=split)):
        made: Tensor = transformer(
            hidden_states=torch.cat(parts, dim=2), timestep=timestep, encoder_hidden_states=text, return_dict=False
        )[0]
    return made[:, :, :own], None if subject is None else made[:, :, own + len(memory) :]


def _unknown(subject: Subject, like: Tensor, channels: int) -> Tensor:
    """The subject as the network is given it: nothing of it is known (mask 0)."""
    noisy = subject.latents.to(like)
    if channels == noisy.shape[1]:
        return noisy
    blank = subject.blank.to(like).expand(*noisy.shape[:1], -1, *noisy.shape[2:])
    return torch.cat([noisy, torch.zeros_like(blank[:, :4]), blank], dim=1)

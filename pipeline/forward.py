"""One call of a Wan with remembered frames: appended clean on the frame axis, with times and positions of their own.

Context-as-Memory, section 4.2. What the context frames become is cut off again.

In Memento's way one call makes the next shot from memory, and beside it the subject, from memory alone. The sequence is
[shot | memory | subject], all at one noise level. Shot and subject see the memory, not each other, and the subject has
a text of its own. The order differs from the authors' code; what is computed does not.
"""

from __future__ import annotations

from collections.abc import Sequence as Row
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..kernels import MocLayout, rechunked
from ..models.moc.layout import appended_context, routes_anything, with_anchors
from ..models.wan.options import NOISED
from ..models.wan.timesteps import as_input, with_context_times
from .attention import Routing, Split
from .rope import PlacedRope, Sequence

FARTHEST = 512
"""Latent frames from the shot beyond which Memento's memory is no further away."""


@dataclass(frozen=True, eq=False)
class Context:
    """Remembered frames of one segment: normalised latents (B, C, K, h, w), noise of that shape for times NOISED.

    positions: (K,) in latent frames, see ``ContextPositions``. times: CLEAN, SAME or NOISED.
    """

    latents: Tensor
    positions: tuple[float, ...]
    times: str
    noise: Tensor | None = None

    def __post_init__(self) -> None:
        if self.latents.ndim != 5 or self.latents.shape[2] != len(self.positions):
            raise ValueError(
                f"Context latents have the shape {tuple(self.latents.shape)} and there are {len(self.positions)} "
                "positions: expected (batch, channels, frames, height, width) and one position for each frame."
            )
        if self.times == NOISED and (self.noise is None or self.noise.shape != self.latents.shape):
            raise ValueError(f"times is {NOISED!r} but there is no noise of the latents' shape. Give frame_noise(...).")

    def __len__(self) -> int:
        return len(self.positions)

    def blank(self) -> Context:
        """Zeros in the place of the frames."""
        return replace(self, latents=torch.zeros_like(self.latents))

    def shown(self, level: float | Tensor) -> Tensor:
        """The latents as the model sees them at a noise level (0..1), or at levels (B, 1, 1, 1, 1) of a batch."""
        if self.times != NOISED:
            return self.latents
        assert self.noise is not None
        return level * self.noise + (1 - level) * self.latents


def predict(
    transformer: Any,
    latents: Tensor,
    timestep: Tensor,
    text: Tensor,
    *,
    image: Tensor | None = None,
    context: Context | None = None,
    level: float | Tensor = 0.0,
    routing: Routing | None = None,
    seed: int | None = None,
) -> Tensor:
    """What a transformer from ``with_memory`` predicts for ``latents`` (B, C_in, T, h, w): (B, C_out, T, h, w).

    Args:
        timestep: (B,), or (B, T) where frames differ; 0..1000.
        text: (B, L, text_dim). image: CLIP's view (B, N, image_dim) of the first picture, for Wan 2.1 image to video.
        level: the noise level (0..1) now, or (B, 1, 1, 1, 1), for context that is noised like the segment.
        routing: routes self-attention where there is a context and more of it than is chosen.
        seed: of drop-off and drop-in, in training.

    Raises:
        ValueError: the latents do not fit the patches, or the transformer is not from ``with_memory``.
    """
    own, channels = latents.shape[2], latents.shape[1]
    frame = tokens_of_frame(transformer, latents)
    sequence = None
    if context is not None and len(context):
        latents = torch.cat([latents, appended(context, latents, level, channels)], dim=2)
        timestep = with_context_times(timestep, own, len(context), context.times)
        sequence = _sequence(context, own, frame, routing, seed)
    if timestep.ndim == 2:
        timestep = timestep.repeat_interleave(frame, dim=1)
    given = {
        "hidden_states": latents,
        "timestep": timestep,
        "encoder_hidden_states": text,
        "encoder_hidden_states_image": image,
        "return_dict": False,
    }
    if sequence is None:
        result: Tensor = transformer(**given)[0]
        return result
    rope = getattr(transformer, "rope", None)
    if not isinstance(rope, PlacedRope):
        raise ValueError("This transformer takes no positions of frames. Call with_memory(transformer) first.")
    with rope.using(sequence):
        whole: Tensor = transformer(**given)[0]
    return whole[:, :, :own]


def appended(context: Context, latents: Tensor, level: float | Tensor, channels: int) -> Tensor:
    """The context (B, channels, K, h, w) as the network is given it beside ``latents``."""
    size = (len(latents), -1, -1, -1, -1)
    shown, clean = (part.to(latents).expand(*size) for part in (context.shown(level), context.latents))
    return as_input(shown, clean, channels)


def tokens_of_frame(transformer: Any, latents: Tensor) -> int:
    """Tokens of one frame of latents (B, C, T, h, w). Raises ValueError where they do not fit the patches."""
    _, patch_h, patch_w = transformer.config.patch_size
    height, width = latents.shape[-2:]
    if height % patch_h or width % patch_w:
        raise ValueError(
            f"Latents are {width} x {height}: their sides must be multiples of {patch_w} and {patch_h}. "
            "Use a width and height that are multiples of 16, or of 32 for TI2V-5B."
        )
    tokens: int = (height // patch_h) * (width // patch_w)
    return tokens


@lru_cache(maxsize=64)
def _layout(frame: int, own: int, context: int, anchors: int, chunk_tokens: int) -> MocLayout:
    layout = with_anchors(appended_context(frame, own, context), anchors)
    return rechunked(layout, chunk_tokens) if chunk_tokens else layout


def _sequence(context: Context, own: int, frame: int, routing: Routing | None, seed: int | None) -> Sequence:
    positions = (*map(float, range(own)), *context.positions)
    if routing is not None:
        layout = _layout(frame, own, len(context), routing.anchor_frames, routing.chunk_tokens)
        if routes_anything(layout, routing.settings):
            return Sequence(positions, layout, routing, seed)
    return Sequence(positions)


@dataclass(frozen=True, eq=False)
class Subject:
    """Pictures of the subject being made: noisy latents (B, C, S, h, w), its text (B or 1, L, text_dim), and the latent
    (1, C, 1, h, w) of a picture of which nothing is known, for models that take known pictures beside the noise."""

    latents: Tensor
    text: Tensor
    blank: Tensor


def story_positions(numbers: Row[int], now: int, stride: int) -> tuple[float, ...]:
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
        memory: times NOISED, positions of ``story_positions``. level: the noise level (0..1) now, or (B, 1, 1, 1, 1).

    Raises:
        ValueError: the memory is not noised like the shot, or the model sees its first picture by CLIP (Wan 2.1).
    """
    if memory.times != NOISED:
        raise ValueError(f"times is {memory.times!r}: Memento's memory is {NOISED!r}. Use that.")
    if getattr(transformer.config, "image_dim", None) is not None:
        raise ValueError("Memento takes no Wan 2.1 image to video. Use a Wan 2.2 A14B, or text to video.")
    rope = getattr(transformer, "rope", None)
    if not isinstance(rope, PlacedRope):
        raise ValueError("This transformer takes no positions of frames. Call with_memory(transformer) first.")
    own, channels = latents.shape[2], latents.shape[1]
    frame = tokens_of_frame(transformer, latents)
    parts, positions, split = [latents, appended(memory, latents, level, channels)], memory.positions, None
    if subject is not None:
        parts.append(_unknown(subject, latents, channels))
        count = subject.latents.shape[2]
        positions = (*positions, *[-float(FARTHEST)] * count)
        words = subject.text.to(text).expand(len(text), -1, -1)
        text, split = torch.cat([text, words], dim=1), Split(len(memory) * frame, count * frame, words.shape[1])
    timestep = with_context_times(timestep, own, len(positions), memory.times)
    if timestep.ndim == 2:
        timestep = timestep.repeat_interleave(frame, dim=1)
    with rope.using(Sequence((*map(float, range(own)), *positions), split=split)):
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

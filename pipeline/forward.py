"""One call of a Wan with remembered frames: appended clean on the frame axis, with times and places of their own.

Context-as-Memory, section 4.2. What the context frames become is cut off again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .options import CLEAN, NOISED, Routing
from .rope import PlacedRope, Sequence
from .routing import layout_of, leaves_something_out


@dataclass(frozen=True, eq=False)
class Context:
    """Remembered frames of one segment: normalised latents (B, C, K, h, w), noise of that shape for times NOISED.

    places: (K,) in latent frames, see ``positions.context_places``. times: CLEAN, SAME or NOISED.
    """

    latents: Tensor
    places: tuple[float, ...]
    times: str
    noise: Tensor | None = None

    def __post_init__(self) -> None:
        if self.latents.ndim != 5 or self.latents.shape[2] != len(self.places):
            raise ValueError(
                f"Context latents have the shape {tuple(self.latents.shape)} and there are {len(self.places)} places: "
                "expected (batch, channels, frames, height, width) and one place for each frame."
            )
        if self.times == NOISED and (self.noise is None or self.noise.shape != self.latents.shape):
            raise ValueError(f"times is {NOISED!r} but there is no noise of the latents' shape. Give frame_noise(...).")

    def __len__(self) -> int:
        return len(self.places)

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
        raise ValueError("This transformer cannot be told where its frames stand. Call with_memory(transformer) first.")
    with rope.told(sequence):
        whole: Tensor = transformer(**given)[0]
    return whole[:, :, :own]


def appended(context: Context, latents: Tensor, level: float | Tensor, channels: int) -> Tensor:
    """The context (B, channels, K, h, w) as the network is given it beside ``latents``."""
    size = (len(latents), -1, -1, -1, -1)
    shown, clean = (part.to(latents).expand(*size) for part in (context.shown(level), context.latents))
    return as_input(shown, clean, channels)


def as_input(shown: Tensor, known: Tensor, channels: int) -> Tensor:
    """Context frames (B, C, K, h, w) as a network with so many input channels takes them.

    Where a known picture has channels of its own, the clean latents stand there, after a mask of 1: all is known.
    """
    extra = channels - shown.shape[1]
    if extra == 0:
        return shown
    if extra == known.shape[1] + 4:
        return torch.cat([shown, torch.ones_like(known[:, :4]), known], dim=1)
    raise ValueError(
        f"The model takes {channels} channels and its latents have {shown.shape[1]}: there is no known place for "
        "remembered frames. Use a Wan text to video, image to video or TI2V-5B folder."
    )


def with_context_times(timestep: Tensor, own: int, context: int, times: str) -> Tensor:
    """Timesteps (B, own + context), or (B,) as they came where all frames share one.

    CLEAN context is at 0; other context is at the segment's time, the latest of its frames where some are known.
    """
    if times != CLEAN and timestep.ndim == 1:
        return timestep
    made = timestep[:, None].expand(-1, own) if timestep.ndim == 1 else timestep
    level = torch.zeros_like(made[:, :1]) if times == CLEAN else made.amax(dim=1, keepdim=True)
    return torch.cat([made, level.expand(-1, context)], dim=1)


def frame_noise(latents: Tensor, numbers: tuple[int, ...]) -> Tensor:
    """Noise of the shape of context latents (1, C, K, h, w): a frame of the film has the same wherever it comes."""
    one = (*latents.shape[:2], *latents.shape[3:])
    made = [torch.randn(one, generator=torch.Generator().manual_seed(number)) for number in numbers]
    return torch.stack(made, dim=2)


def tokens_of_frame(transformer: Any, latents: Tensor) -> int:
    """Tokens of one latent frame. Raises ValueError where the latents do not fit the patches."""
    _, patch_h, patch_w = transformer.config.patch_size
    height, width = latents.shape[-2:]
    if height % patch_h or width % patch_w:
        raise ValueError(
            f"Latents are {width} x {height}: their sides must be multiples of {patch_w} and {patch_h}. "
            "Use a width and height that are multiples of 16, or of 32 for TI2V-5B."
        )
    tokens: int = (height // patch_h) * (width // patch_w)
    return tokens


def _sequence(context: Context, own: int, frame: int, routing: Routing | None, seed: int | None) -> Sequence:
    places = (*map(float, range(own)), *context.places)
    if routing is not None:
        layout = layout_of(routing, frame, own, len(context))
        if leaves_something_out(layout, routing):
            return Sequence(places, layout, routing, seed)
    return Sequence(places)

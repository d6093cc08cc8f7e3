"""The loss of one lesson: the flow that leads from noise to the segment, beside clean context (algorithm 1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..family import NO_START
from ..forward import Context, frame_noise, predict
from ..latents import WanLatents, as_video
from ..positions import context_places
from ..start import Start, start_of
from .clips import Clip
from .lessons import Lesson

if TYPE_CHECKING:
    from .train import Training

CACHE_BYTES = 1024**3


class ClipLatents:
    """Latents of segments and of single frames of clips, encoded when first asked for; up to 1 GB stays in RAM."""

    def __init__(self, vae: Any, clips: list[Clip]) -> None:
        self.codec, self.clips = WanLatents(vae), clips
        self._kept: OrderedDict[tuple[int, int, int], Tensor] = OrderedDict()
        self._bytes = 0

    def of(self, clip: int, first: int, frames: int = 1) -> Tensor:
        """Normalised latents (1, C, T, h, w) on the CPU of frames in a row, as one video."""
        place = (clip, first, frames)
        if place not in self._kept:
            pictures = self.clips[clip].frames(range(first, first + frames))
            with torch.no_grad():
                made = self._kept[place] = self.codec.encode(as_video(pictures)).cpu()
            self._bytes += made.nbytes
        self._kept.move_to_end(place)
        found = self._kept[place]
        while self._bytes > CACHE_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
        return found


def noise_level(random: torch.Generator, shift: float, lowest: float = 0.0, highest: float = 1.0) -> float:
    """A noise level, evenly over the steps of a schedule with this shift, between two levels."""
    low, high = (level / (shift - (shift - 1) * level) for level in (lowest, highest))
    even = low + (high - low) * float(torch.rand((), generator=random))
    return shift * even / (1 + (shift - 1) * even)


def lesson_loss(
    pipe: Any,
    network: Any,
    latents: ClipLatents,
    lesson: Lesson,
    text: Tensor,
    training: Training,
    seed: int,
    level: float | None = None,
) -> Tensor:
    """Mean squared error of the flow (noise less picture) over the frames that are not known beforehand.

    Args:
        seed: of the noise, its level and what routing drops.
        level: the noise level, instead of a random one.
    """
    device, kind = network.device, pipe.transformer.dtype
    random = torch.Generator().manual_seed(seed)
    clean = latents.of(lesson.clip, lesson.first, lesson.frames)
    noise = torch.randn(clean.shape, generator=random)
    drawn = noise_level(random, training.shift, *_span(pipe, training.part))
    level = drawn if level is None else level
    start = _start(pipe, latents, lesson)
    time = torch.tensor(level * pipe.scheduler.config.num_train_timesteps)
    noisy = start.given((1 - level) * clean + level * noise)
    picture = latents.clips[lesson.clip].frames([lesson.first])[0] if lesson.begins else None
    with torch.no_grad():
        image = pipe.first_picture_seen(picture, device)
    made = predict(
        network,
        noisy.to(device, kind),
        start.timestep(time, clean.shape[2]).to(device),
        text.to(device, kind),
        image=None if image is None else image.to(kind),
        context=_context(pipe, latents, lesson, clean.shape[2], training),
        level=level,
        routing=training.routing,
        seed=seed,
    )
    known = 1 if start.first is not None else 0
    flow = (noise - clean)[:, :, known:].to(device)
    return (made[:, :, known:].float() - flow).square().mean()


def _span(pipe: Any, part: str) -> tuple[float, float]:
    """Noise levels that a transformer is for: half of a pair, or all."""
    boundary = pipe.config.boundary_ratio
    if pipe.transformer_2 is None or boundary is None:
        return 0.0, 1.0
    return (0.0, boundary) if part == "transformer_2" else (boundary, 1.0)


def _start(pipe: Any, latents: ClipLatents, lesson: Lesson) -> Start:
    clip = latents.clips[lesson.clip]
    picture = None
    if lesson.begins and pipe.family.start != NO_START:
        picture = clip.frames([lesson.first])[0]
    with torch.no_grad():
        return start_of(pipe.family, latents.codec, lesson.frames, picture, clip.size)


def _context(pipe: Any, latents: ClipLatents, lesson: Lesson, own: int, training: Training) -> Context | None:
    if not lesson.context:
        return None
    found = torch.cat([latents.of(lesson.clip, frame) for frame in lesson.context], dim=2)
    ago = [(lesson.first - frame) / latents.codec.frame_stride for frame in lesson.context]
    places = context_places(pipe.family.positions(training.options), ago, own)
    return Context(found, places, pipe.family.times(training.options), frame_noise(found, lesson.context))

"""The loss of one lesson: the flow that leads from noise to the segment, beside what is remembered.

Context-as-Memory, algorithm 1: the loss is the segment's alone. Memento, equation 8: the shot's loss and, weighted,
that of the subject that is rebuilt from memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...models.wan.options import AFTER, AUTO, NOISED, SAME, ContextPositions, MemoryOptions
from ...models.wan.timesteps import frame_noise
from ..forward import Context, Subject, predict, predict_story, story_positions
from ..latents import WanLatents, as_video
from ..start import NO_START, Start, WanKind, start_of
from .clips import Clip
from .lessons import MEMENTO, Lesson, Training

CACHE_BYTES = 1024**3


class ClipLatents:
    """Latents of segments and of single frames of clips, encoded when first asked for; up to 1 GB stays in RAM."""

    def __init__(self, vae: Any, clips: list[Clip]) -> None:
        self.codec, self.clips = WanLatents(vae), clips
        self._kept: OrderedDict[tuple[int, int, int], Tensor] = OrderedDict()
        self._bytes = 0

    def of(self, clip: int, first: int, frames: int = 1) -> Tensor:
        """Normalised latents (1, C, T, h, w) on the CPU of frames in a row, as one video."""
        key = (clip, first, frames)
        if key not in self._kept:
            pictures = self.clips[clip].frames(range(first, first + frames))
            with torch.no_grad():
                made = self._kept[key] = self.codec.encode(as_video(pictures)).cpu()
            self._bytes += made.nbytes
        self._kept.move_to_end(key)
        found = self._kept[key]
        while self._bytes > CACHE_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes
        return found


class Captions:
    """Encoded texts (1, L, D) on the CPU by their words; each is encoded once."""

    def __init__(self, pipe: Any, texts: list[str]) -> None:
        if pipe.text_encoder is None:
            raise ValueError(
                "This pipeline has no text encoder, so captions cannot be encoded. Use a whole Wan folder."
            )
        self._known: dict[str, Tensor] = {}
        for text in ["", *texts]:
            if text not in self._known:
                with torch.no_grad():
                    self._known[text] = pipe.encode_prompt(
                        prompt=text, do_classifier_free_guidance=False, max_sequence_length=512
                    )[0].cpu()

    @classmethod
    def of_clips(cls, pipe: Any, clips: list[Clip]) -> Captions:
        """Of all shots and subjects."""
        return cls(pipe, [text for clip in clips for text in (*(shot.caption for shot in clip.shots), clip.subject)])

    def of(self, text: str, captioned: bool = True) -> Tensor:
        """The encoded text, or that of no words."""
        return self._known[text if captioned else ""]


@dataclass(frozen=True, eq=False)
class Learned:
    """Of one lesson: mean squared errors of the flow of the shot, and of the subject if it is rebuilt; the latents
    (draws, C, T, h, w) that the predicted flow leads to."""

    shot: Tensor
    subject: Tensor | None
    rebuilt: Tensor

    def total(self, subject_weight: float) -> Tensor:
        """What is trained, one number: the shot, and the subject with its weight (Memento, equation 8)."""
        return self.shot if self.subject is None else self.shot + subject_weight * self.subject


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
    captions: Captions,
    training: Training,
    seed: int,
    level: float | None = None,
) -> Learned:
    """What a network makes of a lesson, in ``training.draws`` draws of noise and its level at once.

    The flow is noise less picture. Frames that are known beforehand and need no noise do not count.

    Args:
        seed: of the noise, its level and what routing drops.
        level: the noise level, instead of random ones.
    """
    device, kind, draws = network.device, pipe.transformer.dtype, training.draws
    random, size = torch.Generator().manual_seed(seed), (draws, 1, 1, 1, 1)
    clip, clean = latents.clips[lesson.clip], latents.of(lesson.clip, lesson.first, lesson.frames)
    noise = torch.randn(draws, *clean.shape[1:], generator=random)
    span = _span(pipe, training.part)
    drawn = torch.tensor([noise_level(random, training.shift, *span) for _ in range(draws)]).view(size)
    levels = drawn if level is None else torch.full(size, level)
    start = _start(pipe, latents, lesson)
    noisy = _given(start, (1 - levels) * clean + levels * noise)
    times = levels.flatten() * pipe.scheduler.config.num_train_timesteps
    timestep = torch.cat([start.timestep(time, clean.shape[2]) for time in times])
    text = captions.of(clip.caption(lesson.first), lesson.captioned).expand(draws, -1, -1)
    given, words = (noisy.to(device, kind), timestep.to(device)), text.to(device, kind)
    memory, flow = _memory(pipe, latents, lesson, clean.shape[2], training), noise - clean
    if training.lessons.objective == MEMENTO and memory is not None:
        rebuilt, unseen = _subject(latents, lesson, captions, levels, random)
        made, subject = predict_story(network, *given, words, memory, levels.to(device), rebuilt)
        wrong = None if subject is None else (subject.float() - unseen.to(device)).square().mean()
    else:
        wrong, picture = None, clip.frames([lesson.first])[0] if lesson.begins else None
        with torch.no_grad():
            image = pipe.first_picture_seen(picture, device)
        image = None if image is None else image.to(kind).expand(draws, -1, -1)
        made = predict(network, *given, words, image=image, context=memory, level=levels.to(device),
                       routing=training.routing, seed=seed)  # fmt: skip
    known = 1 if start.first is not None else 0
    error = made.float() - flow.to(device)
    shot = error[:, :, known:].square().mean()
    reached = ((1 - levels) * clean + levels * noise) - levels * made.detach().float().cpu()
    return Learned(shot, wrong, reached)


def _given(start: Start, noisy: Tensor) -> Tensor:
    return torch.cat([start.given(one[None]) for one in noisy])


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


def _memory(pipe: Any, latents: ClipLatents, lesson: Lesson, own: int, training: Training) -> Context | None:
    if not lesson.context:
        return None
    clip = lesson.clip if lesson.context_clip is None else lesson.context_clip
    found, stride = torch.cat([latents.of(clip, frame) for frame in lesson.context], dim=2), latents.codec.frame_stride
    noise = frame_noise(found, lesson.context)
    if training.lessons.objective == MEMENTO:
        return Context(found, story_positions(lesson.context, lesson.first, stride), NOISED, noise)
    ago = tuple((lesson.first - frame) / stride for frame in lesson.context)
    times, positions = taught(pipe.family, training.options)
    return Context(found, tuple(ContextPositions(positions, ago).at(own)), times, noise)


def taught(family: WanKind, options: MemoryOptions) -> tuple[str, str]:
    """Time and positions of context frames that are learned, AUTO resolved: on text to video the paper's (section 4.2),
    clean latents behind the segment, which a model that was not taught them does not know."""
    clean = family.start == NO_START
    times = SAME if clean and options.times == AUTO else family.times(options)
    return times, AFTER if clean and options.positions == AUTO else family.positions(options)


def _subject(
    latents: ClipLatents, lesson: Lesson, captions: Captions, levels: Tensor, random: torch.Generator
) -> tuple[Subject | None, Tensor]:
    """The subject's picture in noise, and the flow that leads to it."""
    if lesson.subject is None:
        return None, torch.empty(0)
    clip = latents.clips[lesson.clip]
    clean = latents.of(lesson.clip, lesson.subject)
    noise = torch.randn(len(levels), *clean.shape[1:], generator=random)
    with torch.no_grad():
        blank = latents.codec.encode(torch.zeros(1, 3, 1, clip.size[1], clip.size[0])).cpu()
    text = captions.of(clip.subject, lesson.subject_captioned)
    return Subject((1 - levels) * clean + levels * noise, text, blank), noise - clean

"""What a training has reached: losses at fixed noise, with the right memory, with another clip's, and with none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .clips import Clip
from .lessons import MEMENTO, Lesson, Training, draw_lesson
from .loss import Captions, ClipLatents, lesson_loss

LEVELS = (0.5, 0.8, 1.0)
"""Noise levels: half noise, mostly noise, and nothing but noise, where only the memory can tell places apart."""

DRAWS = (2**62 + 1, 2**62 + 2)
"""Seeds of the noise; training draws below 2**62, so it never sees this noise."""

MOST_CLIPS = 4


def exam_lessons(clips: list[Clip], training: Training) -> list[Lesson]:
    """A lesson of each of the first clips: with caption, context and, for Memento, its subject; always the same."""
    plan = replace(
        training.lessons, recent_share=0.0, empty_share=0.0, silent_share=0.0, subject_share=1.0, begins_share=0.0
    )
    random = np.random.default_rng(training.seed)
    found = []
    for number, clip in enumerate(clips[:MOST_CLIPS]):
        if any(shot.stop - shot.first >= plan.frames for shot in clip.shots):
            found.append(replace(draw_lesson([clip], [clip.cameras()], plan, random), clip=number))
    return found


def examine(
    pipe: Any,
    network: Any,
    latents: ClipLatents,
    captions: Captions,
    lessons: list[Lesson],
    training: Training,
    levels: tuple[float, ...] = LEVELS,
) -> list[dict[str, Any]]:
    """Marks of each lesson, None where there is none.

    ``clip``; ``own``, the loss with its memory; ``none``, without; ``other``, with the same frames of another clip of
    its size; ``subject``, the loss of the rebuilt subject; ``right`` and ``wrong``, how far (mean squares) the latents
    that the flow leads to are from the true segment and from the other clip's. These are means over ``levels`` and two
    draws of noise that training never sees. ``own_last`` and ``other_last`` are losses at the last level alone.
    """
    one = replace(training, draws=1)

    def mean(lesson: Lesson) -> tuple[float, float, float | None, torch.Tensor]:
        with torch.no_grad():
            made = [
                lesson_loss(pipe, network, latents, lesson, captions, one, seed, level)
                for level in levels
                for seed in DRAWS
            ]
        subjects = [float(found.subject) for found in made if found.subject is not None]
        shots, rebuilt = [float(found.shot) for found in made], torch.cat([found.rebuilt for found in made])
        subject = float(np.mean(subjects)) if subjects else None
        return float(np.mean(shots)), float(np.mean(shots[-len(DRAWS) :])), subject, rebuilt

    report = []
    for lesson in lessons:
        own, own_last, subject, rebuilt = mean(lesson)
        none = None if training.lessons.objective == MEMENTO else mean(replace(lesson, context=()))[0]
        away = _away(latents.clips, lesson)
        other, other_last = (None, None) if away is None else mean(replace(lesson, context_clip=away))[:2]
        truths = [latents.of(clip, lesson.first, lesson.frames) for clip in (lesson.clip, away) if clip is not None]
        right, wrong = ([float((rebuilt - truth).square().mean()) for truth in truths] + [None])[:2]
        marks = {"own": own, "none": none, "other": other, "subject": subject, "right": right, "wrong": wrong}
        marks |= {"own_last": own_last, "other_last": other_last}
        rounded = {name: None if mark is None else round(mark, 4) for name, mark in marks.items()}
        report.append({"clip": latents.clips[lesson.clip].name, **rounded})
    return report


def _away(clips: list[Clip], lesson: Lesson) -> int | None:
    """Another clip with frames of these numbers and this size."""
    last, size = max(*lesson.context, lesson.first + lesson.frames - 1), clips[lesson.clip].size
    fits = (n for n, clip in enumerate(clips) if n != lesson.clip and len(clip) > last and clip.size == size)
    return next(fits, None)

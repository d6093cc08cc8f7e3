"""Context learning for Wan (Context-as-Memory, algorithm 1): LoRA from posed video, for these pipelines and ComfyUI."""

from __future__ import annotations

from .clips import Clip, read_clips
from .lessons import Lesson, LessonPlan, draw_lesson
from .lora import LoraLayers, add_lora
from .train import Training, train

__all__ = ["Clip", "Lesson", "LessonPlan", "LoraLayers", "Training", "add_lora", "draw_lesson", "read_clips", "train"]

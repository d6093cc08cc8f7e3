"""Training of LoRAs that make Wan use context frames (Context-as-Memory, algorithm 1; Memento, equation 8)."""

from __future__ import annotations

from .clips import Clip, Shot, read_clips
from .lessons import Lesson, LessonPlan, Training, draw_lesson
from .lora import LoraLayers, add_lora
from .train import train

__all__ = [
    "Clip",
    "Lesson",
    "LessonPlan",
    "LoraLayers",
    "Shot",
    "Training",
    "add_lora",
    "draw_lesson",
    "read_clips",
    "train",
]

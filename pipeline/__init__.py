"""A headless diffusers pipeline for local Wan models that film with a memory, without ComfyUI.

For scripts, for training, and as the independent check of the nodes' way through the network. It shares the film loop,
memory and kernels with them; what it does with a transformer is its own.
"""

from __future__ import annotations

from ..film.loop import SegmentDone
from ..models.wan.options import MemoryOptions
from .attention import Routing
from .model import WanShot as ShotPlan
from .original import transformer_from_file, transformer_from_original
from .pipeline import SceneMemoryOutput, SceneMemoryPipeline
from .rope import with_memory

__all__ = [
    "MemoryOptions",
    "Routing",
    "SceneMemoryOutput",
    "SceneMemoryPipeline",
    "SegmentDone",
    "ShotPlan",
    "transformer_from_file",
    "transformer_from_original",
    "with_memory",
]

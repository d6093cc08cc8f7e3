"""A headless pipeline in diffusers' manner for local Wan models: a film that remembers its place, without ComfyUI.

For scripts, for training, and as the independent check of the nodes' adapters. Shares ``memory`` and ``kernels`` with
them and nothing else.
"""

from __future__ import annotations

from .options import MemoryOptions, Routing
from .original import transformer_from_file, transformer_from_original
from .pipeline import SceneMemoryOutput, SceneMemoryPipeline, SegmentDone
from .plan import ShotPlan
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

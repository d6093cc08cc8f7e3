"""SceneMemory for ComfyUI: video models that remember the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import SceneMemoryExtension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> SceneMemoryExtension:
    """The pack's nodes, for ComfyUI's loader. Nothing heavy is imported before ComfyUI asks."""
    from .nodes import SceneMemoryExtension

    return SceneMemoryExtension()

"""The memory of a scene: cameras, camera paths, the immutable state, its bank on disk, retrieval and metrics.

Nothing here knows a video model or ComfyUI. Import from the modules: ``memory.trajectory``, ``memory.presets``,
``memory.state``, ``memory.bank``, ``memory.retrieval``, ``memory.metrics``.
"""

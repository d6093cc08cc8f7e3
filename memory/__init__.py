"""The memory of a scene: cameras, camera paths, the immutable state, its bank on disk, retrieval and metrics.

Nothing here knows a video model or ComfyUI. Import from the modules, for example ``memory.cameras.trajectory``,
``memory.cameras.presets``, ``memory.state.state``, ``memory.bank.bank``, ``memory.retrieval.retrieve``.
"""

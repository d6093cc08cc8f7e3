"""Where the pack reads and writes: only inside ComfyUI's own folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..generation.world_host.loader import WEIGHTS

BUNDLED = "bundled"
MODEL_FOLDER = "scene_memory"


def register() -> None:
    """Tell ComfyUI of the folder for world models that the user trained: models/scene_memory."""
    folder_paths.add_model_folder_path(MODEL_FOLDER, str(Path(folder_paths.models_dir) / MODEL_FOLDER))


def banks() -> Path:
    """The folder of memory banks."""
    return Path(folder_paths.get_output_directory()) / "scene_memory"


def world_models() -> list[str]:
    """Names of the world models that can be loaded."""
    found = folder_paths.get_filename_list(MODEL_FOLDER)
    return [BUNDLED, *(name for name in found if name.endswith(".safetensors"))]


def world_model(name: str) -> Path:
    """The file of a world model from `world_models`."""
    if name == BUNDLED:
        return WEIGHTS
    return Path(folder_paths.get_full_path_or_raise(MODEL_FOLDER, name))

"""Where the pack reads and writes: only inside ComfyUI's own folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..generation.world_host.loader import WEIGHTS
from ..memory.bank.archive import ENDING

BUNDLED = "bundled"
MODEL_FOLDER = "scene_memory"
IN_OUTPUT = " [output]"
MOST_FILES = 1000


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


def diffusion_models() -> list[str]:
    """Names of the files that Load Diffusion Model offers and that hold plain numbers."""
    return [name for name in folder_paths.get_filename_list("diffusion_models") if name.endswith(".safetensors")]


def diffusion_model(name: str) -> Path:
    """The file of a name from `diffusion_models`."""
    return Path(folder_paths.get_full_path_or_raise("diffusion_models", name))


def memory_files() -> list[str]:
    """Files made by Save Memory: those in the input folder, then those in the output folder with ' [output]'."""
    found = _files(Path(folder_paths.get_input_directory()))
    return [*found, *(f"{name}{IN_OUTPUT}" for name in _files(Path(folder_paths.get_output_directory())))]


def memory_file(name: str) -> Path:
    """The file of a name from `memory_files`.

    Raises:
        ValueError: there is no such file, with those that there are.
    """
    there = memory_files()
    if name not in there:
        known = "; ".join(there[:20]) or "none"
        raise ValueError(
            f"file is {name!r}: choose a file made by Save Memory ({ENDING}). There are: {known}. Put yours into "
            "ComfyUI's input folder and press R to see it."
        )
    folder = folder_paths.get_output_directory() if name.endswith(IN_OUTPUT) else folder_paths.get_input_directory()
    return Path(folder) / name.removesuffix(IN_OUTPUT)


def _files(folder: Path) -> list[str]:
    """Memory files in a folder and the folders directly in it, the newest first; links that lead out are left out."""
    found = []
    for pattern in (f"*{ENDING}", f"*/*{ENDING}"):
        for path in folder.glob(pattern):
            if path.is_file() and folder_paths.is_within_directory(str(folder), str(path)):
                found.append((-path.stat().st_mtime, path.relative_to(folder).as_posix()))
    return [name for _, name in sorted(found)[:MOST_FILES]]

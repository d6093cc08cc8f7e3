"""Where the pack reads and writes: only inside ComfyUI's own folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import folder_paths
from server import PromptServer

from ..memory.bank.archive import ENDING
from ..models.world.loader import WEIGHTS
from .file_lists import FileLists, FoundFile, newest

BUNDLED = "bundled"
MODEL_FOLDER = BANKS = "scene_memory"
IN_OUTPUT = " [output]"
CAMERA_ENDINGS = (".txt", ".json", ".npy", ".npz", ".csv", ".bin", ".tum", ".kitti")
STORY_ENDING = ".json"


def register() -> None:
    """Tell ComfyUI of the folder for world models that the user trained, models/scene_memory, and ask to be told of
    prompts: no list of files is made while one is taken in."""
    folder_paths.add_model_folder_path(MODEL_FOLDER, str(Path(folder_paths.models_dir) / MODEL_FOLDER))
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.add_on_prompt_handler(_prompt_came)


def _prompt_came(prompt: dict[str, Any]) -> dict[str, Any]:
    LISTS.prompt_came()
    return prompt


def banks() -> Path:
    """The folder of memory banks."""
    return Path(folder_paths.get_output_directory()) / BANKS


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
    return listed(lambda file: file.name.endswith(ENDING) and len(file.folders) < 2)


def memory_file(name: str) -> Path:
    """The file of a name as `memory_files` gives it.

    Raises:
        ValueError: there is no such file, with some of those that there are.
    """
    return chosen(name, "file", (ENDING,), f"a file made by Save Memory ({ENDING})", memory_files)


def listed(wanted: Callable[[FoundFile], bool], output: bool = True) -> list[str]:
    """Names of files for a combo: those of the input folder, then those of the output folder with ' [output]'."""
    ours = newest([file for file in LISTS.files(INPUT) if wanted(file)])
    theirs = newest([file for file in LISTS.files(OUTPUT) if wanted(file)]) if output else []
    return [*ours, *(f"{name}{IN_OUTPUT}" for name in theirs)]


def chosen(name: str, field: str, endings: tuple[str, ...], kind: str, known: Callable[[], list[str]]) -> Path:
    """The file of a name as the lists give it. It is looked at alone, without a scan: a list may be cut, this is not.

    Args:
        field: the input that holds the name.
        endings: how it may end, in lower case.
        kind: what is asked for, such as "a story (.json)".
        known: the list, for the error.

    Raises:
        ValueError: it is no such file inside ComfyUI's folders, with some of those that there are.
    """
    problem: str | None = ""
    inside = PurePath(name.removesuffix(IN_OUTPUT))
    proper = inside.parts and not inside.is_absolute() and ".." not in inside.parts and "\0" not in name
    if proper and inside.name.lower().endswith(endings):
        folder = folder_paths.get_output_directory() if name.endswith(IN_OUTPUT) else folder_paths.get_input_directory()
        path = Path(folder) / inside
        if (problem := fault_of(path)) is None:
            return path
    there = "; ".join(known()[:10]) or "none"
    raise ValueError(
        f"{field} is {name[:200]!r}{problem}: choose {kind}. There are: {there}. Put yours into ComfyUI's input folder "
        "and press R to see it."
    )


def is_inside(path: Path) -> bool:
    """Whether a path, its links followed, lies in ComfyUI's input or output folder."""
    homes = (folder_paths.get_input_directory(), folder_paths.get_output_directory())
    return any(folder_paths.is_within_directory(home, str(path)) for home in homes)


def fault_of(path: Path) -> str | None:
    """Why a path is no file inside ComfyUI's folders, to be read after its name; None where it is one."""
    if not os.path.lexists(path):
        return ", which is not there"
    if not is_inside(path):
        return ", a link that leads out of ComfyUI's folders, which is not followed (put the file itself there)"
    if path.is_dir():
        return ", which is a folder"
    return None if path.is_file() else ", which is no ordinary file"


INPUT, OUTPUT = "input", "output"
LISTS = FileLists(
    lambda: {INPUT: Path(folder_paths.get_input_directory()), OUTPUT: Path(folder_paths.get_output_directory())},
    (ENDING, *CAMERA_ENDINGS, STORY_ENDING),
    lambda: {banks()},
)
"""All lists of the nodes come from one look at ComfyUI's folders."""

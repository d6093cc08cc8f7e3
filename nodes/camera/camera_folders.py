"""Files of camera paths in ComfyUI's input and output folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths

from ...memory.camera_files.layouts import LAYOUTS
from ...memory.camera_files.source import MAX_BYTES, sibling
from ..folders import IN_OUTPUT, MOST_FILES, banks

NO_FILE = "none"
SUFFIXES = (".txt", ".json", ".npy", ".npz", ".csv", ".bin", ".tum", ".kitti")


def camera_files() -> list[str]:
    """Files that may hold a camera path: those in the input folder, then those in the output folder with ' [output]'.

    The newest of each first. Which of them do hold one is known when they are read.
    """
    found = _files(Path(folder_paths.get_input_directory()))
    return [*found, *(f"{name}{IN_OUTPUT}" for name in _files(Path(folder_paths.get_output_directory())))]


def camera_file(name: str, field: str = "file") -> Path:
    """The file of a name from `camera_files`.

    Raises:
        ValueError: there is no such file, with some of those that there are.
    """
    there = camera_files()
    if name not in there:
        known = "; ".join(there[:10]) or "none"
        raise ValueError(
            f"{field} is {name!r}: choose a file with a camera path ({', '.join(SUFFIXES)}). There are: {known}. Put "
            "yours into ComfyUI's input folder and press R to see it."
        )
    folder = folder_paths.get_output_directory() if name.endswith(IN_OUTPUT) else folder_paths.get_input_directory()
    return Path(folder) / name.removesuffix(IN_OUTPUT)


def content_stamp(path: Path) -> str:
    """A hash of what is in a camera file, and in the files beside it that hold a lens for it."""
    seconds = {sibling(path, *layout.intrinsics) for layout in LAYOUTS.values() if layout.intrinsics is not None}
    digest = hashlib.sha256()
    for file in (path, *sorted(seconds)):
        if file.is_file() and file.stat().st_size <= MAX_BYTES:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with open(file, "rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    """Files with a fitting ending, up to two folders deep, but not those of memory banks, nor links that lead out."""
    found = []
    for pattern in ("*", "*/*", "*/*/*"):
        for path in folder.glob(pattern):
            if path.suffix.lower() not in SUFFIXES or not path.is_file() or banks() in path.parents:
                continue
            if folder_paths.is_within_directory(str(folder), str(path)):
                found.append((-path.stat().st_mtime, path.relative_to(folder).as_posix()))
    return [name for _, name in sorted(found)[:MOST_FILES]]

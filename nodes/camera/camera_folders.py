"""Files of camera paths in ComfyUI's input and output folders."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ...memory.camera_files.layouts import LAYOUTS
from ...memory.camera_files.source import MAX_BYTES, second_files
from .. import folders

NO_FILE = "none"
SUFFIXES = folders.CAMERA_ENDINGS


def camera_files() -> list[str]:
    """Files that may hold a camera path: those in the input folder, then those in the output folder with ' [output]',
    but not those of memory banks. The newest of each first. Which of them do hold one is known when they are read.
    """
    return folders.listed(lambda file: file.name.lower().endswith(SUFFIXES) and file.folders[:1] != (folders.BANKS,))


def camera_file(name: str, field: str = "file") -> Path:
    """The file of a name as `camera_files` gives it; what is beside it and belongs to it may be read, too.

    Raises:
        ValueError: there is no such file, with some of those that there are; or its second file leads elsewhere.
    """
    path = folders.chosen(name, field, SUFFIXES, f"a file with a camera path ({', '.join(SUFFIXES)})", camera_files)
    for second in _seconds(path):
        if os.path.lexists(second) and not folders.is_inside(second):
            raise ValueError(
                f"{field} is {name!r}, and {second.name} beside it, which would hold its lens, is a link that leads "
                "out of ComfyUI's folders: it is not followed. Put the file itself there."
            )
    return path


def content_stamp(path: Path) -> str:
    """A hash of what is in a camera file, and in the files beside it that hold a lens for it."""
    digest = hashlib.sha256()
    for file in (path, *_seconds(path)):
        if file.is_file() and file.stat().st_size <= MAX_BYTES:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with open(file, "rb") as opened:
                while block := opened.read(2**20):
                    digest.update(block)
    return digest.hexdigest()


def _seconds(path: Path) -> list[Path]:
    """Where the second file of each layout would be."""
    words = {layout.intrinsics for layout in LAYOUTS.values() if layout.intrinsics is not None}
    return sorted({file for pair in words for file in second_files(path, *pair)})

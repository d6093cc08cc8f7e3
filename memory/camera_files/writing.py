"""Writes a camera path to a file of a layout that other programs read."""

from __future__ import annotations

from pathlib import Path

from ..cameras.trajectory import Trajectory
from ..errors import BankError
from ..files import write_whole
from .layouts import WRITABLE, layout_named
from .source import CameraFileError


def write_trajectory(
    trajectory: Trajectory, path: Path, layout: str, *, size: tuple[int, int] = (832, 480)
) -> list[Path]:
    """Writes ``trajectory`` to ``path`` in one of the `WRITABLE` layouts; gives all files written, ``path`` first.

    ``size`` is the width and height in pixels of the pictures, for layouts that count in pixels. COLMAP has two more
    files beside ``path``: ``images`` in its name becomes ``cameras`` and ``points3D``. Each file is replaced whole or
    not at all, ``path`` last.

    Raises ``ValueError`` for a layout that is not written and a size below 1, ``CameraFileError`` for a full disk.
    """
    write = layout_named(layout).write
    if write is None:
        raise ValueError(f"{layout} is read but not written. Use one of: {', '.join(WRITABLE)}.")
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"The size of the pictures is {size}: width and height must be at least 1. Use (832, 480).")
    texts = write(trajectory, path, size)
    for file, text in sorted(texts.items(), key=lambda item: item[0] == path):
        try:
            write_whole(file, text.encode("utf-8"))
        except BankError as problem:
            raise CameraFileError(str(problem)) from problem.__cause__
    return [path, *(file for file in texts if file != path)]

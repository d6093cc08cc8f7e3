"""What a layout is: how a file of it is recognised, read and perhaps written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .poses import Where, frame
from .source import Source


@dataclass(frozen=True)
class Recorded:
    """What a file says of a camera path, in our conventions; what it does not say is None or 0.

    ``poses`` (F, 4, 4) camera-to-world; ``intrinsics`` (F, 4) or (4,) normalised; ``times`` (F,) seconds, rising but
    not always even, with ``tick`` the rounding of a time; ``fps`` the file's own rate; ``name`` where the file has one.
    """

    poses: FloatArray
    intrinsics: FloatArray | None = None
    times: FloatArray | None = None
    tick: float = 0.0
    fps: float = 0.0
    name: str = ""
    where: Where = field(default=frame)


@dataclass(frozen=True)
class ReadOptions:
    """What the caller says: the camera to pick, the file of intrinsics, and what stands in for a silent file.

    ``fov`` (horizontal, degrees), ``aspect`` (width / height) and ``fps`` are 0 where the file's own, or the default,
    is meant.
    """

    camera: str = ""
    intrinsics: Source | None = None
    fov: float = 0.0
    aspect: float = 0.0
    fps: float = 0.0


Size = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """One layout. ``about`` is for the artist: who writes it and how it counts.

    ``recognises(source)`` looks at the content only. ``read(source, options)`` gives what is there. ``write(trajectory,
    path, size)`` gives the text of each file, the camera path's own last. ``intrinsics`` names the second file: the
    word in the first file's name and the word in the second's; ``is_second`` recognises one that was chosen by
    mistake. ``cameras`` says that a file may hold several.
    """

    name: str
    about: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, ReadOptions], Recorded]
    write: Callable[[Trajectory, Path, Size], dict[Path, str]] | None = None
    intrinsics: tuple[str, str] | None = None
    is_second: Callable[[Source], bool] | None = None
    cameras: bool = False

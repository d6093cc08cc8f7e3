"""Posed video to learn from: a folder a clip, with its frames, its camera path and what it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...memory.camera_files import read_trajectory
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.records import SegmentRecord
from ...memory.state.state import EMPTY_ID, MemoryState

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Clip:
    """One continuous take: files of its frames in order, cameras for each, a caption, (width, height)."""

    name: str
    files: tuple[Path, ...]
    trajectory: Trajectory
    caption: str
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.files)

    def frames(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Pictures (n, H, W, 3) of frames. Raises ValueError for one that is damaged or of another size."""
        return np.stack([self._frame(self.files[index]) for index in indices])

    def cameras(self) -> MemoryState:
        """A memory of the whole clip's cameras, to retrieve from."""
        record = SegmentRecord(
            id="c" * 64, parent=EMPTY_ID, start=0, frames=len(self), shot=0, prompt="",
            size=(self.size[1], self.size[0]), fps=self.trajectory.fps,
        )  # fmt: skip
        return MemoryState().with_segment(record, self.trajectory.poses, self.trajectory.intrinsics)

    def _frame(self, file: Path) -> NDArray[np.uint8]:
        picture = picture_in(file)
        if (picture.shape[1], picture.shape[0]) != self.size:
            raise ValueError(
                f"{file} is {picture.shape[1]} x {picture.shape[0]}, but the clip begins with {self.size[0]} x "
                f"{self.size[1]}. Give all frames of a clip one size."
            )
        return picture


def read_clips(folder: Path, multiple: int) -> list[Clip]:
    """The clips in a folder, by name.

    Each is a folder with ``frames`` (numbered pictures), ``trajectory.*`` (a camera path of any layout that Load Camera
    Path knows) and, if you like, ``caption.txt``.

    Args:
        multiple: what width and height must be multiples of.

    Raises:
        ValueError: with the folder or file, what is wrong with it and what to do.
    """
    homes = sorted(home for home in folder.iterdir() if (home / "frames").is_dir()) if folder.is_dir() else []
    if not homes:
        raise ValueError(f"{folder} has no clips. Make a folder a clip in it, with frames/ and trajectory.json.")
    return [_clip(home, multiple) for home in homes]


def _clip(home: Path, multiple: int) -> Clip:
    files = tuple(sorted((p for p in (home / "frames").iterdir() if p.suffix.lower() in PICTURES), key=_number))
    if not files:
        raise ValueError(f"{home / 'frames'} has no pictures. Put frames there as {', '.join(PICTURES)}.")
    paths = sorted(home.glob("trajectory.*"))
    if len(paths) != 1:
        raise ValueError(f"{home} has {len(paths)} files trajectory.*, expected 1. Put the clip's camera path there.")
    trajectory = read_trajectory(paths[0])
    if len(trajectory) != len(files):
        raise ValueError(
            f"{home} has {len(files)} frames, but {paths[0].name} has {len(trajectory)} cameras. "
            "Give one camera for each frame."
        )
    height, width = picture_in(files[0]).shape[:2]
    if width % multiple or height % multiple:
        raise ValueError(
            f"{files[0]} is {width} x {height}: this model takes multiples of {multiple}. "
            f"Crop or resize the clip, to {width // multiple * multiple} x {height // multiple * multiple} for example."
        )
    told = home / "caption.txt"
    caption = told.read_text(encoding="utf-8").strip() if told.is_file() else ""
    return Clip(home.name, files, trajectory, caption, (width, height))


def picture_in(file: Path) -> NDArray[np.uint8]:
    """The picture (H, W, 3) RGB in a file; names in any script work."""
    read = cv2.imdecode(np.frombuffer(file.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError(f"{file} is no picture. Copy it again, or leave the clip out.")
    return np.ascontiguousarray(read[..., ::-1]).astype(np.uint8, copy=False)


def _number(file: Path) -> tuple[int, str]:
    """By the last number in the name: frame_2 comes before frame_10."""
    found = re.findall(r"\d+", file.stem)
    return (int(found[-1]) if found else -1), file.name

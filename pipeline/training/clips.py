"""Posed video to learn from: a folder a clip, with its frames, its camera path and what it shows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...memory.camera_files import read_trajectory
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.records import SegmentRecord
from ...memory.state.state import EMPTY_ID, MemoryState

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Shot:
    """A shot of a clip: its first frame, the frame after its last, and its caption."""

    first: int
    stop: int
    caption: str


@dataclass(frozen=True)
class Clip:
    """One film: files of its frames in order, cameras for each, shots without gaps, (width, height).

    subject: a description of who or what must stay the same, "" where there is none. shows: frames that show it.
    """

    name: str
    files: tuple[Path, ...]
    trajectory: Trajectory
    shots: tuple[Shot, ...]
    size: tuple[int, int]
    subject: str = ""
    shows: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def caption(self, frame: int) -> str:
        """The caption of the shot that a frame is in."""
        return next(shot.caption for shot in self.shots if frame < shot.stop)

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
    Path knows) and, if you like, ``caption.txt``; or, where it has cuts, ``shots.json``: a list of ``{"first": frame,
    "caption": text}``. ``subject.txt`` describes who or what must stay the same; ``subject_frames.txt`` names the
    frames that show it ("0-20, 45"), all of them where it is missing.

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
    subject = _text(home / "subject.txt")
    shows = _numbers(home / "subject_frames.txt", len(files)) if subject else ()
    return Clip(home.name, files, trajectory, _shots(home, len(files)), (width, height), subject, shows)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8-sig").strip() if file.is_file() else ""


def _shots(home: Path, frames: int) -> tuple[Shot, ...]:
    file = home / "shots.json"
    if not file.is_file():
        return (Shot(0, frames, _text(home / "caption.txt")),)
    wanted = 'Use [{"first": 0, "caption": "..."}, ...], rising from 0 and below the number of frames.'
    try:
        entries: Any = json.loads(file.read_text(encoding="utf-8-sig"))
        firsts, captions = [shot["first"] for shot in entries], [shot.get("caption", "") for shot in entries]
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} is no list of shots ({error!r}). {wanted}") from error
    whole = all(type(first) is int for first in firsts) and all(isinstance(caption, str) for caption in captions)
    if not whole or not firsts or firsts[0] != 0 or sorted(set(firsts)) != firsts or firsts[-1] >= frames:
        raise ValueError(f"{file}: its shots begin at {firsts}, and the clip has {frames} frames. {wanted}")
    stops = [*firsts[1:], frames]
    return tuple(Shot(*shot) for shot in zip(firsts, stops, captions, strict=True))


def _numbers(file: Path, frames: int) -> tuple[int, ...]:
    """Frames named as "0-20, 45"; all where the file is missing."""
    text = _text(file)
    if not text:
        return tuple(range(frames))
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if match is None or not int(match[1]) <= int(match[2] or match[1]) < frames:
            raise ValueError(f"{file}: {part!r} are no frames of a clip of {frames}. Use '0-20, 45', for example.")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def picture_in(file: Path) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB in a file; names in any script work. Raises ValueError where it is none."""
    read = cv2.imdecode(np.frombuffer(file.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError(f"{file} is no picture. Copy it again, or leave the clip out.")
    return np.ascontiguousarray(read[..., ::-1]).astype(np.uint8, copy=False)


def _number(file: Path) -> tuple[int, str]:
    """By the last number in the name: frame_2 comes before frame_10."""
    found = re.findall(r"\d+", file.stem)
    return (int(found[-1]) if found else -1), file.name

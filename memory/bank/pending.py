"""A pending segment: what may be given to a bank, checked, and how it is written to disk."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.trajectory import Trajectory
from ..errors import BankError
from ..files import no_link, write_whole
from ..state.state import MemoryState, SegmentRecord
from .codec import MAX_PIXELS
from .commit import check_still_there, commit, flag_dropped
from .keys import KeyNote, write_key
from .limit import SizeLimit, keep_within, make_room
from .segment_file import Tensors, encode_segment, is_sound
from .segment_text import MAX_FPS, MAX_SEGMENT_FRAMES, MAX_SHOTS, MAX_SIDE, MIN_FPS

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PendingSegment:
    """A segment that is checked and described but not on the disk: ``state`` is the memory with it, ``before`` that
    which it continues. ``write`` brings it to the bank in ``folder``.

    ``record`` and ``tensors`` are those of ``describe_segment``, ``pictures`` (F, H, W, 3) uint8. ``keys`` will lead
    to it with ``note``.
    """

    state: MemoryState
    before: MemoryState
    folder: Path
    limit: SizeLimit | None
    record: SegmentRecord
    tensors: Tensors
    pictures: NDArray[np.uint8]
    keys: tuple[str, ...]
    note: KeyNote

    def write(self) -> MemoryState:
        """Writes the segment, makes its memory the bank's and gives it, within the bank's limit.

        On a full disk, what the limit allows to free is freed first. Raises ``BankError`` if the disk refuses.
        """
        try:
            return self._within(self._store())
        except BankError as problem:
            if self.limit is None or getattr(problem.__cause__, "errno", None) not in _FULL:
                raise
            _log.warning("The disk is full: memory bank %r frees what its limit allows. %s", self.folder.name, problem)
            coming = sum(map(len, encode_segment(self.record, self.tensors, self.pictures)))
            gone = make_room(self.folder, self.before, self.limit, coming)
            done = self._store()
            return self._within(flag_dropped(self.folder, done, gone) if len(gone) else done)

    def _store(self) -> MemoryState:
        check_still_there(self.folder, self.before)
        path = no_link(self.folder / "segments" / f"{self.record.id}.safetensors")
        if not (path.is_file() and is_sound(path, self.record, self.before.end_time)):
            write_whole(path, *encode_segment(self.record, self.tensors, self.pictures), folder=False)
        for key in self.keys:
            write_key(self.folder / "keys", key, self.note)
        return commit(self.folder, self.state)

    def _within(self, state: MemoryState) -> MemoryState:
        return state if self.limit is None else keep_within(self.folder, state, self.limit)


def checked_frames(frames: ArrayLike, trajectory: Trajectory) -> NDArray[np.uint8]:
    """Pictures (F, H, W, 3) uint8, one for each camera of the path. Raises ``BankError`` for anything else."""
    pictures = np.asarray(frames)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
        raise BankError(f"Frames are {pictures.dtype} of the shape {pictures.shape}, expected uint8 (frames, height, "
                        "width, 3) in RGB.")
    if len(pictures) != len(trajectory):
        raise BankError(f"The segment has {len(pictures)} frames, but its camera path has {len(trajectory)}. Give one "
                        "camera for each frame.")
    if len(pictures) > MAX_SEGMENT_FRAMES:
        raise BankError(f"The segment has {len(pictures)} frames: at most {MAX_SEGMENT_FRAMES} fit. Make it shorter.")
    if not (1 <= pictures.shape[1] <= MAX_SIDE and 1 <= pictures.shape[2] <= MAX_SIDE):
        raise BankError(f"Frames are {pictures.shape[2]} x {pictures.shape[1]}: sides of 1 to {MAX_SIDE} fit.")
    if pictures.shape[1] * pictures.shape[2] > MAX_PIXELS:
        raise BankError(f"Frames are {pictures.shape[2]} x {pictures.shape[1]}: at most {MAX_PIXELS} pixels fit, such "
                        "as 8192 x 8192. Make the pictures smaller.")
    return pictures


def checked_latents(latents: ArrayLike | None) -> NDArray[Any] | None:
    """Latents (C, T, h, w) float16 or float32, if there are any. Raises ``BankError`` for anything else."""
    if latents is None:
        return None
    given = np.asarray(latents)
    if given.dtype not in (np.float16, np.float32) or given.ndim != 4 or 0 in given.shape:
        raise BankError(f"Latents are {given.dtype} of the shape {given.shape}, expected float16 or float32 (channels, "
                        "frames, height, width).")
    return given


def checked_shot(shot: object, state: MemoryState) -> int:
    """The number of a shot of ``state``, from 0. Raises ``BankError`` for anything else."""
    if not isinstance(shot, int | np.integer) or isinstance(shot, bool) or not 0 <= shot < MAX_SHOTS:
        cure = f"Use {state.shots}." if state.shots < MAX_SHOTS else "Go on in a new memory bank."
        raise BankError(f"The shot is {shot!r}: shots are whole numbers from 0 to {MAX_SHOTS - 1}. {cure}")
    return int(shot)


def check_rate(trajectory: Trajectory) -> None:
    """Raises ``BankError`` for a camera path whose frame rate no film has."""
    if not MIN_FPS <= trajectory.fps <= MAX_FPS:
        raise BankError(f"The camera path runs at {trajectory.fps:g} frames a second: a film has {MIN_FPS:g} to "
                        f"{MAX_FPS:g}. Give the path another fps.")

"""What may be given to a bank as a segment. Everything else raises ``BankError`` that says what to give instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.trajectory import Trajectory
from ..errors import BankError
from ..state.state import MemoryState
from .codec import MAX_PIXELS
from .segment_text import MAX_SEGMENT_FRAMES, MAX_SIDE

if TYPE_CHECKING:
    from .bank import Bank


def check_still_there(bank: Bank, state: MemoryState) -> None:
    """Refuses to continue ``state`` where its files are gone: the bank was deleted, and perhaps made anew."""
    if state.frames:
        newest = bank.segments_path / f"{state.segments[-1].id}.safetensors"
        there = newest.is_file() or bool(state.flags([state.frames - 1]).dropped[0])
    else:
        there = bank.path.is_dir()
    if not there:
        raise BankError(f"The memory bank {bank.name!r} was deleted, or made anew, while this film was in use: the "
                        f"{state.frames} frames before this are gone from {bank.path}. Queue the graph again to make "
                        "them anew, or put the folder back.")


def checked_frames(frames: ArrayLike, trajectory: Trajectory) -> NDArray[np.uint8]:
    """Pictures (F, H, W, 3) uint8, one for each camera of the path."""
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
    """Latents (C, T, h, w) float16 or float32, if there are any."""
    if latents is None:
        return None
    given = np.asarray(latents)
    if given.dtype not in (np.float16, np.float32) or given.ndim != 4 or 0 in given.shape:
        raise BankError(f"Latents are {given.dtype} of the shape {given.shape}, expected float16 or float32 (channels, "
                        "frames, height, width).")
    return given

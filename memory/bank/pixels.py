"""Pictures of a memory read from its bank, and dropped from it to save space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BankError
from ..state.state import MemoryState
from .segment_file import CodedPicture, decode_all, kept_pictures, read_coded, without_pictures
from .storage import no_link, write_whole

if TYPE_CHECKING:
    from .bank import Bank

Indices = NDArray[np.int64]


def read_pixels(folder: Path, state: MemoryState, wanted: Indices, nearest: bool) -> NDArray[np.uint8]:
    """Pixels (n, H, W, 3) uint8 of the frames ``wanted`` from the bank in ``folder``, each decoded once."""
    if nearest:
        wanted = _nearest_kept(folder, state, wanted)
    height, width = state.size or (0, 0)
    result = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
    pictures: list[CodedPicture] = []
    places: list[Indices] = []
    for path, entry, start, mine in _by_segment(folder, state, wanted):
        local, back = np.unique(wanted[mine] - start, return_inverse=True)
        for which, picture in enumerate(read_coded(path, entry, local.tolist())):
            if picture is None:
                raise BankError(f"The picture of frame {start + local[which]} was dropped to keep the bank within its "
                                "size. Leave the frame out, or import the bank from a copy that has it.")
            pictures.append(picture)
            places.append(mine[back == which])
    for at, pixels in zip(places, decode_all(pictures), strict=True):
        result[at] = pixels
    return result


def kept_frames(folder: Path, state: MemoryState, wanted: Indices) -> NDArray[np.bool_]:
    """(n,) whether the pictures of the frames ``wanted`` are still on the disk."""
    result = np.zeros(len(wanted), dtype=np.bool_)
    for path, entry, start, mine in _by_segment(folder, state, wanted):
        result[mine] = kept_pictures(path, entry)[wanted[mine] - start]
    return result


def drop_pixels(bank: Bank, state: MemoryState, indices: ArrayLike | Sequence[int]) -> int:
    """Removes the pictures of the frames ``indices`` from the disk, each file as a whole; gives the bytes freed.

    Ids, cameras and depth stay, and so do the latents of a segment that keeps a picture.
    """
    freed, wanted = 0, state.checked_indices(indices)
    for path, entry, start, mine in _by_segment(bank.path, state, wanted):
        before = path.stat().st_size
        write_whole(path, *without_pictures(path, entry, (wanted[mine] - start).tolist()))
        freed += before - path.stat().st_size
    return freed


def _by_segment(folder: Path, state: MemoryState, wanted: Indices) -> Iterator[tuple[Path, str, int, Indices]]:
    """For each segment that the frames are in: its file, its id, its first frame, and which of ``wanted`` they are."""
    owners = state.segments.of_frames(wanted)
    for owner in np.unique(owners):
        entry = state.segments.id_of(int(owner))
        start = int(state.segments.starts(np.array([owner]))[0])
        yield no_link(folder / "segments" / f"{entry}.safetensors"), entry, start, np.flatnonzero(owners == owner)


def _nearest_kept(folder: Path, state: MemoryState, wanted: Indices) -> Indices:
    """``wanted`` with each frame that was dropped replaced by the kept one next to it, the earlier of two."""
    result: Indices = wanted.copy()
    for at in np.flatnonzero(~kept_frames(folder, state, wanted)):
        frame, reach = int(wanted[at]), 64
        while True:
            around = np.arange(max(0, frame - reach), min(state.frames, frame + reach + 1))
            kept = around[kept_frames(folder, state, around)]
            if len(kept):
                result[at] = kept[np.argmin(np.abs(kept - frame))]
                break
            if len(around) == state.frames:
                raise BankError("All pictures of this memory were dropped. Import the bank from a copy that has them.")
            reach *= 4
    return result

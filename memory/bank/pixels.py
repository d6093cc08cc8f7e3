"""Pictures of a memory read from its bank, and dropped from it to save space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BankError, DamageError
from ..files import no_link, say_once, write_whole
from ..state.state import MemoryState
from .segment_file import CodedPicture, decode_some, kept_pictures, read_coded, read_extra, without_pictures

Indices = NDArray[np.int64]


def read_pixels(
    folder: Path, state: MemoryState, wanted: Indices, nearest: bool, damaged: list[int] | None = None
) -> NDArray[np.uint8]:
    """Pixels (n, H, W, 3) uint8 of the frames ``wanted`` from the bank in ``folder``, each decoded once.

    With ``nearest`` the kept frame next to one that was dropped or is damaged stands in; those that are damaged are
    appended to ``damaged``, and named in the log. Raises ``BankError`` if there is none, or without ``nearest`` for a
    frame that was dropped or is damaged.
    """
    height, width = state.size or (0, 0)
    result = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
    shown = _nearest_kept(folder, state, wanted, {}) if nearest else wanted
    failed = _read_into(result, folder, state, shown, np.arange(len(wanted)))
    if not nearest:
        for problem in failed.values():
            raise problem
        return result
    bad = dict(failed)
    while failed:
        again = np.flatnonzero(np.isin(shown, list(failed)))
        shown[again] = _nearest_kept(folder, state, wanted[again], bad)
        failed = _read_into(result, folder, state, shown, again)
        bad |= failed
    _log_stand_ins(folder, wanted, shown, bad)
    if damaged is not None:
        damaged += [frame for frame in wanted.tolist() if frame in bad]
    return result


def extra_or_none(path: Path, entry: str, name: str) -> NDArray[Any] | None:
    """The "latents" (C, T, h, w) or "depth" (F, h, w) of a segment as ``read_extra`` gives them.

    None, and a line in the log, where they are damaged: both are a help, and no film stops for them.
    """
    try:
        return read_extra(no_link(path), entry, name)
    except DamageError as problem:
        say_once((path, name), f"The {name} of a segment cannot be used, and it goes on without. {problem}")
        return None


def kept_frames(folder: Path, state: MemoryState, wanted: Indices) -> NDArray[np.bool_]:
    """(n,) whether the pictures of the frames ``wanted`` are still on the disk; none of a file that is damaged."""
    result = np.zeros(len(wanted), dtype=np.bool_)
    for path, entry, start, mine in _by_segment(folder, state, wanted):
        try:
            result[mine] = kept_pictures(path, entry)[wanted[mine] - start]
        except DamageError as problem:
            say_once(path, f"Memory bank {folder.name!r}: the pictures of a segment are lost. {problem}")
    return result


def drop_pixels(folder: Path, state: MemoryState, indices: ArrayLike | Sequence[int]) -> int:
    """Removes the pictures of the frames ``indices`` from the bank in ``folder``, each file as a whole.


    Gives the bytes freed. Ids, cameras and depth stay, and so do the latents of a segment that keeps a picture.
    """
    freed, wanted = 0, state.checked_indices(indices)
    for path, entry, start, mine in _by_segment(folder, state, wanted):
        before = path.stat().st_size
        write_whole(path, *without_pictures(path, entry, (wanted[mine] - start).tolist()))
        freed += before - path.stat().st_size
    return freed


def _read_into(
    result: NDArray[np.uint8], folder: Path, state: MemoryState, wanted: Indices, positions: Indices
) -> dict[int, BankError]:
    """Reads the frames ``wanted[positions]`` into ``result[positions]``; gives those that cannot be read, and why."""
    failed: dict[int, BankError] = {}
    pictures: list[CodedPicture] = []
    targets: list[tuple[int, Indices]] = []
    for path, entry, start, mine in _by_segment(folder, state, wanted[positions]):
        local, back = np.unique(wanted[positions[mine]] - start, return_inverse=True)
        try:
            coded = read_coded(path, entry, local.tolist())
        except DamageError as problem:
            failed |= dict.fromkeys((local + start).tolist(), problem)
            continue
        for which, picture in enumerate(coded):
            frame = int(start + local[which])
            if picture is None:
                failed[frame] = BankError(
                    f"The picture of frame {frame} was dropped to keep the bank within its size. Leave the frame out, "
                    "or import the bank from a copy that has it.")
            else:
                pictures.append(picture)
                targets.append((frame, positions[mine[back == which]]))
    for (frame, at), pixels in zip(targets, decode_some(pictures), strict=True):
        if isinstance(pixels, DamageError):
            failed[frame] = DamageError(f"The picture of frame {frame} is damaged: {pixels} Or exclude the frame in "
                                        "Memory Editor.")
        else:
            result[at] = pixels
    return failed


def _log_stand_ins(folder: Path, wanted: Indices, shown: Indices, bad: dict[int, BankError]) -> None:
    for frame, other in zip(wanted.tolist(), shown.tolist(), strict=True):
        if frame in bad:
            say_once((folder, frame), f"Memory bank {folder.name!r}: the picture of frame {frame} is damaged, that of "
                     f"frame {other} stands in. {bad[frame]}")


def _by_segment(folder: Path, state: MemoryState, wanted: Indices) -> Iterator[tuple[Path, str, int, Indices]]:
    """For each segment that the frames are in: its file, its id, its first frame, and which of ``wanted`` they are."""
    owners = state.segments.of_frames(wanted)
    for owner in np.unique(owners):
        entry = state.segments.id_of(int(owner))
        start = int(state.segments.starts(np.array([owner]))[0])
        yield no_link(folder / "segments" / f"{entry}.safetensors"), entry, start, np.flatnonzero(owners == owner)


def _nearest_kept(folder: Path, state: MemoryState, wanted: Indices, bad: Mapping[int, BankError]) -> Indices:
    """``wanted`` with each frame that was dropped or is ``bad`` replaced by the sound one next to it, the earlier of
    two."""
    result: Indices = wanted.copy()
    lost = list(bad)
    for at in np.flatnonzero(~kept_frames(folder, state, wanted) | np.isin(wanted, lost)):
        frame, reach = int(wanted[at]), 64
        while True:
            around = np.arange(max(0, frame - reach), min(state.frames, frame + reach + 1))
            kept = around[kept_frames(folder, state, around) & ~np.isin(around, lost)]
            if len(kept):
                result[at] = kept[np.argmin(np.abs(kept - frame))]
                break
            if len(around) == state.frames:
                raise BankError("All pictures of this memory were dropped or are damaged. Import the bank from a copy "
                                "that has them.")
            reach *= 4
    return result

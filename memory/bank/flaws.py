"""What is damaged in a segment file, down to the last pixel, and the file without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BankError, DamageError
from ..state.edits import MAX_RUNS, Edit
from ..state.frame_ranges import runs_of, runs_text
from ..state.records import SegmentRecord
from ..state.state import MemoryState
from .segment_file import (
    cameras_only,
    decode_some,
    kept_pictures,
    read_cameras,
    read_coded,
    read_extra,
    without_pictures,
)
from .tensor_file import Buffer

_AT_ONCE = 8 << 20
"""Bytes of pixels that are checked between two looks at whether to go on."""


@dataclass(frozen=True)
class Flaws:
    """What is damaged in one segment: numbers of ``frames`` in the memory whose pictures are, ``extras`` ("latents",
    "depth"), whether all of the file is (``whole``), and the first ``problem`` in words."""

    frames: tuple[int, ...] = ()
    extras: tuple[str, ...] = ()
    whole: bool = False
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.frames or self.extras or self.whole)


def flaws_of(path: Path, state: MemoryState, number: int, tick: Callable[[float], None]) -> Flaws:
    """What is damaged in the file ``path`` of segment ``number`` of ``state``.

    ``tick`` is called with the share that was looked at, after every few pictures.
    """
    record = state.segments[number]
    everything = tuple(range(record.start, record.start + record.frames))
    try:
        read_cameras(path, record.id, record.start, float(state.times_at([record.start])[0]))
        kept = kept_pictures(path, record.id).nonzero()[0].tolist()
        bad, problem = _bad_pictures(path, record, kept, tick)
    except DamageError as error:
        return Flaws(everything, (), True, str(error))
    extras = []
    for name in ("latents", "depth"):
        try:
            read_extra(path, record.id, name)
        except DamageError as error:
            extras.append(name)
            problem = problem or str(error)
    return Flaws(tuple(record.start + index for index in bad), tuple(extras), False, problem)


def mended(path: Path, state: MemoryState, number: int, flaws: Flaws) -> list[Buffer] | None:
    """The parts of the file of segment ``number`` of ``state`` without what is damaged; its id stays valid.

    None for a segment of version 1, which cannot do without a part of it.
    """
    record = state.segments[number]
    try:
        if flaws.whole:
            return cameras_only(record, *state.camera_rows(record.start, record.start + record.frames))
        return without_pictures(path, record.id, [frame - record.start for frame in flaws.frames], flaws.extras)
    except DamageError:
        raise
    except BankError:
        return None


def drops(frames: Sequence[int]) -> list[Edit]:
    """The edits that say of ``frames`` that their pictures are gone."""
    runs = runs_of(np.asarray(frames, dtype=np.int64))
    return [Edit("drop", runs[first : first + MAX_RUNS]) for first in range(0, len(runs), MAX_RUNS)]


def flaws_text(found: Sequence[Flaws]) -> str:
    """What was damaged, in a sentence or two; empty if nothing was."""
    frames = sorted({frame for flaws in found for frame in flaws.frames})
    extras = [name for flaws in found for name in flaws.extras]
    said = []
    if frames:
        runs = runs_of(np.asarray(frames))
        said.append(f"The pictures of {len(frames)} frames ({runs_text(runs)}) are damaged and were left out; their "
                    "cameras are kept.")
    for name in ("latents", "depth"):
        if name in extras:
            said.append(f"The {name} of {extras.count(name)} segments are damaged and were left out.")
    problem = next((flaws.problem for flaws in found if flaws.problem), "")
    return " ".join([*said, f"First problem: {problem}"] if said else [])


def _bad_pictures(
    path: Path, record: SegmentRecord, kept: Sequence[int], tick: Callable[[float], None]
) -> tuple[list[int], str]:
    at_once = max(1, _AT_ONCE // (3 * record.size[0] * record.size[1]))
    bad: list[int] = []
    problem = ""
    for first in range(0, len(kept), at_once):
        some = kept[first : first + at_once]
        coded = [picture for picture in read_coded(path, record.id, some) if picture is not None]
        for index, pixels in zip(some, decode_some(coded), strict=True):
            if isinstance(pixels, DamageError):
                bad.append(index)
                problem = problem or str(pixels)
        tick((first + len(some)) / len(kept))
    return bad, problem

"""Frames named in words, as artists do: "0, 24-40, 100-", "shot 2", "last 8"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .state import MemoryState

Runs = tuple[tuple[int, int], ...]
"""Runs of frames as (start, stop), stop not included, ascending, neither overlapping nor touching."""

EXAMPLES = '"0, 24-40, 100-", "shot 2", "last 8" or "all"'

_RANGE = re.compile(r"(\d{1,9})(?: ?- ?(\d{1,9})?)?")
_SHOT = re.compile(r"shots? (\d{1,9})(?: ?- ?(\d{1,9}))?")
_END = re.compile(r"(first|last) ([1-9]\d{0,8})")
_MOST_PARTS = 10_000


def frame_runs(text: str, state: MemoryState, field: str = "frames") -> Runs:
    """The frames of ``state`` that ``text`` names, joined with commas.

    A part is one frame ("12"), frames from and to, both included ("24-40"), from a frame to the end ("100-"), a shot or
    several ("shot 2", "shots 2-3"), the "last shot", the "first 8" or "last 8" frames, or "all".

    Raises ``ValueError`` that names the ``field``, the part that is not understood or not there, and the cure.
    """
    parts = [part.strip() for part in re.split(r"[,;\n]", _plain(text)) if part.strip()]
    if not parts:
        raise ValueError(f"{field} is empty: name at least one frame, such as {EXAMPLES}.")
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"{field} has {len(parts)} parts: at most {_MOST_PARTS} fit. Join neighbours, as in 24-40.")
    if state.frames == 0:
        raise ValueError(f'{field} is "{parts[0][:40]}", but the memory is empty. Connect that of a Shot Generator'
                         " or of a Memory Bank with a start image.")
    return joined(run for part in parts for run in _part(part, state, field))


def joined(runs: Iterable[tuple[int, int]]) -> Runs:
    """Runs in any order, overlapping or not, as ascending runs with gaps between them."""
    result: list[tuple[int, int]] = []
    for start, stop in sorted(runs):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        elif stop > start:
            result.append((start, stop))
    return tuple(result)


def runs_of(indices: NDArray[np.int64]) -> Runs:
    """Frames (n,) int64, in any order and perhaps twice, as runs."""
    frames = np.unique(np.asarray(indices, dtype=np.int64))
    if not len(frames):
        return ()
    edges = np.flatnonzero(np.diff(frames) > 1) + 1
    bounds = [0, *edges.tolist(), len(frames)]
    return tuple((int(frames[start]), int(frames[stop - 1]) + 1) for start, stop in pairwise(bounds))


def indices_of(runs: Runs) -> NDArray[np.int64]:
    """Every frame of runs, ascending, (n,) int64."""
    if not runs:
        return np.empty(0, dtype=np.int64)
    return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in runs])


def count_of(runs: Runs) -> int:
    """How many frames runs hold."""
    return sum(stop - start for start, stop in runs)


def runs_text(runs: Sequence[tuple[int, int]], most: int = 12) -> str:
    """Runs as ``frame_runs`` reads them; after ``most`` of them an ellipsis."""
    shown = [str(start) if stop == start + 1 else f"{start}-{stop - 1}" for start, stop in runs[:most]]
    return ", ".join([*shown, "..."] if len(runs) > most else shown)


def shot_runs(state: MemoryState) -> dict[int, Runs]:
    """The frames of each shot, by shot number, in the order of the film."""
    found: dict[int, list[tuple[int, int]]] = {}
    for record in state.segments:
        found.setdefault(record.shot, []).append((record.start, record.start + record.frames))
    return {shot: joined(runs) for shot, runs in found.items()}


def _plain(text: str) -> str:
    for dash in "\u2010\u2011\u2012\u2013\u2014\u2212":
        text = text.replace(dash, "-")
    return re.sub(r"[ \t]+", " ", text.lower())


def _part(part: str, state: MemoryState, field: str) -> Runs:
    newest = state.frames - 1
    if part == "all":
        return ((0, state.frames),)
    if end := _END.fullmatch(part):
        count = min(int(end[2]), state.frames)
        return ((0, count),) if end[1] == "first" else ((state.frames - count, state.frames),)
    if part == "last shot" or _SHOT.fullmatch(part):
        return _shots(part, state, field)
    if (found := _RANGE.fullmatch(part)) is None:
        raise ValueError(f'{field} says "{part[:40]}", which names no frames. Write frames such as {EXAMPLES}.')
    first = int(found[1])
    last = int(found[2]) if found[2] else newest if "-" in part else first
    if max(first, last) > newest:
        raise ValueError(f'{field} says "{part}", but the memory has {state.frames} frames, 0 to {newest}. Use numbers '
                         f'up to {newest}, or "{min(first, newest)}-" for all from there to the end.')
    if last < first:
        raise ValueError(f'{field} says "{part}", which ends before it begins. Write "{last}-{first}".')
    return ((first, last + 1),)


def _shots(part: str, state: MemoryState, field: str) -> Runs:
    runs = shot_runs(state)
    if part == "last shot":
        return runs[state.segments[-1].shot]
    found = _SHOT.fullmatch(part)
    assert found is not None
    first = int(found[1])
    last = int(found[2]) if found[2] else first
    wanted = [shot for shot in runs if first <= shot <= last]
    if not wanted:
        raise ValueError(f'{field} says "{part}", but the memory has no such shot. It has shots '
                         f"{runs_text(runs_of(np.array(list(runs))))}; Memory Info shows them.")
    return joined(run for shot in wanted for run in runs[shot])

"""What the segments of a film looked at and why, for the artist: from the notes that were kept with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..state.state import MemoryState
from .reasons import Noted, noted, percent

MOST_SEGMENTS, MOST_NAMED = 100, 5


@dataclass(frozen=True)
class Recalled:
    """One segment: its number in the film from 1, its shot, its frames ``start`` to ``stop`` (left out), and the frames
    that it looked at in the order chosen, with their reasons as far as they were kept."""

    number: int
    shot: int
    start: int
    stop: int
    frames: tuple[Noted, ...]


def recalled(state: MemoryState, most: int = MOST_SEGMENTS) -> tuple[Recalled, ...]:
    """What the newest ``most`` segments that looked back looked at, the oldest first; frames that are not there are
    left out."""
    found: list[Recalled] = []
    for place in range(len(state.segments) - 1, -1, -1):
        if len(found) == most:
            break
        record = state.segments[place]
        frames = tuple(one for one in noted(record.info) or () if one.index < record.start)
        if frames:
            found.append(Recalled(place + 1, record.shot, record.start, record.start + record.frames, frames))
    return tuple(reversed(found))


def report(state: MemoryState) -> list[str]:
    """A line for each of the newest segments: what it looked at and why."""
    told = recalled(state, MOST_SEGMENTS)
    return [
        f"Segment {one.number}, shot {one.shot}, frames {one.start}-{one.stop - 1}: {frames_told(one.frames)}."
        for one in told
    ]


def frames_told(frames: Sequence[Noted], most: int = MOST_NAMED) -> str:
    """Frames that were looked at, in a few words: each with the share that it saw, under the rule that chose it."""
    parts: list[str] = []
    rule = ""
    for frame in frames[:most]:
        named = f"{frame.rule}: " if frame.rule and frame.rule != rule else ""
        saw = f" ({frame.brings})" if frame.rule else ""
        parts.append(f"{'; ' if named and parts else ', ' if parts else ''}{named}{frame.index}{saw}")
        rule = frame.rule
    more = len(frames) - most
    return "".join(parts) + (f", and {more} more" if more > 0 else "")


def looked_at(frames: Sequence[Noted], most: int = 2) -> str:
    """The shortest: frame numbers and the shares that they saw, those that saw most first."""
    best = sorted(frames, key=lambda one: -one.overlap)[:most]
    named = [f"{one.index} ({percent(one.overlap)})" if one.rule else str(one.index) for one in best]
    more = len(frames) - most
    return ", ".join(named) + (f" +{more}" if more > 0 else "")

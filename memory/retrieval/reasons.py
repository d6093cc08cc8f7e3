"""Why frames were chosen: in words for the artist, as it is kept with the segment that looked at them, and as a report
of a film's segments from what was kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..state.state import MemoryState

DIGITS = 3
"""Decimals of a share that are kept. They are part of the film's id, and what lies below differs between machines."""

MOST_LETTERS = 80
_SHOWN = 0.001


@dataclass(frozen=True)
class Noted:
    """What a segment's notes say of a frame that it looked at.

    ``rule`` in plain words: what the strategy chose it by. ``overlap`` 0..1 is the largest share of one of the
    segment's views that the frame saw, in 3-D (``covisibility``), whatever the strategy. ``gain`` 0..1 is the share of
    the segment that it adds to the frames before it, where the strategy works that out.
    """

    index: int
    rule: str
    overlap: float
    gain: float

    @property
    def brings(self) -> str:
        """What it saw and adds, in a few words."""
        return f"saw {percent(self.overlap)}" + (f", adds {percent(self.gain)}" if self.gain > 0.0 else "")


@dataclass(frozen=True)
class Reason(Noted):
    """Why a frame was chosen: as it is noted, and ``age_s``, the seconds from the frame to the start of the segment."""

    age_s: float

    @property
    def text(self) -> str:
        """The whole reason as a sentence for the artist."""
        said = f"Frame {self.index}, {self.age_s:.1f} s ago: {self.rule}; it saw up to {percent(self.overlap)}"
        adds = f" and adds {percent(self.gain)} of the segment" if self.gain > 0.0 else ""
        return f"{said} of what is coming{adds}."


def notes_of(reasons: Sequence[Noted]) -> dict[str, Any]:
    """What is written beside a segment: ``context``, the frames in the order chosen, and their ``reasons``.

    Those are columns as long as ``context``: ``rule`` counts from 0 in ``rules``, ``saw`` and ``adds`` are shares with
    DIGITS decimals.
    """
    rules = list(dict.fromkeys(reason.rule for reason in reasons))
    columns = {
        "rules": rules,
        "rule": [rules.index(reason.rule) for reason in reasons],
        "saw": [round(reason.overlap, DIGITS) for reason in reasons],
        "adds": [round(reason.gain, DIGITS) for reason in reasons],
    }
    return {"context": [reason.index for reason in reasons], "reasons": columns}


def noted(info: Mapping[str, Any]) -> tuple[Noted, ...] | None:
    """The reasons in a segment's notes; those of before have frames only: their rule is empty and they saw nothing.

    None if the notes say nothing of frames that were looked at. Notes may come from strangers: what makes no sense is
    left out.
    """
    frames = info.get("context")
    if not isinstance(frames, list) or not all(_whole(frame) for frame in frames):
        return None
    columns = info.get("reasons")
    columns = columns if isinstance(columns, Mapping) else {}
    rules, rule, saw, adds = (columns.get(name) for name in ("rules", "rule", "saw", "adds"))
    return tuple(
        Noted(frame, _rule(rules, _at(rule, row)), _share(_at(saw, row)), _share(_at(adds, row)))
        for row, frame in enumerate(frames)
    )


def percent(share: float) -> str:
    """A share 0..1 as people say it; what is there is never called nothing."""
    if 0.0 < share < _SHOWN:
        return "less than 0.1 %"
    return f"{100 * share:.1f} %" if 0.0 < share < 0.0995 else f"{100 * share:.0f} %"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _at(column: Any, row: int) -> Any:
    return column[row] if isinstance(column, list) and row < len(column) else None


def _rule(rules: Any, rule: Any) -> str:
    return str(_at(rules, rule) or "")[:MOST_LETTERS] if _whole(rule) else ""


def _share(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and 0.0 <= value <= 1.0 else 0.0


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
    for number in range(len(state.segments) - 1, -1, -1):
        if len(found) == most:
            break
        record = state.segments[number]
        frames = tuple(one for one in noted(record.info) or () if one.index < record.start)
        if frames:
            found.append(Recalled(number + 1, record.shot, record.start, record.start + record.frames, frames))
    return tuple(reversed(found))


def report(state: MemoryState) -> list[str]:
    """A line for each of the newest segments: what it looked at and why."""
    return [
        f"Segment {one.number}, shot {one.shot}, frames {one.start}-{one.stop - 1}: {frames_text(one.frames)}."
        for one in recalled(state, MOST_SEGMENTS)
    ]


def frames_text(frames: Sequence[Noted], most: int = MOST_NAMED) -> str:
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

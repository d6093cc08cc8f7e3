"""What a memory holds, in figures and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .edits import FrameFlags
from .frame_ranges import Runs, count_of, runs_of, runs_text, shot_runs
from .state import MemoryState

MAX_PROMPT = 20_000
"""Letters of a prompt that are shown; a story's shot has no more."""
SHORT_ID = 12
"""Letters of an id that are shown; enough to name one memory of a bank."""


@dataclass(frozen=True)
class ShotRow:
    """One shot: its frames, its length in seconds, and the prompt of its first segment."""

    shot: int
    runs: Runs
    seconds: float
    prompt: str

    @property
    def frames(self) -> int:
        """Frames of the shot."""
        return count_of(self.runs)


@dataclass(frozen=True)
class MemorySummary:
    """A memory in figures: lengths in seconds, ``size`` (height, width), runs of frames by what the edits say."""

    name: str
    id: str
    frames: int
    seconds: float
    size: tuple[int, int] | None
    fps: float | None
    shots: tuple[ShotRow, ...]
    pinned: Runs
    excluded: Runs
    superseded: Runs
    dropped: Runs
    weighted: Runs
    has_depth: bool


def summarise(state: MemoryState) -> MemorySummary:
    """The figures of a memory; O(frames)."""
    flags = state.flags(np.arange(state.frames))
    prompts: dict[int, str] = {}
    for record in state.segments:
        if not prompts.get(record.shot):
            prompts[record.shot] = record.prompt or str(record.info.get("source", ""))
    rate = state.fps or 1.0
    rows = [ShotRow(shot, runs, count_of(runs) / rate, prompts[shot]) for shot, runs in shot_runs(state).items()]
    return MemorySummary(
        name=state.bank.name if state.bank else "",
        id=state.id,
        frames=state.frames,
        seconds=state.duration,
        size=state.size,
        fps=state.fps,
        shots=tuple(rows),
        has_depth=state.has_depth,
        **_marked(flags),
    )


def summary_lines(summary: MemorySummary, disk_bytes: int | None = None) -> list[str]:
    """The figures in short lines, without the shots."""
    lines = [f"{summary.frames} frames, {_clock(summary.seconds)}, {_count(len(summary.shots), 'shot')}"]
    if summary.size is not None and summary.fps is not None:
        depth = ", with depth" if summary.has_depth else ""
        lines.append(f"{summary.size[1]} x {summary.size[0]} at {summary.fps:g} frames a second{depth}")
    if disk_bytes is not None:
        lines.append(f"{bytes_text(disk_bytes)} on disk")
    for name, runs in (
        ("pinned", summary.pinned),
        ("excluded", summary.excluded),
        ("superseded", summary.superseded),
        ("another strength", summary.weighted),
        ("dropped to save space", summary.dropped),
    ):
        if runs:
            lines.append(f"{name}: {count_of(runs)} ({runs_text(runs, 6)})")
    return lines


def summary_text(
    summary: MemorySummary, disk_bytes: int | None = None, earlier: Sequence[str] = (), recalled: Sequence[str] = ()
) -> str:
    """The memory in words: figures, a line a shot, what segments ``recalled``, and the ids of ``earlier`` memories that
    can be brought back."""
    lines = [f"Memory {summary.id[:SHORT_ID]} of the bank {summary.name!r}", *summary_lines(summary, disk_bytes), ""]
    for row in summary.shots:
        said = f": {_cut(row.prompt)}" if row.prompt else ""
        lines.append(f"Shot {row.shot}, frames {runs_text(row.runs, 4)}, {row.seconds:.1f} s{said}")
    if recalled:
        lines += ["", "What each segment looked at, and how much of one of its views each frame saw:", *recalled]
    if earlier:
        lines += ["", "Earlier memories of this bank. To go on from one, write its id into Memory Bank's 'earlier':"]
        lines += list(earlier)
    return "\n".join(lines)


def damaged_text(frames: Sequence[int]) -> str:
    """Frames whose pictures are damaged, in words that a sentence may begin with."""
    runs = runs_of(np.asarray(frames))
    count = count_of(runs)
    return f"{_count(count, 'picture')} {'is' if count == 1 else 'are'} damaged ({runs_text(runs, 6)})"


def bytes_text(count: int) -> str:
    """A number of bytes as people say it."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:.3g} {unit}"


def _marked(flags: FrameFlags) -> dict[str, Runs]:
    return {
        "pinned": runs_of(np.flatnonzero(flags.pinned)),
        "excluded": runs_of(np.flatnonzero(flags.excluded)),
        "superseded": runs_of(np.flatnonzero(flags.superseded)),
        "dropped": runs_of(np.flatnonzero(flags.dropped)),
        "weighted": runs_of(np.flatnonzero(flags.strength != 1.0)),
    }


def _clock(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def _cut(prompt: str) -> str:
    if len(prompt) <= MAX_PROMPT:
        return prompt
    return f"{prompt[:MAX_PROMPT]}… ({len(prompt)} letters)"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"

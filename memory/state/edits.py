"""What an artist says about frames after they were made: pin, exclude, strength, superseded; and what was dropped.

An edit is part of the memory's identity and never changes a pixel. Later edits win over earlier ones of the same
family: "pin" and "unpin", "exclude" and "include", "supersede" and "restore", "strength", "drop".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..document import FORMAT_VERSION, canonical, parse
from ..errors import damaged

EDIT_KIND = "scene-memory edit"
MAX_RUNS = 65536
MAX_EDIT_BYTES = 4 * 1024 * 1024
MAX_STRENGTH = 10.0
_LIMIT = 2**31

_FAMILIES: dict[str, tuple[str, float]] = {
    "pin": ("pinned", 1.0),
    "unpin": ("pinned", 0.0),
    "exclude": ("excluded", 1.0),
    "include": ("excluded", 0.0),
    "strength": ("strength", math.nan),
    "supersede": ("superseded", 1.0),
    "restore": ("superseded", 0.0),
    "drop": ("dropped", 1.0),
}


@dataclass(frozen=True)
class Edit:
    """One edit of the frames in ``runs``, each (start, stop) with stop left out.

    ``kind``: "pin" and "unpin" (always given to the model), "exclude" and "include" (never given), "strength" (weight
    ``value`` 0 to 10 in a choice; 0 is never), "supersede" and "restore" (outdated; ``by`` is the first frame that
    shows the newer truth, -1 if nobody said), "drop" (the pixels were removed to keep the bank within its size).
    Raises ``ValueError`` for anything else, and for runs that overlap or are out of order.
    """

    kind: str
    runs: tuple[tuple[int, int], ...]
    value: float = 1.0
    by: int = -1

    def __post_init__(self) -> None:
        if self.kind not in _FAMILIES:
            raise ValueError(f"There is no edit {self.kind!r}. Use one of: {', '.join(_FAMILIES)}.")
        runs = tuple((_whole(start), _whole(stop)) for start, stop in self.runs)
        if not 1 <= len(runs) <= MAX_RUNS:
            raise ValueError(f"The edit {self.kind!r} names {len(runs)} runs of frames, expected 1 to {MAX_RUNS}. Name "
                             "the frames, or make several edits.")
        last = 0
        for start, stop in runs:
            if not last <= start < stop <= _LIMIT:
                raise ValueError(f"The edit {self.kind!r} names frames {start} to {stop}: runs start at 0 or above, "
                                 "end after they start, and follow each other. Sort and join them.")
            last = stop
        value = float(self.value)
        if not 0.0 <= value <= MAX_STRENGTH:
            raise ValueError(f"The strength is {self.value}: it lies between 0 and {MAX_STRENGTH:g}. Use 1 for normal, "
                             "0 for never.")
        if self.kind != "strength" and value != 1.0:
            raise ValueError(f"The edit {self.kind!r} has the value {value:g}: only 'strength' has one. Leave it out.")
        by = _whole(self.by)
        if not -1 <= by < _LIMIT or (by >= 0 and self.kind != "supersede"):
            raise ValueError(f"The edit {self.kind!r} names frame {by} as the newer truth: only 'supersede' names a "
                             "frame, from 0. Leave it out.")
        object.__setattr__(self, "runs", runs)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "by", by)

    @property
    def stop(self) -> int:
        """The frame after the last one named."""
        return self.runs[-1][1]


@dataclass(frozen=True, eq=False)
class FrameFlags:
    """What is in force for n frames: ``pinned``, ``excluded``, ``superseded``, ``dropped`` bool (n,), ``strength``
    float32 (n,), 1 where nothing was said."""

    pinned: NDArray[np.bool_]
    excluded: NDArray[np.bool_]
    superseded: NDArray[np.bool_]
    dropped: NDArray[np.bool_]
    strength: NDArray[np.float32]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) whether a frame may be given to the model."""
        return np.asarray(~(self.excluded | self.superseded | self.dropped) & (self.strength > 0.0))


@dataclass(frozen=True, eq=False)
class Marks:
    """One number for every frame, as runs: ``values[i]`` from ``edges[i - 1]`` up to ``edges[i]``."""

    edges: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    values: NDArray[np.float32] = field(default_factory=lambda: np.zeros(1, dtype=np.float32))

    def at(self, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """The numbers (n,) of ``frames`` (n,)."""
        return np.asarray(self.values[np.searchsorted(self.edges, frames, side="right")])

    def overlaid(self, runs: tuple[tuple[int, int], ...], value: float) -> Marks:
        """The same with ``value`` in ``runs``."""
        ends = np.asarray(runs, dtype=np.int64).reshape(-1)
        edges = np.unique(np.concatenate([self.edges, ends]))
        inside = np.searchsorted(ends, edges, side="right") % 2 == 1
        values = np.concatenate([self.values[:1], np.where(inside, np.float32(value), self.at(edges))])
        keep = values[1:] != values[:-1]
        return Marks(edges[keep], np.asarray(values[np.concatenate([[True], keep])], dtype=np.float32))

    def runs(self, stop: int) -> NDArray[np.int64]:
        """(n, 2) runs before frame ``stop`` whose number is not 0."""
        edges = np.concatenate([[0], np.minimum(self.edges, stop), [stop]])
        pairs = np.stack([edges[:-1], edges[1:]], axis=1)
        return np.asarray(pairs[(self.values != 0.0) & (pairs[:, 0] < pairs[:, 1])], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class EditLog:
    """The edits of a memory in order, and what they come to."""

    entries: tuple[EditEntry, ...] = ()
    pinned: Marks = field(default_factory=Marks)
    excluded: Marks = field(default_factory=Marks)
    superseded: Marks = field(default_factory=Marks)
    dropped: Marks = field(default_factory=Marks)
    strength: Marks = field(default_factory=lambda: Marks(values=np.ones(1, dtype=np.float32)))

    def with_edit(self, entry: EditEntry) -> EditLog:
        """The log with one more edit."""
        family, value = _FAMILIES[entry.edit.kind]
        marks: Marks = getattr(self, family)
        value = entry.edit.value if math.isnan(value) else value
        changed: dict[str, Any] = {family: marks.overlaid(entry.edit.runs, value)}
        return replace(self, entries=(*self.entries, entry), **changed)

    def with_lost(self, runs: tuple[tuple[int, int], ...]) -> EditLog:
        """The log with the frames in ``runs`` taken for dropped, though no edit says so."""
        return replace(self, dropped=self.dropped.overlaid(runs, 1.0))

    def flags(self, frames: NDArray[np.int64]) -> FrameFlags:
        """What is in force for ``frames`` (n,)."""
        pinned, excluded, superseded, dropped = (
            marks.at(frames) != 0.0 for marks in (self.pinned, self.excluded, self.superseded, self.dropped)
        )
        return FrameFlags(pinned, excluded, superseded, dropped, self.strength.at(frames))

    @property
    def nbytes(self) -> int:
        """Bytes of RAM of the runs."""
        marks = (self.pinned, self.excluded, self.superseded, self.dropped, self.strength)
        listed = sum(64 * len(entry.edit.runs) + 500 for entry in self.entries)
        return listed + sum(one.edges.nbytes + one.values.nbytes for one in marks)


@dataclass(frozen=True)
class EditEntry:
    """An edit, after how many ``segments`` of the memory it was made, and the ``id`` of the memory with it."""

    edit: Edit
    id: str
    segments: int
    text: str = field(repr=False)


def edit_text(edit: Edit, parent: str) -> str:
    """The edit as it is stored; the sha256 of this text is the id of the memory with the edit."""
    return canonical({
        "format": EDIT_KIND, "version": FORMAT_VERSION, "parent": parent, "kind": edit.kind,
        "runs": [list(run) for run in edit.runs], "value": edit.value, "by": edit.by,
    })


def parse_edit(text: str | bytes, what: str) -> tuple[Edit, str]:
    """The edit in ``text`` and the id of the memory it belongs to. Raises ``DamageError`` that names ``what``."""
    document = parse(text, EDIT_KIND, what)
    runs, parent = document.get("runs"), document.get("parent")
    good = (
        isinstance(runs, list)
        and all(isinstance(run, list) and len(run) == 2 and all(type(end) is int for end in run) for run in runs)
        and isinstance(parent, str)
        and isinstance(document.get("kind"), str)
        and isinstance(document.get("value"), float)
        and type(document.get("by")) is int
    )
    if not good:
        raise damaged(f"{what} is an edit that this format does not allow")
    try:
        edit = Edit(document["kind"], tuple((run[0], run[1]) for run in document["runs"]), document["value"],
                    document["by"])
    except ValueError as error:
        raise damaged(f"{what} is an edit that this format does not allow ({error})") from error
    return edit, document["parent"]


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"An edit names frame {value!r}: frames are whole numbers from 0.")
    return int(value)

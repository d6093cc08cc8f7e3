"""Depth of new frames: read off a few of them, joined to what is known, carried to the others, kept beside them all."""

from __future__ import annotations

import hashlib
import logging
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..memory.cameras.pacing import spread
from ..memory.cameras.trajectory import Trajectory
from ..memory.geometry.depth_fit import DepthApart, DepthFit, DepthMisfit, in_scale
from ..memory.geometry.joined_depth import Samples, coarser, join_depth
from ..memory.geometry.view import view
from ..memory.retrieval.distances import MEDIAN, scene_scale
from ..memory.retrieval.reasons import MOST_SEGMENTS
from ..memory.retrieval.retrieve import retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.depth import DEPTH_NOTE, FARTHEST, depth_to_keep, size_to_keep
from ..memory.state.state import MemoryState

log = logging.getLogger(__name__)

WIDEST = 44
"""Letters in a line on a node, which does not wrap them."""

KEPT_FRAMES = 16
"""Remembered frames to whose depth new depth is joined."""

LOOKED_BACK = 16
"""Segments back in which a scale is looked for, where a film goes on in a place that it has not seen."""

SCALE_AND_SHIFT, SCALE, AS_IT_IS = "scale and shift", "scale", "as it is"
FITS = (SCALE_AND_SHIFT, SCALE, AS_IT_IS)
"""What is fitted of each map. The words are kept in saved workflows."""


Pixels = NDArray[np.uint8]


class DepthMaps(Protocol):
    """What reads depth off pictures."""

    @property
    def name(self) -> str:
        """What artists read."""

    @property
    def metric(self) -> bool:
        """Whether its maps are in metres, or in scene units already."""

    @property
    def frames(self) -> int:
        """For how many frames of a shot it has depth; 0 for any."""

    @property
    def identity(self) -> Any:
        """What determines its maps, as data for a segment's key."""

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """Z-depth (K, h, w) of ``pictures`` (K, H, W, 3) that K ``cameras`` took, the ``frames`` (K,) of a shot,
        counted from 0. NaN or not above 0 where it is unknown, inf for the sky."""


@dataclass(frozen=True, eq=False)
class DepthVideo:
    """Depth that somebody has made already: ``depth`` (F, h, w) z-depth of the frames of a shot, in any unit, NaN where
    unknown. ``identity`` is a hash of it."""

    depth: NDArray[np.float32]
    name: str = "depth video"
    metric: bool = False

    @property
    def frames(self) -> int:
        """How many frames have a map."""
        return len(self.depth)

    @cached_property
    def identity(self) -> str:
        """64 hex digits."""
        shape = str(self.depth.shape).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.depth, dtype=np.float32).tobytes()).hexdigest()

    def maps(self, pictures: Pixels, cameras: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those (K, h, w) of the ``frames`` (K,); neither the ``pictures`` (K, H, W, 3) nor the cameras are looked at.

        Raises ValueError if a frame has none.
        """
        if len(frames) and frames.max() >= len(self.depth):
            raise ValueError(f"The depth source has {len(self.depth)} depth pictures, and frame {frames.max()} has "
                             "none. Give it one for each frame.")
        return np.asarray(self.depth[frames], dtype=np.float32)


@dataclass(frozen=True)
class DepthSource:
    """Where the depth of a shot's new frames comes from, and how it joins what is known.

    ``keyframes`` of each segment have their depth read, 0 for all; the others see it moved to them. ``fit`` is one of
    FITS. ``scale`` is in scene units for each unit of the maps, for the first map in a place that nothing is known of
    and for those that are taken as they are; 0 takes metric maps as metres, goes on with the scale of the segments
    before, or else takes things to be about as far away as the camera's pace says.

    Raises ``ValueError`` for a number below 0 or another fit.
    """

    source: DepthMaps
    keyframes: int = 4
    fit: str = SCALE_AND_SHIFT
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}. Use one of: {', '.join(FITS)}.")
        if self.keyframes < 0:
            raise ValueError(f"keyframes is {self.keyframes}: it counts frames of a segment. Use 4, or 0 for all.")
        if not (np.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"scale is {self.scale}: it must be 0 or above. Use 0, and it is found out.")

    @property
    def identity(self) -> tuple[Any, ...]:
        """What determines the depth that is kept, as data for a segment's key."""
        return (self.source.name, self.source.identity, self.keyframes, self.fit, self.scale)


@dataclass(frozen=True, eq=False)
class SegmentDepth:
    """Depth of a segment's frames: ``depth`` (F, h, w) z-depth in scene units as it is kept, NaN where unknown, None if
    none of it could be used; and ``notes`` on how it was made, which JSON can hold."""

    depth: NDArray[np.float16] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def info(self) -> dict[str, Any]:
        """The notes as they stand beside the segment; nothing where there are none."""
        return {DEPTH_NOTE: dict(self.notes)} if self.notes else {}


def segment_depth(
    state: MemoryState, source: DepthSource, path: Trajectory, pictures: Pixels, first: int = 0
) -> SegmentDepth:
    """Depth of new ``pictures`` (F, H, W, 3) along ``path`` after a memory, of which they are ``first`` and on of the
    shot.

    A map that does not fit what is known is left out, and the notes say why.
    """
    rows = spread(len(path), source.keyframes or len(path))
    cameras = Trajectory(path.poses[rows], path.intrinsics[rows], path.fps, path.name)
    maps = np.asarray(source.source.maps(pictures[rows], cameras, rows + first), dtype=np.float32)
    fits = _joined(state, source, cameras, maps)
    good = [(row, camera, fit) for row, camera, fit in zip(rows, range(len(rows)), fits, strict=True)
            if isinstance(fit, DepthFit)]  # fmt: skip
    refused = [str(fit) for fit in fits if isinstance(fit, DepthMisfit)]
    notes: dict[str, Any] = {
        "source": source.source.name,
        "frames": [int(row) for row, _, _ in good],
        "scale": [round(fit.scale, 6) for _, _, fit in good],
        "shift": [round(fit.shift, 6) for _, _, fit in good],
        "residual": [round(fit.residual, 4) for _, _, fit in good if fit.shared],
        **({"left_out": refused} if refused else {}),
    }
    for why in dict.fromkeys(refused):
        log.warning("Depth of new frames is left out. %s", why)
    if not good:
        return SegmentDepth(None, notes)
    size = state.depth_size or size_to_keep(*maps.shape[1:])
    kept = depth_to_keep(coarser(np.stack([fit.depth for _, _, fit in good]), size), len(good), size)
    used = [camera for _, camera, _ in good]
    known = Trajectory(cameras.poses[used], cameras.intrinsics[used], path.fps, path.name)
    return SegmentDepth(_carried(kept, known, path, [int(row) for row, _, _ in good]), notes)


def depth_words(notes: Mapping[str, Any] | None) -> list[str]:
    """The notes of a segment's depth in lines that are short enough for a node, none for a segment without."""
    if not notes:
        return []
    good, refused, residual = notes.get("frames", []), notes.get("left_out", []), notes.get("residual", [])
    lines = []
    if residual:
        lines.append(f"Depth of {_frames(len(good))} joins to {max(residual):.1%}.")
    elif good:
        lines.append(f"Depth of {_frames(len(good))} is kept.")
    if refused:
        why = refused[0].split(". ")[0].rstrip(".")
        lines += [f"Depth of {_frames(len(refused))} is left out:", *textwrap.wrap(f"{why}.", WIDEST)]
    return lines


def depth_report(state: MemoryState, most: int = MOST_SEGMENTS) -> list[str]:
    """Lines on the depth of the newest ``most`` segments whose depth was read off their frames, the oldest first."""
    lines: list[str] = []
    for place in range(len(state.segments) - 1, -1, -1):
        if len(lines) == most:
            break
        note = state.segments[place].info.get(DEPTH_NOTE)
        if isinstance(note, Mapping) and (words := depth_words(note)):
            lines.append(f"Segment {place + 1}, {note.get('source', '')}: {' '.join(words)}")
    return ["", "Depth that was read off new frames:", *reversed(lines)] if lines else []


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _joined(
    state: MemoryState, source: DepthSource, cameras: Trajectory, maps: NDArray[np.float32]
) -> list[DepthFit | DepthMisfit]:
    """For each map (K, h, w) of K cameras its depth in scene units, or why there is none."""
    sound = np.isfinite(maps) & (maps > 0)
    if not sound.any():
        return [DepthMisfit(f"{source.source.name} gives no depth for these pictures. Look at its model file, or leave "
                            "the depth source open.")] * len(maps)
    if source.fit == AS_IT_IS:
        return [_begun(one, source.scale or 1.0) for one in maps]
    with_shift = source.fit == SCALE_AND_SHIFT
    fits = join_depth(maps, cameras, _known(state, cameras), with_shift=with_shift)
    if all(isinstance(fit, DepthApart) for fit in fits):
        # A place that nothing is known of: the map that knows most of it begins, the others join that.
        begins = int(np.argmax(sound.sum(axis=(1, 2))))
        first = _begun(maps[begins], _scale(state, source, cameras, float(np.median(maps[begins][sound[begins]]))))
        known = Samples.of(first.depth[None], cameras[begins : begins + 1])
        fits = join_depth(maps, cameras, known, with_shift=with_shift)
        fits[begins] = first
    return fits


def _begun(depth: NDArray[np.float32], scale: float) -> DepthFit:
    """A map (h, w) at a scale that nothing tells but the source."""
    return DepthFit(in_scale(depth, scale), scale, 0.0, 0.0, 1.0, 0)


def _known(state: MemoryState, cameras: Trajectory) -> Samples:
    """What the memory knows of what the cameras see."""
    if not state.has_depth:
        return Samples.none()
    found = retrieve(state, cameras, RetrievalSettings(k=KEPT_FRAMES)).indices
    frames = np.unique([_read_off(state, int(frame)) for frame in found])
    depth = state.depth(frames)
    poses, intrinsics = state.cameras(frames)
    return Samples.of(np.where(depth < FARTHEST, depth, np.nan), Trajectory(poses, intrinsics, cameras.fps, "known"))


def _read_off(state: MemoryState, frame: int) -> int:
    """The frame nearest to one in its segment whose depth was read off its picture, not carried there from another."""
    record = state.segments[int(state.segment_at([frame])[0])]
    note = record.info.get(DEPTH_NOTE)
    rows = note.get("frames") if isinstance(note, Mapping) else None
    return record.start + min(rows, key=lambda row: (abs(record.start + row - frame), row)) if rows else frame


def _scale(state: MemoryState, source: DepthSource, cameras: Trajectory, median: float) -> float:
    """Scene units for each unit of maps whose ``median`` is so many, where nothing that is known tells it."""
    if source.scale or source.source.metric:
        return source.scale or 1.0
    for segment in range(len(state.segments) - 1, max(-1, len(state.segments) - 1 - LOOKED_BACK), -1):
        note = state.segments[segment].info.get(DEPTH_NOTE)
        if isinstance(note, Mapping) and note.get("source") == source.source.name and note.get("scale"):
            return float(np.median(note["scale"]))
    return MEDIAN * scene_scale(state, cameras) / median


def _carried(
    kept: NDArray[np.float16], cameras: Trajectory, path: Trajectory, rows: list[int]
) -> NDArray[np.float16]:
    """Depth (F, h, w) of all frames of a path, from that (K, h, w) of its frames ``rows``."""
    result = np.full((len(path), *kept.shape[1:]), np.nan, dtype=np.float16)
    result[rows] = kept
    others = np.setdiff1d(np.arange(len(path)), rows)
    if len(others):
        targets = Trajectory(path.poses[others], path.intrinsics[others], path.fps, path.name)
        nothing = np.zeros((*kept.shape, 3), dtype=np.uint8)
        seen = view(nothing, kept.astype(np.float32), cameras, targets)
        result[others] = depth_to_keep(np.where(seen.known, seen.depth, np.nan), len(others), kept.shape[1:])
    return result

"""Cameras as they were: measured in the frames that were made, and kept in place of those that were planned.

A model may turn farther than it was asked to, or hardly at all. A memory that knows where the camera really was finds
the right frames for what comes; the rest of the planned path goes on from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..memory.cameras.camera import FloatArray
from ..memory.cameras.pacing import spread
from ..memory.cameras.trajectory import Trajectory
from ..memory.geometry.camera_fit import between
from ..memory.geometry.camera_report import apart
from ..memory.geometry.measure_camera import FROM_NOTHING, measure_camera
from ..memory.state.depth import CAMERAS_NOTE
from ..memory.state.state import MemoryState
from .seen_again import remembered_near

log = logging.getLogger(__name__)

AS_PLANNED, AS_MEASURED = "as planned", "as measured"
CAMERA_WAYS = (AS_PLANNED, AS_MEASURED)
"""Which cameras the memory keeps. The words are kept in saved workflows: never change one."""

VERSION = 1
"""Raised whenever the same frames come to have other cameras: part of the key of a segment with measured ones."""

LEAST_SURE = 0.8
"""The share of a segment's frames whose cameras must be sure, the last among them; else the plan stays."""
MOST_ROWS = 97
MOST_SEGMENTS = 12
CLEAR_DEGREES, CLEAR_SHARE = 2.0, 0.1
DROPPED = "its pictures were dropped"


@dataclass(frozen=True, eq=False)
class SegmentCameras:
    """The cameras of a segment's frames as they are kept, and ``notes`` on how they were found, which JSON can hold."""

    trajectory: Trajectory
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def info(self) -> dict[str, Any]:
        """The notes as they stand beside the segment; nothing where there are none."""
        return {CAMERAS_NOTE: dict(self.notes)} if self.notes else {}


def coming_path(planned: Trajectory, part: slice, state: MemoryState, cameras: str = AS_PLANNED) -> Trajectory:
    """The frames ``part`` of a planned path, of which the ``state`` has those before: where these were measured, moved
    as a whole so that they go on from the newest one."""
    if cameras == AS_PLANNED or not part.start or np.array_equal(planned.poses[part.start - 1], state.last_pose):
        return planned[part]
    return planned[part.start - 1 : part.stop].after(state.last_pose)[1:]


def segment_cameras(
    state: MemoryState,
    path: Trajectory,
    pictures: NDArray[np.uint8] | None,
    goes_on: bool,
    each: Callable[[float], None] | None = None,
) -> SegmentCameras:
    """The cameras of new ``pictures`` (F, H, W, 3) that follow a memory, planned along ``path``.

    Where the segment ``goes_on`` from the newest frame, that is the first picture, and its camera is known. Frames with
    depth that saw the same say how large the way is; else it is taken to be as long as planned, and where none was
    planned, as none. A camera that is not
    sure stands between its sure neighbours; where too many are not, the plan stays, and the notes say why. ``pictures``
    is None where they are lost. ``each`` is called with the share that is done, and may raise to stop. The same input
    gives the same result, bit for bit.
    """
    rows = {"planned": _rows(path)}
    if pictures is None:
        return SegmentCameras(path, {"measured": False, "why": DROPPED, **rows})
    first = int(goes_on and _has_newest(state))
    clip, poses, intrinsics = pictures, path.poses, path.intrinsics
    if first:
        newest = np.array([state.frames - 1])
        pose, lens = state.cameras(newest)
        clip = np.concatenate([state.read_frames(newest), pictures])
        poses, intrinsics = np.concatenate([pose, poses]), np.concatenate([lens, intrinsics])
    plan = Trajectory(poses, intrinsics, path.fps, path.name)
    found = measure_camera(clip, intrinsics, plan, remembered_near(state, path), path.fps, each)
    sure = found.sure.copy()
    counted = sure[first:]
    if counted.mean() < LEAST_SURE or not counted[-1]:
        why = Counter(reason for reason in found.reasons[first:] if reason).most_common(1)[0][0]
        log.info("The camera of a segment stays as planned: %s.", why)
        return SegmentCameras(path, {"measured": False, "why": why, "sure": int(counted.sum()), **rows})
    sure[0] = True  # It stands where the plan begins, or where the newest frame was.
    keys = np.flatnonzero(sure)
    measured = between(keys.tolist(), found.trajectory.poses[keys], len(clip))[first:]
    if found.scale_from == FROM_NOTHING:
        # A path without a way, and no depth: how far the camera went cannot be told, only where it looks.
        measured[:, :3, 3] = path.poses[:, :3, 3]
    notes = {"measured": True, "sure": int(counted.sum()), "scale_from": found.scale_from, **rows}
    return SegmentCameras(replace(path, poses=measured), notes)


def planned_path(state: MemoryState, segment: int) -> Trajectory | None:
    """The path that a segment of a memory was planned along, where it was measured or was to be; else None."""
    record = state.segments[segment]
    notes = record.info.get(CAMERAS_NOTE)
    if not isinstance(notes, Mapping) or not isinstance(rows := notes.get("planned"), list) or not rows:
        return None
    values = np.asarray(rows, dtype=np.float64).reshape(len(rows), 6)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = Rotation.from_rotvec(values[:, :3]).as_matrix(), values[:, 3:]
    keys = spread(record.frames, len(rows))
    frames = np.arange(record.start, record.start + record.frames)
    whole = between([int(key) for key in keys], poses, record.frames) if record.frames > 1 else poses
    return Trajectory(whole, state.cameras(frames)[1], state.fps or 1.0, "planned")


def camera_words(state: MemoryState, segment: int) -> list[str]:
    """How a segment's camera went beside its plan, in short lines; none where it was not to be measured."""
    planned = planned_path(state, segment)
    if planned is None:
        return []
    record = state.segments[segment]
    notes = record.info[CAMERAS_NOTE]
    if not notes.get("measured"):
        return [f"Camera kept as planned: {notes.get('why', '')}."]
    poses, intrinsics = state.cameras(np.arange(record.start, record.start + record.frames))
    kept = Trajectory(poses, intrinsics, planned.fps, "measured")
    degrees, way = (float(each.max()) for each in apart(planned, kept))
    length = float(np.linalg.norm(np.diff(planned.poses[:, :3, 3], axis=0), axis=1).sum())
    if degrees < CLEAR_DEGREES and way <= CLEAR_SHARE * length + 1e-6:
        return [f"Camera as planned, to {degrees:.1f} degrees."]
    return [f"Camera parts from its plan by {degrees:.1f} degrees and {way:.2f} units."]


def camera_report(state: MemoryState, most: int = MOST_SEGMENTS) -> list[str]:
    """Lines on the cameras of the newest ``most`` segments that were to be measured, the oldest first."""
    lines: list[str] = []
    for segment in range(len(state.segments) - 1, -1, -1):
        if len(lines) == most:
            break
        if words := camera_words(state, segment):
            lines.append(f"Segment {segment + 1}: {' '.join(words)}")
    return ["", "Cameras as they were measured:", *reversed(lines)] if lines else []


def _has_newest(state: MemoryState) -> bool:
    newest = np.array([state.frames - 1])
    return state.bank is not None and state.frames > 0 and bool(state.bank.kept(state, newest)[0])


def _rows(path: Trajectory) -> list[list[float]]:
    """At most 97 poses of a path, evenly spread: a rotation vector in radians and a position each."""
    rows = spread(len(path), MOST_ROWS)
    turns: FloatArray = Rotation.from_matrix(path.poses[rows, :3, :3]).as_rotvec()
    values = np.concatenate([turns, path.poses[rows, :3, 3]], axis=1)
    return [[round(float(value), 7) for value in row] for row in values]

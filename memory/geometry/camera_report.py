"""What was measured of a clip's cameras, in words, beside what was planned."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from ..cameras.trajectory import Trajectory
from .measure_camera import FROM_CAMERAS, FROM_DEPTH, FROM_PLAN, MeasuredCamera

PARTS_DEGREES, PARTS_SHARE = 5.0, 0.1
"""From where on a camera counts as parted from its plan: degrees, or a share of the planned way."""


def apart(planned: Trajectory, measured: Trajectory) -> tuple[FloatArray, FloatArray]:
    """How far measured cameras are from the planned ones of the same frames: degrees (F,) and scene units (F,)."""
    turns = Rotation.from_matrix(planned.poses[:, :3, :3]).inv() * Rotation.from_matrix(measured.poses[:, :3, :3])
    way = np.linalg.norm(measured.poses[:, :3, 3] - planned.poses[:, :3, 3], axis=1)
    return np.degrees(turns.magnitude()), way


def turned(path: Trajectory) -> float:
    """Degrees that a path turns in all."""
    turns = Rotation.from_matrix(path.poses[:, :3, :3])
    return float(np.degrees((turns[:-1].inv() * turns[1:]).magnitude().sum())) if len(path) > 1 else 0.0


def went(path: Trajectory) -> float:
    """Scene units that a path goes in all."""
    return float(np.linalg.norm(np.diff(path.poses[:, :3, 3], axis=0), axis=1).sum())


def report(measured: MeasuredCamera, planned: Trajectory | None = None) -> str:
    """Lines for the artist: how many cameras are sure, angle and way, where they part from the plan, and why some are
    not sure."""
    path, sure = measured.trajectory, measured.sure
    lines = [f"{len(path)} frames, the cameras of {int(sure.sum())} are sure."]
    if planned is None:
        lines.append(f"Turned {turned(path):.1f} degrees, went {went(path):.2f} units.")
    else:
        lines.append(
            f"Turned {turned(path):.1f} degrees (planned {turned(planned):.1f}), went {went(path):.2f} units (planned "
            f"{went(planned):.2f})."
        )
    if measured.turns_only:
        lines.append("The camera only turns: no way can be seen in the pictures.")
    lines.append(_scale(measured))
    if planned is not None and sure.any():
        lines += _parting(planned, measured)
    return "\n".join(lines + _unsure(measured))


def _scale(measured: MeasuredCamera) -> str:
    if measured.scale_from == FROM_DEPTH:
        return f"Place and size come from the memory's depth, found again in {measured.recognised} frames."
    if measured.scale_from == FROM_CAMERAS:
        return f"Place and size come from the cameras of {measured.recognised} remembered frames."
    if measured.scale_from == FROM_PLAN:
        return (
            "The way is as long as planned, by assumption: pictures alone do not tell how large a scene is. Connect a "
            "memory with depth to measure it."
        )
    return "Nothing tells how large the scene is: one unit is the usual distance of what is seen."


def _parting(planned: Trajectory, measured: MeasuredCamera) -> list[str]:
    degrees, way = apart(planned, measured.trajectory)
    degrees, way = np.where(measured.sure, degrees, 0.0), np.where(measured.sure, way, 0.0)
    length = went(planned)
    parted = (degrees > PARTS_DEGREES) | (way > max(PARTS_SHARE * length, 1e-3))
    if not parted.any():
        return [f"As planned, to {degrees.max():.1f} degrees and {way.max():.2f} units."]
    worst = int(np.argmax(degrees / PARTS_DEGREES + way / max(PARTS_SHARE * length, 1e-3)))
    return [
        f"Parts from the plan at frame {int(np.argmax(parted))}; farthest at frame {worst}, by {degrees[worst]:.1f} "
        f"degrees and {way[worst]:.2f} units."
    ]


def _unsure(measured: MeasuredCamera) -> list[str]:
    """One line for each run of frames that are not sure for the same reason."""
    lines, begin = [], 0
    reasons = measured.reasons
    for frame in range(1, len(reasons) + 1):
        if frame < len(reasons) and reasons[frame] == reasons[begin]:
            continue
        if reasons[begin]:
            named = f"Frame {begin}" if frame == begin + 1 else f"Frames {begin} to {frame - 1}"
            lines.append(f"{named} not sure: {reasons[begin]}.")
        begin = frame
    return lines

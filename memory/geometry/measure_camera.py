"""The cameras of a clip, measured in its pictures, without any model.

Points are followed through the frames (``tracks``), the cameras that see them so are found (``reconstruction``), and
the whole is laid into the scene by what remembered frames with depth show again (``recognition``), or else by the
planned path's first camera and length. Each frame says whether its camera is sure, and if not, why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cameras.camera import FloatArray, clean_intrinsics
from ..cameras.trajectory import Trajectory
from .recognition import Found, Remembered, Similarity, aligned, recognised
from .reconstruction import Reconstruction, reconstruct
from .tracks import Tracks, follow

FROM_DEPTH, FROM_PLAN, FROM_NOTHING = "the memory's depth", "the planned way", "nothing"
FROM_CAMERAS = "the memory's cameras"
LOOKED_FOR = 6
"""Frames of a clip in which remembered ones are looked for."""
LEAST_INLIERS, LEAST_COVERED, MOST_WRONG = 20, 0.12, 0.4
MOST_TURN_DOUBT = 0.8
"""Degrees of standard deviation from which on a turn is not sure."""
DOUBT_FACTOR = 3.0
"""Errors of a track are alike from frame to frame, so that they say less than their number: deviations are this much
larger than those of independent ones."""
BLURRED = 0.15
ALONE = "a frame alone tells nothing of its camera"
CUT = "after a cut or a blank frame: nothing says how it lies to the first frame"
CONTRADICTED = "what is seen again of the memory does not fit how the picture moves"
LINK = 6


@dataclass(frozen=True, eq=False)
class MeasuredCamera:
    """The cameras of a clip of F frames as they were.

    ``trajectory`` F frames, in scene units. ``sure`` (F,) bool; ``reasons`` (F,) say why not, "" where sure.
    ``inliers`` (F,) points that agree with each camera. ``doubt`` (F, 2): standard deviation of the turn in degrees and
    of the place in scene units. ``scale_from`` says what the size of the way was taken from, ``recognised`` in how many
    frames remembered ones were found again, and ``turns_only`` that no way could be seen.
    """

    trajectory: Trajectory
    sure: NDArray[np.bool_]
    reasons: tuple[str, ...]
    inliers: NDArray[np.int64]
    doubt: FloatArray
    scale_from: str
    recognised: int
    turns_only: bool


def measure_camera(
    pictures: NDArray[np.uint8],
    intrinsics: ArrayLike,
    planned: Trajectory | None = None,
    remembered: Remembered | None = None,
    fps: float = 16.0,
    each: Callable[[float], None] | None = None,
) -> MeasuredCamera:
    """Measures the camera of each of ``pictures`` (F, H, W, 3) uint8 RGB.

    ``intrinsics`` (4,) or (F, 4) are taken as they are: a wrong lens makes a wrong path. ``planned``, of F frames,
    gives the first camera, the length of the way where no depth does, and the frame rate; without it the path begins
    at the origin and runs at ``fps``. ``remembered`` frames with depth say where the clip lies and how large it is.
    ``each`` is called with the share that is done, and may raise to stop. The same input gives the same result, bit
    for bit.

    Raises ``ValueError`` for pictures of another shape, and for a planned path of another length.
    """
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or 0 in pictures.shape:
        raise ValueError(
            f"Pictures are {pictures.dtype} of the shape {pictures.shape}: expected uint8 (frames, height, width, 3)."
        )
    frames = len(pictures)
    if planned is not None and len(planned) != frames:
        raise ValueError(
            f"The clip has {frames} frames and the planned path {len(planned)}. Give the path that the clip was made "
            "along, or none."
        )
    lens = clean_intrinsics(intrinsics, frames, "The clip")
    tell = each if each is not None else _nobody
    found = recognised(pictures, lens, remembered, _spread(frames, LOOKED_FOR)) if remembered is not None else []
    tell(0.1 if remembered is not None else 0.0)
    tracks, numbers = follow(
        pictures, lambda done: tell(0.1 + 0.4 * done / frames), tuple((one.frame, one.positions) for one in found)
    )
    known = list(zip(found, numbers, strict=True))
    start = Trajectory(np.eye(4)[None].repeat(frames, axis=0), lens, fps) if planned is None else planned
    poses, sure = start.poses.copy(), np.zeros(frames, np.bool_)
    reasons = ["nothing"] * frames
    inliers, doubt = np.zeros(frames, np.int64), np.full((frames, 2), np.inf)
    scale_from, turning, last = FROM_NOTHING, True, np.eye(4)
    for begin, end in _pieces(tracks):
        part = slice(begin, end)
        mine = tracks.part(begin, end)
        plan = None if planned is None else start.poses[part]
        made = reconstruct(mine, lens[part], plan, partial(_within, tell, begin / frames, end / frames))
        turning &= made.turns_only
        here = [(replace(one, frame=one.frame - begin), at) for one, at in known if begin <= one.frame < end]
        lies, taken = _placed(made, mine, lens[part], here, start[part], planned is not None)
        held = taken == FROM_DEPTH or (begin == 0 and not here and bool(made.reached.sum() > 1))
        if begin == 0 or (taken == FROM_DEPTH != scale_from):
            scale_from = taken
        if not held:
            # What lies after a cut is shown where the plan goes on from the last camera that was measured.
            lies = replace(lies, turn=last[:3, :3] @ lies.turn, place=last[:3, :3] @ lies.place + last[:3, 3])
        poses[part] = _whole(lies, made, start.poses[part])
        last = poses[end - 1] @ np.linalg.inv(start.poses[end - 1])
        inliers[part] = made.inliers
        doubt[part] = made.doubt * DOUBT_FACTOR * (np.degrees(1.0), lies.scale)
        judged = _reasons(made, mine, "" if held else _why_loose(bool(here), begin))
        reasons[part] = judged
        sure[part] = [not why for why in judged]
    tell(1.0)
    path = as_a_path(poses, lens, start.fps)
    return MeasuredCamera(path, sure, tuple(reasons), inliers, doubt, scale_from, len(found), turning)


def _within(tell: Callable[[float], None], begin: float, end: float, done: float) -> None:
    """Tells of the second half of the work, of which this part is from ``begin`` to ``end``."""
    tell(0.5 + 0.5 * (begin + done * (end - begin)))


def _nobody(done: float) -> None:
    """Nobody is told of the progress."""


def _spread(frames: int, most: int) -> list[int]:
    return sorted({int(n) for n in np.linspace(0, frames - 1, min(frames, most)).round()})


def _pieces(tracks: Tracks) -> list[tuple[int, int]]:
    """Runs of frames that hang together: between them too few points are seen in the frame before and in this one."""
    begins = np.searchsorted(tracks.frame, np.arange(len(tracks) + 1))
    corner = np.linalg.det(tracks.trust) > 0.3
    cuts = [0]
    for frame in range(1, len(tracks)):
        (a, b), (c, d) = begins[frame - 1 : frame + 1], begins[frame : frame + 2]
        both = np.intersect1d(tracks.point[a:b][corner[a:b]], tracks.point[c:d][corner[c:d]])
        if len(both) < LINK:
            cuts.append(frame)
    return list(zip(cuts, [*cuts[1:], len(tracks)], strict=True))


def _placed(
    made: Reconstruction,
    tracks: Tracks,
    intrinsics: FloatArray,
    found: list[tuple[Found, NDArray[np.int64]]],
    start: Trajectory,
    planned: bool,
) -> tuple[Similarity, str]:
    """How a piece lies in the world, and what its scale was taken from."""
    scale, taken = 1.0, FROM_NOTHING
    measured, wanted = _way(made.place[made.reached]), _way(start.poses[made.reached, :3, 3])
    if planned and wanted > 0.0 and measured > 0.0:
        scale, taken = wanted / measured, FROM_PLAN
    if found:
        lies = aligned(made, tracks, intrinsics, found, scale)
        if lies is not None:
            return lies, FROM_DEPTH
    first = start.poses[0]
    return Similarity(scale, first[:3, :3], first[:3, 3]), taken


def _way(positions: FloatArray) -> float:
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


def _whole(lies: Similarity, made: Reconstruction, planned: FloatArray) -> FloatArray:
    """Poses (F, 4, 4) of all frames: those that were not reached go on as planned from the last that was."""
    poses = lies.poses(made.turn, made.place)
    reached = np.flatnonzero(made.reached)
    for frame in np.flatnonzero(~made.reached):
        near = int(reached[np.argmin(np.abs(reached - frame))])
        poses[frame] = poses[near] @ np.linalg.inv(planned[near]) @ planned[frame]
    return poses


def _why_loose(seen_again: bool, begin: int) -> str:
    """Why a piece that begins at frame ``begin`` may lie elsewhere than it is shown."""
    return CONTRADICTED if seen_again else CUT if begin else ALONE


def _reasons(made: Reconstruction, tracks: Tracks, loose: str) -> list[str]:
    """Why each frame's camera is not sure; "" where it is. ``loose`` says why the whole may lie elsewhere."""
    usual = float(np.median(tracks.sharpness))
    result = []
    for frame in range(len(tracks)):
        little = "too little to hold on to (blank walls)"
        if tracks.sharpness[frame] < BLURRED * usual:
            little = "too blurred"
        if not made.reached[frame]:
            why = f"not joined to the frames before: {little}"
        elif loose:
            why = loose
        elif made.inliers[frame] < LEAST_INLIERS or made.covered[frame] < LEAST_COVERED:
            why = little
        elif made.wrong[frame] > MOST_WRONG * (made.covered[frame] + made.wrong[frame]):
            why = "much moves by itself, or changes"
        elif DOUBT_FACTOR * np.degrees(made.doubt[frame, 0]) > MOST_TURN_DOUBT:
            why = "seen points leave its turn open"
        else:
            why = ""
        result.append(why)
    return result


def as_a_path(poses: FloatArray, intrinsics: FloatArray, fps: float) -> Trajectory:
    """Measured poses (F, 4, 4), whose rotations are a little off by rounding, as a path with intrinsics (F, 4)."""
    u, _, vt = np.linalg.svd(poses[:, :3, :3])
    result = poses.copy()
    result[:, :3, :3] = u @ vt
    result[:, 3] = (0.0, 0.0, 0.0, 1.0)
    return Trajectory(result, intrinsics, fps, "measured")

"""Camera paths one after another, so that the camera neither jumps nor jerks where they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from .camera import FloatArray, pose, rigid_inverse
from .trajectory import Trajectory

_STILL = 1e-12


def joined(paths: Sequence[Trajectory], blend: int = 0) -> Trajectory:
    """The paths one after another: each is moved so that its first camera is the last of the one before, just once.

    F = the sum of their frames less one for each join. ``blend`` is how many frames each takes over the speed of the
    one before: see `following`. Frame rate and name are those of the first. Raises ``ValueError`` if there is no path,
    and as `following` does.
    """
    if not paths:
        raise ValueError("There is no camera path to join: give at least 1.")
    result = paths[0]
    for path in paths[1:]:
        if len(path) > 1:
            result = result.concatenate(following(result, path, blend))
    return result


def following(before: Trajectory, path: Trajectory, blend: int = 0) -> Trajectory:
    """What comes after ``before``: ``path`` (F frames) moved to begin at its last camera, without that camera (F - 1).

    Over ``blend`` frames the camera goes over from the speed at which ``before`` ends, in its own axes, to that of
    ``path``, so that it neither stops nor jerks; then it follows ``path`` exactly, from where that has led it. Where
    the speeds are equal nothing is changed. Intrinsics go over in the same frames. With 0 the camera keeps to ``path``
    and changes its speed and intrinsics at once.

    Raises ``ValueError`` for a ``blend`` below 0, two frame rates, and a ``path`` of 1 frame.
    """
    if blend < 0:
        raise ValueError(f"The paths are blended over {blend} frames: it must be 0 or above. Use 12.")
    if path.fps != before.fps:
        raise ValueError(
            f"The paths run at {before.fps:g} and {path.fps:g} frames a second and cannot be joined. "
            "Resample one of them to the other's rate."
        )
    if len(path) < 2:
        raise ValueError(
            "The path that follows has 1 frame, and that is the one where it is joined: it needs at least "
            "2. Use a longer path, or leave it out."
        )
    blend = min(blend, len(path) - 1)
    placed = path.after(before.last_pose)
    missing = steps(before.poses[-2:])[-1] - steps(path.poses[:2])[0] if len(before) > 1 else np.zeros(6)
    if blend and np.abs(missing).max() > _STILL:
        # Step 1 has the speed of `before`; step `blend` + 1 is the first with the speed of `path`.
        share = 1.0 - _smooth(np.arange(blend) / blend)
        blended = [before.last_pose]
        for step in steps(path.poses[: blend + 1]) + share[:, None] * missing:
            blended.append(blended[-1] @ pose(step[:3], Rotation.from_rotvec(step[3:]).as_matrix()))
        rest = path[blend:].after(blended[-1])
        placed = replace(path, poses=np.concatenate([np.stack(blended[:-1]), rest.poses]))
    return replace(placed, intrinsics=_intrinsics(before.intrinsics[-1], path.intrinsics, blend))[1:]


def steps(poses: FloatArray) -> FloatArray:
    """The movement between neighbouring poses (F, 4, 4) in the axes of the first of the two.

    (F - 1, 6): right, down and forward in scene units, then a rotation vector in radians, each per frame.
    """
    moved = rigid_inverse(poses[:-1]) @ poses[1:]
    turns = Rotation.from_matrix(moved[:, :3, :3]).as_rotvec()
    return np.concatenate([moved[:, :3, 3], turns], axis=1)


def _smooth(share: FloatArray) -> FloatArray:
    return np.asarray(share * share * (3.0 - 2.0 * share), dtype=np.float64)


def _intrinsics(last: FloatArray, intrinsics: FloatArray, blend: int) -> FloatArray:
    """Intrinsics (F, 4) that begin at ``last`` (4,) and reach ``intrinsics`` after ``blend`` frames."""
    if not blend or np.array_equal(last, intrinsics[0]):
        return intrinsics
    left = 1.0 - _smooth(np.arange(blend) / blend)[:, None]
    result: FloatArray = intrinsics.copy()
    result[:blend, :2] *= (last[:2] / intrinsics[0, :2]) ** left
    result[:blend, 2:] += (last[2:] - intrinsics[0, 2:]) * left
    return result

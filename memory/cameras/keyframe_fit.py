"""A camera path as keyframes, so that a ready-made move can be edited: few where it is plain, more where it bends.

A keyframe is put where the path is missed most, of the kind that misses least, until it is missed nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from .angles import angles_of
from .camera import FloatArray, horizontal_fov
from .keyframe_path import CHANNELS, sampled
from .keyframes import KINDS, Keyframe
from .pacing import spread
from .trajectory import Trajectory

MOST = 100
DEGREES, SHARE = 0.5, 0.004
"""How far keyframes may miss a path: in degrees, and in parts of how far the path goes."""
BREAK = 4.0
"""How many times less a stop or a corner must miss to be worth it: a smooth path is easier to go on with."""
DOZEN = 12
"""Keyframes by which the worst miss must have halved, and halved again."""
_ALMOST = 1e-9
_LOOKED_AT = 2000


class Stopped(Exception):
    """The work was called off."""


def never() -> bool:
    """Nobody calls it off."""
    return False


def fit_keyframes(
    path: Trajectory, most: int = MOST, stopped: Callable[[], bool] = never
) -> tuple[Keyframe, ...]:
    """At most ``most`` keyframes whose path is this one, seen from its first camera, to half a degree and 0.4 % of the
    distance that it goes. A field of view that never changes is left to the node.

    Where a dozen of them come hardly nearer, as with the sway of a hand, ``most`` are spread evenly instead.
    Raises ``Stopped`` soon after ``stopped`` says so.
    """
    rows = spread(len(path), _LOOKED_AT)
    seen = replace(path, poses=path.poses[rows], intrinsics=path.intrinsics[rows])
    values = pose_values(seen.relative())
    at = rows.astype(np.float64)
    zooms = bool(np.ptp(values[:, 6]) > _ALMOST)
    room = np.array([*[max(SHARE * float(np.ptp(values[:, :3], axis=0).max()), _ALMOST)] * 3, *[DEGREES] * 4])

    def keyframe(row: int, kind: str = KINDS[0]) -> Keyframe:
        numbers = {name: float(np.round(value, 9)) + 0.0 for name, value in zip(CHANNELS, values[row], strict=True)}
        fov = numbers.pop("fov")
        return Keyframe(float(at[row]), **numbers, fov=fov if zooms else None, kind=kind)

    def misses(keyframes: Sequence[Keyframe]) -> FloatArray:
        return np.asarray(np.abs((sampled(keyframes, at, values[0, 6]) - values) / room).max(axis=1))

    chosen = [0, len(at) - 1] if len(at) > 1 else [0]
    found = tuple(keyframe(row) for row in chosen)
    new, first_missed = 0, 0.0
    while True:
        if stopped():
            raise Stopped
        options = [
            tuple(
                replace(one, kind=first if i == 0 else inner if i == new else last if i == len(found) - 1 else one.kind)
                for i, one in enumerate(found)
            )
            for inner, first, last in product(KINDS if new else KINDS[:1], KINDS[:2], KINDS[:2])
        ]
        missed = [misses(option) for option in options]
        cost = [
            (float(error.max()) * (BREAK if new and option[new].kind != KINDS[0] else 1.0), float(error.sum()))
            for option, error in zip(options, missed, strict=True)
        ]
        best = cost.index(min(cost))
        found = options[best]
        if missed[best].max() <= 1.0 or len(found) >= min(most, len(at)):
            return found
        first_missed = first_missed or float(missed[best].max())
        dozens, rest = divmod(len(found), DOZEN)
        if not rest and missed[best].max() > first_missed / 2**dozens:
            return tuple(keyframe(int(row)) for row in spread(len(at), most))
        row = int(np.argmax(missed[best]))
        new = int(np.searchsorted(chosen, row))
        chosen.insert(new, row)
        found = (*found[:new], keyframe(row), *found[new:])


def pose_values(path: Trajectory) -> FloatArray:
    """Right, up, forward, yaw, pitch, roll and fov (F, 7) of a path; the angles never jump by a turn."""
    poses = path.poses
    angles = angles_of(poses[:, :3, :3])
    # The same rotation, tilted over the top: a tilt that goes on past the zenith keeps its heading.
    over = np.array([180.0, 180.0, 180.0]) + angles * (1.0, -1.0, 1.0)
    for frame in range(1, len(angles)):
        last = angles[frame - 1]
        near = [option + 360.0 * np.round((last - option) / 360.0) for option in (angles[frame], over[frame])]
        angles[frame] = min(near, key=lambda option: float(np.abs(option - last).sum()))
    positions = poses[:, :3, 3] * np.array([1.0, -1.0, 1.0])
    distinct, which = np.unique(path.intrinsics, axis=0, return_inverse=True)
    fov = np.array([horizontal_fov(intrinsics) for intrinsics in distinct])[which.reshape(-1)]
    return np.concatenate([positions, angles, fov[:, None]], axis=1)

"""Which remembered frame is the last keyframe of a segment: one that was taken where the segment ends."""

from __future__ import annotations

import numpy as np

from ..segment import Segment


def frame_at_the_end(segment: Segment) -> int | None:
    """The place in the context of the frame whose camera is the segment's last, None if there is none.

    The same camera is one no further away than the largest step of the segment's own path, in place and in direction,
    with the same lens. A path that ends where it begins has no such frame: the first keyframe says it all.
    """
    if segment.context is None or not len(segment.context):
        return None
    path = segment.trajectory
    steps = [step.max() if len(step) else 0.0 for step in _apart(path.poses[:-1], path.poses[1:])]
    if _near(_apart(path.poses[:1], path.poses[-1:]), steps)[0]:
        return None
    apart = _apart(segment.context.poses, path.poses[-1:])
    same_lens = np.isclose(segment.context.intrinsics, path.intrinsics[-1], atol=1e-3).all(axis=1)
    fits = np.flatnonzero(_near(apart, steps) & same_lens)
    if not len(fits):
        return None
    return int(fits[np.lexsort((apart[0][fits], apart[1][fits]))[0]])


Apart = tuple[np.ndarray, np.ndarray]


def _apart(one: np.ndarray, other: np.ndarray) -> Apart:
    """How far cameras (n, 4, 4) are from others: in scene units, and as the size of the difference of rotations."""
    moved = np.linalg.norm(one[:, :3, 3] - other[:, :3, 3], axis=1)
    return moved, np.linalg.norm(one[:, :3, :3] - other[:, :3, :3], axis=(1, 2))


def _near(apart: Apart, steps: list[float]) -> np.ndarray:
    return (apart[0] <= steps[0] + 1e-6) & (apart[1] <= steps[1] + 1e-6)

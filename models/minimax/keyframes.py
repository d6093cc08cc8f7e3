"""Which remembered frames are keyframes of a segment: those that were taken where its path passes, or ends."""

from __future__ import annotations

import numpy as np

from ...film.segment import Segment


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


SPACING = 17
"""Frames from one keyframe to the next: the model's own grid of latents repeats after so many."""

MOST_ON_THE_WAY = 3


def frames_on_the_way(segment: Segment) -> list[tuple[int, int]]:
    """(place in the context, frame of the segment) of remembered frames whose camera the path passes, in the order of
    the path, ``SPACING`` or more from each other and from both ends. The same camera is one as ``frame_at_the_end``
    says it."""
    context, path = segment.context, segment.trajectory
    inside = range(SPACING, len(path) - SPACING)
    if context is None or not len(context) or not len(inside):
        return []
    steps = [step.max() for step in _apart(path.poses[:-1], path.poses[1:])]
    found: list[tuple[float, int, int]] = []
    for frame in inside:
        moved, turned = _apart(context.poses, path.poses[frame : frame + 1])
        same_lens = np.isclose(context.intrinsics, path.intrinsics[frame], atol=1e-3).all(axis=1)
        for place in np.flatnonzero(_near((moved, turned), steps) & same_lens):
            found.append((float(turned[place] + moved[place]), frame, int(place)))
    chosen: list[tuple[int, int]] = []
    for _, frame, place in sorted(found):
        free = all(abs(frame - other) >= SPACING and place != taken for taken, other in chosen)
        if free and len(chosen) < MOST_ON_THE_WAY:
            chosen.append((place, frame))
    return sorted(chosen, key=lambda pair: pair[1])


Apart = tuple[np.ndarray, np.ndarray]


def _apart(one: np.ndarray, other: np.ndarray) -> Apart:
    """How far cameras (n, 4, 4) are from others: in scene units, and as the size of the difference of rotations."""
    moved = np.linalg.norm(one[:, :3, 3] - other[:, :3, 3], axis=1)
    return moved, np.linalg.norm(one[:, :3, :3] - other[:, :3, :3], axis=(1, 2))


def _near(apart: Apart, steps: list[float]) -> np.ndarray:
    return (apart[0] <= steps[0] + 1e-6) & (apart[1] <= steps[1] + 1e-6)

"""Our strategy: the frames that together saw the most of the segment, in 3-D.

Points that the coming views may see are spread over the whole segment (``points``; where past depth is known, the
surface that it shows), the chance that each frame of the pool saw them is worked out (``sight``, ``surface``), and
frames are taken greedily by what they add to those before them (``cover``). So frames that complement each other win
over frames that are each alike the target.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..cameras.camera import FloatArray, rigid_inverse
from .cover import failing_together, greedy_cover
from .points import Float32, Points, likely_points
from .pool import Choice, Integers, Question
from .sight import sight_chances
from .surface import depth_of_the_best, known_surface, seen_by_depth

TOGETHER = 0.85
"""Places this many scales apart fail together to 1/e: something that stands in the way of one hides most from both."""


def coverage(question: Question) -> list[Choice]:
    """The frames that together most probably saw the most of the coming views."""
    question = _in_own_units(question)
    pool = question.pool
    points, chances = _chances(question)
    together = failing_together((pool.poses[:, :3, 3] - points.origin).astype(np.float32), TOGETHER * question.scale)
    rows, gains = greedy_cover(chances, points.weight, together, question.given, question.count, pool.strength)
    return [
        Choice(int(pool.indices[row]), "shows what the others lack" if gain else "shows it once more", gain)
        for row, gain in zip(rows, gains, strict=True)
    ]


def _chances(question: Question) -> tuple[Points, Float32]:
    pool = question.pool
    points = likely_points(question.targets, question.lenses, question.depth, question.near, question.far)
    chances = sight_chances(points, pool.poses, pool.intrinsics, question.scale, question.far)
    depth = depth_of_the_best(pool, chances @ points.weight)
    if depth is not None:
        points = known_surface(question, points, depth)
        chances = seen_by_depth(question, points, depth)
    return points, chances


def _in_own_units(question: Question) -> Question:
    """The question with lengths in scales and places seen from the first target, so that neither the unit of the scene
    nor where it lies has a say in how numbers are rounded."""
    scale, pool = question.scale, question.pool
    back = rigid_inverse(question.targets[0])

    def seen(poses: FloatArray) -> FloatArray:
        result = back @ poses
        result[:, :3, 3] /= scale
        return np.asarray(result)

    def depth(frames: Integers) -> Float32:
        assert pool.depth is not None
        return np.asarray(pool.depth(frames) * np.float32(1.0 / scale))

    own = replace(pool, poses=seen(pool.poses), depth=None if pool.depth is None else depth)
    near, far, median = question.near / scale, question.far / scale, question.depth / scale
    return replace(question, pool=own, targets=seen(question.targets), near=near, far=far, depth=median, scale=1.0)

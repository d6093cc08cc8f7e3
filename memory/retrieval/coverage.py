"""Our strategy: the frames that together saw the most of the segment, in 3-D.

Points that the coming views may see are spread over the whole segment (``points``; where past depth is known, the
surface that it shows), the chance that each frame of the pool saw them is worked out (``sight``, ``surface``), and
frames are taken greedily by what they add to those before them (``cover``). So frames that complement each other win
over frames that are each alike the target.
"""

from __future__ import annotations

import numpy as np

from .cover import failing_together, greedy_cover
from .points import Float32, Points, likely_points
from .pool import Choice, Question
from .sight import sight_chances
from .surface import depth_of_the_best, known_surface, seen_by_depth

TOGETHER = 0.85
"""Places this many scales apart fail together to 1/e: something that stands in the way of one hides most from both."""


def coverage(question: Question) -> list[Choice]:
    """The frames that together most probably saw the most of the coming views."""
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

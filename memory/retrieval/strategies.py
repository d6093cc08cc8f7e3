"""The registry of strategies: small functions from a ``Question`` to the frames they choose, most useful first.

The given frames, that is the most recent one and the pinned ones, are always shown to the model and are not theirs to
choose; frames that may not be used are never in what they choose from.
"""

from __future__ import annotations

from .coverage import coverage
from .fov import fov_nonadjacent, fov_nonadjacent_far, fov_random
from .pool import Strategy
from .simple import first, framepack, pinned, random, recent

STRATEGIES: dict[str, Strategy] = {
    "first": first,
    "random": random,
    "recent": recent,
    "fov_random": fov_random,
    "fov_nonadjacent": fov_nonadjacent,
    "fov_nonadjacent_far": fov_nonadjacent_far,
    "framepack": framepack,
    "coverage": coverage,
    "pinned": pinned,
}
"""Strategies by name: those of Context-as-Memory (section 3.3 and table 3), FramePack's ages, ours, and none."""

POOLS: dict[str, int] = {"fov_random": 2048, "fov_nonadjacent": 2048, "fov_nonadjacent_far": 2048, "coverage": 256}
"""Frames near the coming views that each strategy looks at, at most; those left out here look at none."""

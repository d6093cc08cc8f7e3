"""How frames are retrieved, as a value that checks itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .strategies import STRATEGIES


@dataclass(frozen=True)
class RetrievalSettings:
    """Settings of ``retrieve``.

    ``strategy`` is a name in ``STRATEGIES``. ``k`` counts the context frames, the most recent one included (the paper
    uses 20). ``seed`` fixes every random choice.

    Distances are in scene units; 0 means that they are estimated from the cameras. ``near`` and ``far`` bound where two
    views may meet (the paper rejects what is nearer or farther, without giving figures). ``depth`` is about how far the
    things are that matter. ``min_overlap`` (0..1) is the least share of a view that makes a frame a candidate of the
    paper's rules. ``far_share`` (0..1) is the part of the chosen frames that ``fov_nonadjacent_far`` gives to frames
    far off in space and time.
    """

    strategy: str = "coverage"
    k: int = 20
    seed: int = 0
    near: float = 0.0
    far: float = 0.0
    depth: float = 0.0
    min_overlap: float = 0.1
    far_share: float = 0.25

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"There is no retrieval strategy {self.strategy!r}. Use one of: {', '.join(STRATEGIES)}.")
        if self.k < 1:
            raise ValueError(f"k is {self.k}: retrieval needs at least 1 frame. Use 20 (the paper's value).")
        if self.seed < 0:
            raise ValueError(f"The seed is {self.seed}: it must be 0 or above. Use 0.")
        distances = (self.near, self.depth, self.far)
        given = [value for value in distances if value]
        rising = all(a < b for a, b in zip(given[:-1], given[1:], strict=True))
        if not (rising and all(math.isfinite(value) and value >= 0.0 for value in distances)):
            raise ValueError(f"near is {self.near:g}, depth {self.depth:g} and far {self.far:g}: they must rise, each "
                             "0 or above. Use 0 for each: then it is estimated from the cameras.")
        for name, value, use in (("min_overlap", self.min_overlap, 0.1), ("far_share", self.far_share, 0.25)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}: it is a share and lies between 0 and 1. Use {use}.")

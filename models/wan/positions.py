"""Where remembered frames stand in time: explicit RoPE positions, exact for any distance."""

from __future__ import annotations

from dataclasses import dataclass

from .options import AFTER, BEFORE, TRUE


@dataclass(frozen=True)
class ContextPositions:
    """Places of context frames, oldest first, in latent frames; the first frame being made is at 0.

    ``kind`` BEFORE: -K..-1. AFTER: the newest right behind the T frames being made, older ones further on, as
    Echo-Memory and Phantom append theirs. TRUE: ``ago`` latent frames before the segment, as long ago as they are.
    """

    kind: str
    ago: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ago)

    def at(self, own: int) -> list[float]:
        """Positions (K,) beside ``own`` frames being made."""
        count = len(self)
        if self.kind == AFTER:
            return [float(own + count - 1 - place) for place in range(count)]
        if self.kind == TRUE:
            return [-ago for ago in self.ago]
        assert self.kind == BEFORE
        return [float(place - count) for place in range(count)]

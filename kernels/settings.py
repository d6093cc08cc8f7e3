"""How many chunks of context each query token may look into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MocSettings:
    """Settings of Mixture-of-Contexts attention (Mixture of Contexts, section 3).

    top_k: chunks of earlier shots that every query token and head chooses, on top of the text and its own shot.
        The paper uses 5 for films of several shots.
    """

    top_k: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int):
            raise ValueError(f"top_k is {self.top_k!r}: it counts chunks, so it must be a whole number. Use 5.")
        if self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}: routing needs at least 1 chunk. Use 5 (the paper's value).")

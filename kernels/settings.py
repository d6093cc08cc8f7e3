"""How many chunks of context each query token may look into, and how they are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class MocSettings:
    """Settings of Mixture-of-Contexts attention (Mixture of Contexts, section 3).

    ``top_k`` is the number of chunks of earlier shots that every query token and head chooses, on top of the text and
    its own shot. The paper uses 5 for films of several shots.

    ``query_block`` 0 routes each query token for itself (the paper); n makes one choice for n neighbouring query tokens
    of a shot and head, from their mean, as MemFlow does for a whole segment. Coarser, and cheaper to choose.

    ``outer_shots`` 0 chooses among the chunks of all earlier shots; n first keeps the n earlier shots that agree best
    with the mean query of the shot (the paper's appendix I, the outer loop), for films of very many shots.

    For training only: ``drop_off`` is the largest share of the chosen chunks that is dropped; each call draws its share
    evenly from 0..drop_off and drops floor(share * top_k) chunks of each query. ``drop_in`` is the mean of the Poisson
    number of random chunks that each call adds to each query.

    Raises ``ValueError`` for a count that is no whole number or too small, and a share or mean outside its range.
    """

    top_k: int = 5
    query_block: int = 0
    outer_shots: int = 0
    drop_off: float = 0.0
    drop_in: float = 0.0

    def __post_init__(self) -> None:
        _check_count("top_k", self.top_k, "chunks", 1, "routing needs at least 1 chunk. Use 5 (the paper's value).")
        _check_count("query_block", self.query_block, "tokens", 0, "use 0 to route each token for itself.")
        _check_count("outer_shots", self.outer_shots, "shots", 0, "use 0 to choose among all earlier shots.")
        _check_number("drop_off", self.drop_off, "is a share of the chosen chunks, 0 to 1. Use 0 except in training.")
        _check_number("drop_in", self.drop_in, "is a mean number of chunks, 0 or more. Use 0 except in training.")
        if self.drop_off > 1:
            raise ValueError(f"drop_off is {self.drop_off}: it is a share, so it must lie between 0 and 1.")

    @property
    def random(self) -> bool:
        """Whether routing draws random numbers, so that a generator must be given."""
        return self.drop_off > 0 or self.drop_in > 0


def _check_count(name: str, value: object, of: str, least: int, cure: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}: it counts {of}, so it must be a whole number.")
    if value < least:
        raise ValueError(f"{name} is {value}: {cure}")


def _check_number(name: str, value: object, meaning: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r}: it {meaning}")

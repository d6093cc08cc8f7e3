"""Which implementation serves a device, and from which length on routing is faster than dense attention."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from .fused import available
from .layout import MocLayout
from .plan import plan_shots
from .report import pairs_kept
from .settings import MocSettings

log = logging.getLogger(__name__)

MARGIN = 1.15
"""Routing must be expected to win by this factor, because a wrong guess should not cost the artist time."""


@dataclass(frozen=True)
class Cost:
    """What routing costs beside its pairs, in the time that dense attention needs for so many query-key pairs.

    row: for each chunk that a query of a head chose. head: for each head, whose queries are sorted and attended in
    some tens of calls.
    """

    row: float
    head: float


COSTS: dict[tuple[str, str], Cost] = {
    # Measured with one and two threads of a Xeon (AVX-512), 4 heads of 64 in float32, 1k to 8k tokens, nothing beside.
    ("cpu", "portable"): Cost(row=230, head=1_400_000),
    # Reckoned from the memory traffic of a row and the launches of a head; not measured on a card.
    ("cuda", "portable"): Cost(row=4_000, head=2e9),
    ("cuda", "triton"): Cost(row=800, head=1e8),
}
OTHER = Cost(row=4_000, head=2e9)

ALONE = 0.45
"""Share of the rows' cost on a CPU that one thread bears alone, while dense attention is shared by all; measured with
two. The cost of heads is mostly that of starting small calls, which no second thread takes off."""


@dataclass(frozen=True)
class Expectation:
    """ideal: dense pairs over kept pairs. speed_up: dense time over routed time, routing included, as expected."""

    ideal: float
    speed_up: float

    @property
    def pays(self) -> bool:
        return self.speed_up >= MARGIN


def expectation(
    layout: MocLayout,
    settings: MocSettings,
    heads: int,
    device: str = "cpu",
    implementation: str = "portable",
    threads: int = 0,
) -> Expectation:
    """What routing is expected to gain over dense attention.

    heads: those of all batch rows together. threads: of a CPU; 0 asks PyTorch how many it uses.
    """
    threads = (threads or torch.get_num_threads()) if device == "cpu" else 1
    return _expectation(layout, settings, heads, device, implementation, threads)


@lru_cache(maxsize=256)
def _expectation(
    layout: MocLayout, settings: MocSettings, heads: int, device: str, implementation: str, threads: int
) -> Expectation:
    pairs = pairs_kept(layout, settings)
    cost = COSTS.get((device, implementation), OTHER)
    choosing = sum(
        end - begin for plan in plan_shots(layout, settings) if plan.candidates for begin, end in plan.queries
    )
    rows = cost.row * (1 + ALONE * (threads - 1)) * choosing * settings.top_k
    routed = heads * (pairs.kept + rows + (cost.head * threads if choosing else 0))
    return Expectation(pairs.ideal_speed_up, heads * pairs.total / routed)


def implementation_for(q: Tensor) -> str:
    """The fastest implementation that serves tensors like q here: "triton" where it proves itself, else "portable"."""
    return _chosen(q.device.type, q.dtype, q.shape[-1])


@lru_cache(maxsize=64)
def _chosen(device: str, dtype: torch.dtype, size: int) -> str:
    name = "triton" if device != "cpu" and available(device, dtype, size) else "portable"
    log.info("MoC attention on %s, %s, head size %d: %s", device, dtype, size, name)
    return name

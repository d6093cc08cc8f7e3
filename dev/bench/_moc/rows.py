"""One row of `bench moc`: a film, everything that computes it taking turns, and what is kept of the times."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ....kernels import MocLayout, MocSettings, expectation, implementation_for, moc_attention, pairs_measured, route
from ....kernels.portable import attend_chosen, batch_rows, head_parts
from .cases import Case, leaning_tensors
from .exact import relative_error
from .measure import Rounds, median_ratio, peak_bytes, rounds_of
from .rivals import dense_kernels, flex_attention, one_choice_a_shot

TOO_SLOW = 1.5
"""A dense kernel that takes so many times as long as the fastest one is measured once and then left out."""


@dataclass(frozen=True)
class Row:
    """One film. Times in ms, medians; ratios are medians over rounds; memory as shares of that of q, k and v, the
    result not counted. A growing film (`grows`) is measured for its growth alone."""

    device: str
    threads: int
    tokens: int
    shots: int
    heads: int
    head_size: int
    chunk: int
    grows: bool
    implementation: str
    moc_ms: float
    routing_ms: float
    pairs_kept: float
    ideal_speed_up: float
    rounds: int
    dense_ms: float | None = None
    dense_kernel: str = ""
    automatic_ms: float | None = None
    automatic_routes: bool = False
    speed_up: float | None = None
    expected_speed_up: float | None = None
    automatic_ratio: float | None = None
    share_of_ideal: float | None = None
    over_flex: float | None = None
    extra_memory_share: float | None = None
    rel_l2: float | None = None
    others_ms: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        def told(value: float | None, form: str, width: int) -> str:
            return f"{'-' if value is None else format(value, form):>{width}}"

        return (
            f"{self.device:5}{self.threads:4}{self.tokens:8}{self.shots:6}{self.heads:6}{self.chunk:6}"
            f"{told(self.dense_ms, '.1f', 10)}{self.moc_ms:10.1f}{self.routing_ms:9.1f}{told(self.speed_up, '.2f', 9)}"
            f"{told(self.automatic_ratio, '.3f', 11)}{self.pairs_kept:8.1%}{self.ideal_speed_up:7.2f}"
            f"{told(self.share_of_ideal, '.0%', 9)}{told(self.extra_memory_share, '.1%', 8)}"
            f"{told(self.rel_l2, '.1e', 9)}{self.rounds:7}"
        )


HEADING = (
    "on threads tokens shots heads chunk  dense ms    moc ms  routing speed-up  automatic   pairs  ideal of ideal"
    "  memory   rel L2 rounds"
)


@torch.inference_mode()
def measure(
    case: Case, device: str, dtype: torch.dtype, rounds: Rounds, clock: str = "wall", exact: bool = True
) -> Row:
    """Times, memory and error of one film. exact: whether error and memory are measured, too."""
    layout, settings = case.layout, case.settings
    q, k, v = leaning_tensors(case, dtype, device)
    implementation = implementation_for(q)
    pairs = pairs_measured(q, k, layout, settings)

    def routed() -> Tensor:
        return moc_attention(q, k, v, layout, settings)

    def choosing() -> object:
        return route(q, k, layout, settings)

    runs: dict[str, Callable[[], object]] = {"moc": routed, "routing": choosing}
    dense: dict[str, Callable[[], Tensor]] = {}
    others: dict[str, float] = {}
    expected = expectation(layout, settings, case.heads, device, implementation)
    if not case.grows:
        dense, others = _fastest(dense_kernels(q, k, v), clock)
        plain = next(iter(dense.values()))

        def automatic() -> Tensor:
            """What an artist gets; the question itself counts."""
            asked = expectation(layout, settings, case.heads, device, implementation)
            return routed() if asked.pays else plain()

        runs = {**dense, **runs, "automatic": automatic}
        runs["block router"] = lambda: one_choice_a_shot(q, k, v, layout, settings)
        flex = flex_attention(q, k, v, layout, settings) if device == "cuda" else None
        if flex is not None:
            runs["flex_attention"] = flex
    times = rounds_of(runs, rounds, clock)
    medians = {name: 1e3 * statistics.median(taken) for name, taken in times.items()}
    row = {
        "device": device, "threads": torch.get_num_threads(), "tokens": case.tokens, "shots": case.shots,
        "heads": case.heads, "head_size": case.head_size, "chunk": layout.chunk_size(0), "grows": case.grows,
        "implementation": implementation, "moc_ms": medians["moc"], "routing_ms": medians["routing"],
        "pairs_kept": pairs.share, "ideal_speed_up": pairs.ideal_speed_up, "rounds": len(times["moc"]),
    }  # fmt: skip
    if not case.grows:
        fastest = min(dense, key=lambda name: medians[name])
        speed_up = median_ratio(times[fastest], times["moc"])
        row |= {
            "dense_ms": medians[fastest], "dense_kernel": fastest, "automatic_ms": medians["automatic"],
            "automatic_routes": expected.pays, "speed_up": speed_up, "expected_speed_up": expected.speed_up,
            "automatic_ratio": median_ratio(times[fastest], times["automatic"]),
            "share_of_ideal": speed_up / pairs.ideal_speed_up,
            "over_flex": median_ratio(times["flex_attention"], times["moc"]) if "flex_attention" in times else None,
            "others_ms": others | {
                name: taken for name, taken in medians.items() if name not in ("moc", "routing", "automatic", fastest)
            },
        }  # fmt: skip
    if exact and not case.grows:
        given = (q.numel() + k.numel() + v.numel()) * q.element_size()
        row["extra_memory_share"] = _extra_bytes(q, k, v, layout, settings, device) / given
        row["rel_l2"] = relative_error(routed(), q, k, v, layout, settings)
    return Row(**row)


def _extra_bytes(
    q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings, device: str
) -> int:
    """Most bytes of tensors alive at once, the result not counted."""
    parts = head_parts(q)
    if parts == 1:
        return peak_bytes(lambda: moc_attention(q, k, v, layout, settings), device) - q.numel() * q.element_size()
    # Only the thread that asks is watched: so one part of the heads alone, taken as if all were at their peak together.
    chosen = route(q, k, layout, settings)
    assert chosen is not None
    out, lse = torch.empty_like(q), q.new_empty(q.shape[:3])
    heads = [x.tensor_split(parts, dim=1)[0] for x in (out, lse, q, k, v, chosen)]
    rows = batch_rows(q, k, layout, parts)
    part = peak_bytes(lambda: attend_chosen(layout, settings, q.shape[-1] ** -0.5, rows, *heads), device)
    held = sum(x.numel() * x.element_size() for x in (chosen, lse))
    return max(peak_bytes(lambda: route(q, k, layout, settings), device), held + parts * part)


def _fastest(
    kernels: dict[str, Callable[[], Tensor]], clock: str
) -> tuple[dict[str, Callable[[], Tensor]], dict[str, float]]:
    """The dense kernels that may be the fastest, the first of them the fastest now, and the ms of the others."""
    if len(kernels) == 1:
        return kernels, {}
    once = {name: taken[0] for name, taken in rounds_of(kernels, Rounds(1, 1, 0), clock).items()}
    order = sorted(kernels, key=lambda name: once[name])
    near = [name for name in order if once[name] <= TOO_SLOW * once[order[0]]]
    return {name: kernels[name] for name in near}, {name: 1e3 * once[name] for name in order if name not in near}

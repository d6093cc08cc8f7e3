"""How fast routed attention is here, routing included, how far from exact, and how much memory it takes.

Each row is a film of several shots that attends to itself, on the same tensors: PyTorch's dense attention with every
backend that runs, Mixture-of-Contexts attention, a block router that makes one choice a shot, and on a GPU
FlexAttention under the same mask. All take turns, and the median of each counts. Keys of a frame lean to a direction of
their own and queries to those of a few frames, so that chunks are chosen unevenly, as they are in a video model.

"automatic" is what an artist gets: routed attention where it is expected to be faster, dense attention elsewhere.
Without a GPU its figures are null.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..kernels import expectation, implementation_for, moc_attention, pairs_measured
from ..kernels.routing import route
from ._moc.cases import Case, cpu_case, gpu_case, leaning_tensors
from ._moc.measure import CLOCKS, median_seconds, peak_bytes
from ._moc.rivals import dense_kernels, flex_attention, one_choice_a_shot

CPU_TOKENS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
GPU_TOKENS = (16_384, 65_536, 180_224, 524_288)
REFERENCE_SCORES = 300_000_000
"""Scores of one head up to which the exact reference is computed; it takes about 13 bytes for each."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One film. Times in ms; memory as shares of that of q, k and v, the result not counted."""

    device: str
    tokens: int
    shots: int
    heads: int
    head_size: int
    chunk: int
    implementation: str
    dense_ms: float
    dense_kernel: str
    moc_ms: float
    routing_ms: float
    automatic_ms: float
    automatic_routes: bool
    speed_up: float
    automatic_ratio: float
    pairs_kept: float
    ideal_speed_up: float
    share_of_ideal: float
    extra_memory_share: float
    rel_l2: float | None
    others_ms: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        error = "-" if self.rel_l2 is None else f"{self.rel_l2:.1e}"
        return (
            f"{self.device:6}{self.tokens:8}{self.shots:6}{self.heads:6}{self.chunk:6}{self.dense_ms:10.1f}"
            f"{self.moc_ms:10.1f}{self.routing_ms:9.1f}{self.speed_up:9.2f}{self.automatic_ratio:11.2f}"
            f"{self.pairs_kept:8.1%}{self.ideal_speed_up:7.2f}{self.share_of_ideal:9.0%}"
            f"{self.extra_memory_share:8.1%}{error:>9}"
        )


HEADING = (
    "device  tokens shots heads chunk  dense ms    moc ms  routing speed-up  automatic   pairs  ideal of ideal  memory"
    "   rel L2"
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench moc", description="Routed against dense attention.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--tokens", type=int, nargs="+", metavar="N", help="other lengths than the standard ones")
    parser.add_argument("--device", choices=["cpu", "cuda", "all"], default="all", help="all: what this machine has")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="cpu: float32, cuda: bfloat16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall",
                        help="cpu: processor counts the time this process was given, for a busy machine and 1 thread")
    arguments = parser.parse_args(argv)
    if any(tokens < 64 for tokens in arguments.tokens or ()):
        parser.error("--tokens: a film of 8 shots needs at least 64 tokens")
    cuda = torch.cuda.is_available() and arguments.device != "cpu"
    if arguments.device == "cuda" and not cuda:
        parser.error("--device cuda: PyTorch finds no CUDA device here. Use --device cpu.")
    log.info(f"{_machine(cuda)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    log.info(HEADING)
    rows: list[Row] = []
    if arguments.device != "cuda":
        dtype = getattr(torch, arguments.dtype or "float32")
        for tokens in arguments.tokens or CPU_TOKENS:
            rows.append(measure(cpu_case(tokens), "cpu", dtype, arguments.repeats, arguments.clock))
            log.info(rows[-1].line())
    if cuda:
        dtype = getattr(torch, arguments.dtype or "bfloat16")
        for tokens in arguments.tokens or GPU_TOKENS:
            for heads in (12, 40):
                for shots in (3, 8):
                    rows.append(measure(gpu_case(tokens, heads, shots), "cuda", dtype, arguments.repeats, "cuda"))
                    log.info(rows[-1].line())
    if arguments.json:
        content = {
            "machine": _machine(cuda),
            "date": datetime.date.today().isoformat(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "clock": arguments.clock,
            "figures": figures(rows),
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _machine(cuda: bool) -> str:
    return torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()


@torch.inference_mode()
def measure(case: Case, device: str, dtype: torch.dtype, repeats: int, clock: str = "wall") -> Row:
    """Times, memory and error of one film."""
    layout, settings = case.layout, case.settings
    q, k, v = leaning_tensors(case, dtype, device)
    implementation = implementation_for(q)
    dense = dense_kernels(q, k, v)
    expected = expectation(layout, settings, case.heads, device, implementation)

    def routed() -> Tensor:
        return moc_attention(q, k, v, layout, settings)

    runs = {
        **dense,
        "moc": routed,
        "routing": lambda: route(q, k, layout, settings),
        "block router": lambda: one_choice_a_shot(q, k, v, layout, settings),
    }
    flex = flex_attention(q, k, v, layout, settings)
    if flex is not None:
        runs["flex_attention"] = flex
    # Where the automatic choice is dense attention, its time is that of dense attention plus the question.
    runs["automatic"] = automatic = routed if expected.pays else next(iter(dense.values()))
    times = {name: 1e3 * taken for name, taken in median_seconds(runs, repeats, clock).items()}
    fastest = min(dense, key=lambda name: times[name])
    pairs = pairs_measured(q, k, layout, settings)
    given = (q.numel() + k.numel() + v.numel()) * q.element_size()
    speed_up = times[fastest] / times["moc"]
    return Row(
        device=device, tokens=case.tokens, shots=case.shots, heads=case.heads, head_size=case.head_size,
        chunk=layout.chunk_size(0), implementation=implementation,
        dense_ms=times[fastest], dense_kernel=fastest, moc_ms=times["moc"], routing_ms=times["routing"],
        automatic_ms=times["automatic"], automatic_routes=automatic is routed,
        speed_up=speed_up, automatic_ratio=times[fastest] / times["automatic"],
        pairs_kept=pairs.share, ideal_speed_up=pairs.ideal_speed_up, share_of_ideal=speed_up / pairs.ideal_speed_up,
        extra_memory_share=(peak_bytes(routed, device) - q.numel() * q.element_size()) / given,
        rel_l2=relative_error(case, q, k, v),
        others_ms={name: taken for name, taken in times.items() if name not in ("moc", "routing", "automatic")},
    )


def relative_error(case: Case, q: Tensor, k: Tensor, v: Tensor) -> float | None:
    """|routed - reference| / |reference|, the reference computed in float32 from the same tensors, head by head."""
    layout, settings = case.layout, case.settings
    if layout.queries * layout.keys > REFERENCE_SCORES:
        return None
    routed = moc_attention(q, k, v, layout, settings).float()
    difference = size = 0.0
    for head in range(case.heads):
        here = (slice(None), slice(head, head + 1))
        exact = moc_attention(q[here].float(), k[here].float(), v[here].float(), layout, settings, "reference")
        difference += (routed[here] - exact).square().sum().item()
        size += exact.square().sum().item()
    return math.sqrt(difference / size)


def figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """The figures by name; null where no row tells. The worst of several heads counts, and 8 shots where not said."""
    cpu = {row.tokens: row for row in rows if row.device == "cpu"}
    errors = [row.rel_l2 for row in rows if row.rel_l2 is not None]
    # Where the automatic choice is dense attention there is no extra memory.
    memory = [row.extra_memory_share for row in rows if row.automatic_routes]

    def gpu(tokens: int, value: str) -> float | None:
        found = [getattr(row, value) for row in rows
                 if row.device == "cuda" and row.shots == 8 and row.tokens == tokens]
        return min(found) if found else None

    flex = [row.others_ms["flex_attention"] / row.moc_ms for row in rows
            if row.device == "cuda" and row.shots == 8 and row.tokens == 180_224 and "flex_attention" in row.others_ms]
    return {
        "cpu_8k_speedup": cpu[8192].speed_up if 8192 in cpu else None,
        "cpu_32k_speedup": cpu[32768].speed_up if 32768 in cpu else None,
        "cpu_worst_ratio": min((row.automatic_ratio for row in cpu.values()), default=None),
        "gpu_64k_speedup": gpu(65_536, "speed_up"),
        "gpu_180k_speedup": gpu(180_224, "speed_up"),
        "gpu_180k_share_of_ideal": gpu(180_224, "share_of_ideal"),
        "gpu_180k_over_flex": min(flex) if flex else None,
        "growth_exponent": growth_exponent(rows),
        "extra_memory_share": max(memory) if memory else None,
        "rel_l2_max": max(errors) if errors else None,
        "revisit_psnr_drop": None,
    }


def growth_exponent(rows: Sequence[Row]) -> float | None:
    """The largest slope of log(time) over log(tokens) from 64k on, at fixed top-k, over heads and shots."""
    slopes = []
    for heads, shots in {(row.heads, row.shots) for row in rows if row.device == "cuda"}:
        points = [(math.log(row.tokens), math.log(row.moc_ms)) for row in rows
                  if row.device == "cuda" and (row.heads, row.shots) == (heads, shots) and row.tokens >= 65_536]
        if len(points) > 1:
            x, y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
            slopes.append(sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points))
    return max(slopes) if slopes else None

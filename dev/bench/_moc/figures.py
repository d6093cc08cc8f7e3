"""The figures of `bench moc` by their fixed names, out of its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .rows import Row

Figures = dict[str, float | None]


def figures(rows: Sequence[Row], revisit_psnr_drop: float | None = None) -> Figures:
    """Null where no row tells. The worst of several heads counts; 8 shots where not said; on the CPU 2 threads."""
    errors = [row.rel_l2 for row in rows if row.rel_l2 is not None]
    # Where the automatic choice is dense attention there is no extra memory.
    memory = [row.extra_memory_share for row in rows if row.automatic_routes and row.extra_memory_share is not None]
    cpu = [row for row in rows if row.device == "cpu"]
    return {
        "cpu_8k_speedup": _worst(cpu, 8192, "speed_up", threads=2),
        "cpu_32k_speedup": _worst(cpu, 32768, "speed_up", threads=2),
        "cpu_worst_ratio": min((row.automatic_ratio for row in cpu if row.automatic_ratio is not None), default=None),
        "gpu_64k_speedup": _worst(rows, 65_536, "speed_up", device="cuda"),
        "gpu_180k_speedup": _worst(rows, 180_224, "speed_up", device="cuda"),
        "gpu_180k_share_of_ideal": _worst(rows, 180_224, "share_of_ideal", device="cuda"),
        "gpu_180k_over_flex": _worst(rows, 180_224, "over_flex", device="cuda"),
        "growth_exponent": growth_exponent([row for row in rows if row.device == "cuda"], 65_536),
        "extra_memory_share": max(memory, default=None),
        "rel_l2_max": max(errors, default=None),
        "revisit_psnr_drop": revisit_psnr_drop,
        "cpu_8k_speedup_1_thread": _worst(cpu, 8192, "speed_up", threads=1),
        "cpu_32k_speedup_1_thread": _worst(cpu, 32768, "speed_up", threads=1),
        "cpu_growth_exponent": growth_exponent([row for row in cpu if row.threads == 2], 8192),
    }


def _worst(rows: Sequence[Row], tokens: int, value: str, device: str = "cpu", threads: int = 0) -> float | None:
    found = [
        getattr(row, value)
        for row in rows
        if row.device == device and row.tokens == tokens and row.shots == 8 and not row.grows
        and (not threads or row.threads == threads)
    ]  # fmt: skip
    return min((one for one in found if one is not None), default=None)


def growth_exponent(rows: Sequence[Row], least: int) -> float | None:
    """The largest slope of log(time) over log(tokens) from `least` tokens on, at fixed top-k, chunk and shot length."""
    slopes = []
    growing = [row for row in rows if row.grows and row.tokens >= least]
    for heads in {row.heads for row in growing}:
        points = [(math.log(row.tokens), math.log(row.moc_ms)) for row in growing if row.heads == heads]
        if len(points) > 1:
            x, y = (sum(point[axis] for point in points) / len(points) for axis in (0, 1))
            slopes.append(sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points))
    return max(slopes, default=None)

"""How fast routed attention is on this machine's CPU, routing included, and how far it is from exact.

Each row compares PyTorch's dense `scaled_dot_product_attention` over all keys with the portable path of
Mixture-of-Contexts attention on the same tensors. Dense and routed runs take turns and the fastest of each counts,
because other work on the machine can only slow a run down.

Two layouts: "film" is a film of several shots that attends to itself; "segment" is the last of those shots alone,
with the earlier ones as its context frames. Keys of a frame lean to a direction of their own and queries lean to the
directions of a few frames, so that chunks are chosen unevenly, as they are in a video model.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ..kernels import MocLayout, MocSettings, moc_attention, pairs_measured
from ..kernels.routing import route

HEADS, HEAD_SIZE, SHOTS, FRAMES, TOP_K = 4, 64, 8, 8, 5
REFERENCE_SCORES = 300_000_000
"""Scores of one head up to which the exact reference is computed; it takes about 13 bytes for each."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    layout: str
    tokens: int
    chunk: int
    dense_ms: float
    moc_ms: float
    routing_ms: float
    speed_up: float
    pairs_kept: float
    ideal_speed_up: float
    share_of_ideal: float
    rel_l2: float | None

    def line(self) -> str:
        error = "-" if self.rel_l2 is None else f"{self.rel_l2:.1e}"
        return (
            f"{self.layout:8}{self.tokens:8}{self.chunk:6}{self.dense_ms:10.1f}{self.moc_ms:10.1f}"
            f"{self.routing_ms:12.1f}{self.speed_up:10.2f}{self.pairs_kept:12.1%}{self.ideal_speed_up:8.2f}"
            f"{self.share_of_ideal:10.0%}{error:>9}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench moc", description="Routed against dense attention on the CPU.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 4096, 8192, 16384], metavar="N",
                        help="keys of the sequence, a multiple of 64 each")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args(argv)
    for tokens in arguments.tokens:
        if tokens < 64 or tokens % (SHOTS * FRAMES):
            parser.error(f"{tokens} tokens cannot be cut into {SHOTS} shots of {FRAMES} frames: use a multiple of 64")
    dtype = getattr(torch, arguments.dtype)
    log.info(
        f"{HEADS} heads of {HEAD_SIZE}, {arguments.dtype}, {SHOTS} shots, top-k {TOP_K}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    log.info("layout    tokens chunk  dense ms    moc ms  routing ms  speed-up  pairs kept   ideal  of ideal   rel L2")
    rows: list[Row] = []
    for tokens in arguments.tokens:
        for name in ("film", "segment"):
            rows.append(measure(name, tokens, dtype, arguments.repeats))
            log.info(rows[-1].line())
    if arguments.json:
        content = {"rows": [asdict(row) for row in rows], "figures": figures(rows)}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(name: str, tokens: int, dtype: torch.dtype, repeats: int) -> Row:
    chunk = tokens // (SHOTS * FRAMES)
    if name == "film":
        layout = MocLayout.sequence([chunk] * (SHOTS * FRAMES), [shot for shot in range(SHOTS) for _ in range(FRAMES)])
    else:
        layout = MocLayout.cross(0, [chunk] * ((SHOTS - 1) * FRAMES), FRAMES * chunk)
    settings = MocSettings(top_k=TOP_K)
    q, k, v = (x.to(dtype) for x in leaning_tensors(layout))
    dense, routed, routing = fastest_seconds(
        [
            lambda: scaled_dot_product_attention(q, k, v),
            lambda: moc_attention(q, k, v, layout, settings),
            lambda: route(q, k, layout, settings),
        ],
        repeats,
    )
    pairs = pairs_measured(q, k, layout, settings)
    return Row(
        layout=name,
        tokens=layout.keys,
        chunk=chunk,
        dense_ms=dense * 1e3,
        moc_ms=routed * 1e3,
        routing_ms=routing * 1e3,
        speed_up=dense / routed,
        pairs_kept=pairs.share,
        ideal_speed_up=pairs.ideal_speed_up,
        share_of_ideal=dense / routed / pairs.ideal_speed_up,
        rel_l2=relative_error(q, k, v, layout, settings),
    )


def leaning_tensors(layout: MocLayout, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """q, k, v (1, heads, tokens, size): keys lean to their chunk's direction, queries to those of three chunks."""
    generator = torch.Generator().manual_seed(seed)

    def noise(tokens: int) -> Tensor:
        return torch.randn(1, HEADS, tokens, HEAD_SIZE, generator=generator)

    directions = noise(layout.chunks) * 0.7
    sizes = torch.tensor([layout.chunk_size(chunk) for chunk in range(layout.chunks)])
    k = noise(layout.keys) + directions.repeat_interleave(sizes, dim=2)
    liked = torch.randint(layout.chunks, (layout.queries, 3), generator=generator)
    q = noise(layout.queries) + directions[:, :, liked].sum(dim=3) / 2
    return q, k, noise(layout.keys)


def fastest_seconds(runs: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The shortest time of each, after one round to warm up."""
    times: list[list[float]] = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for run, seconds in zip(runs, times, strict=True):
            begin = time.perf_counter()
            run()
            if repeat:
                seconds.append(time.perf_counter() - begin)
    return [min(seconds) for seconds in times]


def relative_error(q: Tensor, k: Tensor, v: Tensor, layout: MocLayout, settings: MocSettings) -> float | None:
    """|routed - reference| / |reference|, the reference computed in float32 from the same tensors, head by head."""
    if layout.queries * layout.keys > REFERENCE_SCORES:
        return None
    routed = moc_attention(q, k, v, layout, settings).float()
    difference = size = 0.0
    for head in range(HEADS):
        here = (slice(None), slice(head, head + 1))
        exact = moc_attention(q[here].float(), k[here].float(), v[here].float(), layout, settings, "reference")
        difference += (routed[here] - exact).square().sum().item()
        size += exact.square().sum().item()
    return math.sqrt(difference / size)


def figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """Speed-ups by name, and the smallest film at which routing is no slower than dense from there on."""
    result: dict[str, float | None] = {f"{row.layout}_{row.tokens}_speedup": row.speed_up for row in rows}
    for layout in ("film", "segment"):
        faster: list[Row] = []
        for row in sorted((row for row in rows if row.layout == layout), key=lambda row: row.tokens):
            faster = [*faster, row] if row.speed_up >= 1 else []
        result[f"{layout}_break_even_tokens"] = faster[0].tokens if faster else None
    errors = [row.rel_l2 for row in rows if row.rel_l2 is not None]
    result["rel_l2_max"] = max(errors) if errors else None
    return result

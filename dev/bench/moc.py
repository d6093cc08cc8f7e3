"""How fast routed attention is here, routing included, how far from exact, and how much memory it takes.

Each row is a film of several shots that attends to itself, on the same tensors: PyTorch's dense attention with every
backend that runs, Mixture-of-Contexts attention, a block router that makes one choice a shot, and on a GPU
FlexAttention under the same mask. All take turns, ratios are taken within a round, and the median round counts. Keys of
a frame lean to a direction of their own and queries to those of a few frames, so that chunks are chosen unevenly, as
they are in a video model. Rows without dense times are films that grow: their shots keep their length.

"automatic" is what an artist gets: routed attention where it is expected to be faster, dense attention elsewhere.
Last, the bundled model makes films of held-out scenes, away and back, dense and with half the pairs or fewer.
Without a GPU its figures are null.

Long, but resumable: with --keep every row and scene is kept as soon as it is there, and not measured again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ._moc.cases import Case, cpu_case, gpu_case, growing_cpu_case, growing_gpu_case
from ._moc.figures import figures
from ._moc.keep import Kept
from ._moc.measure import CLOCKS, Rounds
from ._moc.revisit import as_content, measure_revisits
from ._moc.rows import HEADING, Row, measure

CPU_TOKENS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
GPU_TOKENS = (16_384, 65_536, 180_224, 524_288)
GPU_HEADS, GPU_SHOTS = (12, 40), (3, 8)
GROWING = {"cpu": 8192, "cuda": 65_536}
"""Tokens from which growth is measured."""

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench moc", description="Routed against dense attention.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep rows and scenes here, and go on from there")
    parser.add_argument("--tokens", type=int, nargs="+", metavar="N", help="other lengths than the standard ones")
    parser.add_argument("--device", choices=["cpu", "cuda", "all"], default="all", help="all: what this machine has")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], help="cpu: float32, cuda: bfloat16")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1], help="of torch, on the cpu: 2 1")
    parser.add_argument("--seconds", type=float, default=6.0, help="for a row; it always has 3 rounds")
    parser.add_argument("--scenes", type=int, default=16, help="held-out scenes for revisit PSNR; 0 leaves it out")
    parser.add_argument("--weights", type=Path, help="another world model's file than the bundled one")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall",
                        help="cpu: processor counts the time this process was given, for a busy machine and 1 thread")
    arguments = parser.parse_args(argv)
    if any(tokens < 64 for tokens in arguments.tokens or ()):
        parser.error("--tokens: a film of 8 shots needs at least 64 tokens")
    cuda = torch.cuda.is_available() and arguments.device != "cpu"
    if arguments.device == "cuda" and not cuda:
        parser.error("--device cuda: PyTorch finds no CUDA device here. Use --device cpu.")
    log.info(f"{_machine(cuda)}, torch {torch.__version__}")
    log.info(HEADING)
    kept = Kept(arguments.keep)
    rows: list[Row] = []
    threads = torch.get_num_threads()
    try:
        if arguments.device != "cuda":
            rows += _cpu_rows(arguments, kept)
    finally:
        torch.set_num_threads(threads)
    if cuda:
        rows += _cuda_rows(arguments, kept)
    scenes = measure_revisits(arguments.scenes, arguments.weights, kept) if arguments.scenes else []
    revisit = as_content(scenes) if scenes else None
    drop = revisit["psnr_dense"] - revisit["psnr_routed"] if revisit else None
    found = figures(rows, drop)
    log.info("\n".join(f"{name:26}{'-' if value is None else f'{value:.3f}':>9}" for name, value in found.items()))
    if arguments.json:
        content: dict[str, Any] = {
            "machine": _machine(cuda),
            "date": datetime.date.today().isoformat(),
            "torch": torch.__version__,
            "clock": arguments.clock,
            "figures": found,
            "revisit": revisit,
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def _cpu_rows(arguments: argparse.Namespace, kept: Kept) -> Iterator[Row]:
    """All lengths with every number of threads; error, memory and growth with the first of them only."""
    dtype = getattr(torch, arguments.dtype or "float32")
    rounds = Rounds(3, 25, arguments.seconds)
    for place, threads in enumerate(arguments.threads):
        torch.set_num_threads(threads)
        for case in _cases("cpu", arguments.tokens):
            if case.grows and place:
                continue
            asked = f"{case}, {threads} threads, {dtype}, {arguments.clock}, exact: {place == 0}"
            yield _logged(Row(**kept.get(asked, lambda case=case, exact=place == 0: asdict(
                measure(case, "cpu", dtype, rounds, arguments.clock, exact)))))  # fmt: skip


def _cuda_rows(arguments: argparse.Namespace, kept: Kept) -> Iterator[Row]:
    dtype = getattr(torch, arguments.dtype or "bfloat16")
    for case in _cases("cuda", arguments.tokens):
        yield _logged(Row(**kept.get(f"{case}, {_machine(True)}, {dtype}", lambda case=case: asdict(
            measure(case, "cuda", dtype, Rounds(3, 25, arguments.seconds), "cuda")))))  # fmt: skip


def _cases(device: str, tokens: Sequence[int] | None) -> Iterator[Case]:
    lengths = tokens or (CPU_TOKENS if device == "cpu" else GPU_TOKENS)
    growing = [length for length in lengths if length >= GROWING[device]]
    if device == "cpu":
        yield from map(cpu_case, lengths)
        yield from map(growing_cpu_case, growing)
        return
    for length in lengths:
        yield from (gpu_case(length, heads, shots) for heads in GPU_HEADS for shots in GPU_SHOTS)
    yield from (growing_gpu_case(length, heads) for heads in GPU_HEADS for length in growing)


def _logged(row: Row) -> Row:
    log.info(row.line())
    return row


def _machine(cuda: bool) -> str:
    if cuda:
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        lines = cpus.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"

"""What the segment loop costs beside the model: time, growth from segment to segment, and the server's memory.

The loop is run by the Shot Generator node itself. In this process a stopwatch sits in the objects that are passed to it
(the MODEL's own wrapper of sampling, a VAE that times its coding); everything else is overhead: retrieval, reading the
context, writing the segment, previews. Memory is that of a real server which makes films of one and of ten minutes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ._host import load_host
from ._loop_meter import CONTEXT, FOV, FPS, SEGMENT, STEPS, Studio, Timed

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench loop", description="Cost of the segment loop beside the model.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--segments", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3, help="films; of each segment the fastest counts")
    parser.add_argument("--minutes", type=int, nargs=2, default=[1, 10], help="films whose memory is compared")
    parser.add_argument("--no-server", action="store_true", help="leave out the memory of the server")
    parser.add_argument("--table3", action="store_true", help="also reproduce the paper's table 3 (some minutes)")
    arguments = parser.parse_args(argv)
    cpu = not torch.cuda.is_available()
    load_host(cpu)
    figures: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        films = shoot(Path(folder), arguments.segments, arguments.repeats)
        figures, rows = measured(films)
        log.info(report(rows, figures))
        if not arguments.no_server:
            peaks = [peak_mb(Path(folder) / str(minutes), minutes, cpu) for minutes in arguments.minutes]
            figures["rss_10min_over_1min"] = round(peaks[1] / peaks[0], 3)
            for minutes, peak in zip(arguments.minutes, peaks, strict=True):
                log.info(f"{minutes:3} min film: the server's peak is {peak:.0f} MB")
    if arguments.table3:
        from . import table3

        table3.main(["--scenes", "32"])
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def shoot(folder: Path, segments: int, repeats: int) -> list[Timed]:
    """The same film again and again, after a short one that warms up."""
    studio = Studio()
    studio.film(folder, "warm up", 3)
    return [studio.film(folder, f"film {number}", segments) for number in range(repeats)]


def measured(films: Sequence[Timed]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Figures and a row a segment. The fastest of the repeats counts: other work can only slow a segment down."""
    whole = np.min([film.whole for film in films], axis=0)
    beside = np.min([film.whole - film.model for film in films], axis=0)
    model = np.min([film.model for film in films], axis=0)
    last = len(whole) - 1
    figures = {
        "overhead_share": round(float(np.median([film.overhead_share for film in films])), 4),
        "segment60_over_segment2": round(float(whole[last] / whole[1]), 3),
        "segment_ms": round(1e3 * float(np.median(whole[1:])), 1),
        "overhead_ms": round(1e3 * float(np.median(beside[1:])), 2),
    }
    columns = {"ms": whole, "model_ms": model, "beside_ms": beside}
    rows = [
        {"segment": index + 1, **{name: round(1e3 * float(column[index]), 2) for name, column in columns.items()}}
        for index in range(len(whole))
    ]
    return figures, rows


def report(rows: Sequence[dict[str, Any]], figures: dict[str, float]) -> str:
    lines = [f"{SEGMENT} frames a segment, {STEPS} steps, {CONTEXT} context frames, {torch.get_num_threads()} threads"]
    lines.append(f"{'segment':>8}{'ms':>10}{'model and VAE':>16}{'beside it':>12}")
    shown = sorted({0, 1, 2, *range(9, len(rows), 10), len(rows) - 1} & set(range(len(rows))))
    for row in (rows[index] for index in shown):
        lines.append(f"{row['segment']:8}{row['ms']:10.1f}{row['model_ms']:16.1f}{row['beside_ms']:12.2f}")
    lines.append(f"outside model and VAE: {figures['overhead_share']:.1%} of the time")
    lines.append(f"segment {len(rows)} takes {figures['segment60_over_segment2']} times as long as segment 2")
    return "\n".join(lines)


def peak_mb(base: Path, minutes: float, cpu: bool) -> float:
    """The most memory of a new server while it makes and saves a film of so many minutes, in MB."""
    from dev.support.server import HostServer

    with HostServer(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base=base, cpu=cpu) as server:
        run = server.client.queue(prompt(round(minutes * 60 * FPS)), timeout=7200)
        if not run.ok:
            raise SystemExit(f"The server did not make the film: {run.error}")
        return server.peak_rss_mb()


def prompt(frames: int) -> dict[str, dict[str, Any]]:
    """A shot that looks round, once a minute."""

    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    laps = max(1, round(frames / (60 * FPS)))
    return {
        "load": node("SceneMemoryLoadWorldModel", weights="bundled"),
        "scene": node("SceneMemoryWorldScene", place="room", seed=36, width=96, height=60, fov=FOV),
        "text": node("CLIPTextEncode", clip=["load", 1], text=["scene", 1]),
        "bank": node("SceneMemoryBank", name="bench", mode="new", fov=FOV, fps=FPS, width=0, height=0,
                     start_image=["scene", 0]),
        "moc": node("SceneMemoryMocSampler", model=["load", 0], routing=True, top_k=5, dense_layers=0,
                    sampler_name="euler", scheduler="simple", steps=STEPS),
        "camera": node("SceneMemoryCameraTrajectory", move="look around", frames=frames, amount=360.0 * laps,
                       radius=1.5, easing="even", fov=FOV, fps=FPS, aspect=1.6, memory=["bank", 0]),
        "fov": node("SceneMemoryFovRetriever", k=CONTEXT, strategy="fov_nonadjacent_far", seed=0, depth=3.0, near=0.1,
                    far=30.0, min_overlap=0.1, far_share=0.25, preview_frame=0),
        "shot": node("SceneMemoryShotGenerator", model=["moc", 0], vae=["load", 2], positive=["text", 0],
                     memory=["bank", 0], trajectory=["camera", 0], sampler=["moc", 1], sigmas=["moc", 2],
                     retriever=["fov", 0], seed=1, cfg=1.0, segment_frames=0, width=0, height=0),
        "video": node("SceneMemoryToVideo", memory=["shot", 0], filename_prefix="bench", scale=1, fps=0.0, quality=23),
    }  # fmt: skip

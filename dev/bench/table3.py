"""Table 3 of Context-as-Memory with the bundled model: what is chosen from memory decides what is painted.

In held-out rooms a camera walks for minutes, turns back and returns to places left long ago. At some points of the walk
the model paints the next segment; its past is the true film, of which each strategy chooses k frames. PSNR is against
the true next segment. The noise is the same for every strategy, so they are compared pair by pair.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.retrieve import retrieve
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.retrieval.strategies import STRATEGIES
from ...memory.state.state import MemoryState, SegmentRecord
from ...world.render import render
from ...world.scenes import HELD_OUT_SEEDS, Scene, make_scene
from ..metrics import psnr
from ._host import load_host
from ._walks import long_walk

WIDTH, HEIGHT, SEGMENT, STEPS = 96, 60, 8, 2
PAPER = {
    "first": 15.72, "random": 17.70, "recent": 17.63, "framepack": 17.20, "fov_random": 19.17,
    "fov_nonadjacent": 20.11, "fov_nonadjacent_far": 20.22,
}  # fmt: skip
ORDER = ("random", "fov_random", "fov_nonadjacent", "coverage")
FIRST_SCENE = 5000
"""Scenes before these are there to be looked at while working."""

log = logging.getLogger(__name__)


@dataclass
class TrueFilm:
    """A walk through a scene; its frames are drawn when they are first looked at."""

    scene: Scene
    path: Trajectory
    _drawn: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def frames(self, indices: Iterable[int]) -> NDArray[np.uint8]:
        wanted = [int(index) for index in indices]
        if new := sorted(set(wanted) - set(self._drawn)):
            pictures = render(self.scene, self.path.poses[new], self.path.intrinsics[new], WIDTH, HEIGHT).numpy()
            self._drawn.update(zip(new, pictures, strict=True))
        return np.stack([self._drawn[index] for index in wanted])


class Painter:
    """The bundled model, asked for one segment at a time through the pack's own adapter and sampling."""

    def __init__(self, weights: Path | None = None) -> None:
        import comfy.samplers

        from ...models.registry import adapter_for
        from ...models.world.loader import WEIGHTS, load_world_model

        self.model, self.clip, self.vae = load_world_model(weights or WEIGHTS)
        self.adapter = adapter_for(self.model)
        self.sampler = comfy.samplers.sampler_object("euler")
        self.sigmas = comfy.samplers.calculate_sigmas(self.model.get_model_object("model_sampling"), "simple", STEPS)

    @torch.inference_mode()
    def paint(self, film: TrueFilm, targets: Trajectory, chosen: Sequence[int], seed: int) -> NDArray[np.uint8]:
        """Frames (F, H, W, 3) of the segment, seen with the chosen frames of the film in mind."""
        from ...film.segment import ContextFrames, Segment
        from ...models.host.sampling import decoded, sample

        past = sorted(chosen)
        context = ContextFrames(film.frames(past), film.path.poses[past], film.path.intrinsics[past])
        caption = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(film.scene.caption))
        prepared = self.adapter.prepare(self.model, caption, None, Segment(targets, WIDTH, HEIGHT, context))
        latent = sample(
            self.model, prepared, self.sampler, self.sigmas, cfg=1.0, seed=seed, on_step=lambda step, x0: None
        )
        return decoded(self.vae, latent)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench table3", description="PSNR by retrieval strategy, bundled model.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="other weights than the bundled ones")
    parser.add_argument("--scenes", type=int, default=32)
    parser.add_argument("--first-scene", type=int, default=FIRST_SCENE, metavar="SEED")
    parser.add_argument("--frames", type=int, default=480, help="of each walk")
    parser.add_argument("--segments", type=int, default=4, help="painted in each walk, spread over its second half")
    parser.add_argument("--k", type=int, nargs="+", default=[5])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    arguments = parser.parse_args(argv)
    load_host(cpu=not torch.cuda.is_available())
    started = time.monotonic()
    rows = []
    for k in arguments.k:
        scores = measure(arguments, k)
        rows += [{"k": k, **row} for row in table(scores)]
        log.info(f"\nk = {k}: {report(scores)}")
    log.info(f"{time.monotonic() - started:.0f} s")
    if arguments.json is not None:
        figures = {f"psnr_{row['strategy']}_k{row['k']}": row["psnr"] for row in rows}
        arguments.json.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(arguments: argparse.Namespace, k: int) -> dict[str, NDArray[np.float64]]:
    """PSNR (scenes,) by strategy, each a mean over the segments of a scene."""
    painter = Painter(arguments.weights)
    found: dict[str, list[float]] = {name: [] for name in arguments.strategies}
    for seed, scene in rooms(arguments.first_scene, arguments.scenes):
        film = TrueFilm(scene, long_walk(scene, arguments.frames, np.random.default_rng([seed, 3])))
        starts = np.linspace(arguments.frames // 2, arguments.frames - SEGMENT, arguments.segments).astype(int)
        for name in arguments.strategies:
            settings = RetrievalSettings(strategy=name, k=k, seed=seed)
            scores = []
            for start in starts:
                targets = film.path[int(start) : int(start) + SEGMENT]
                chosen = retrieve(remembered(film.path[: int(start)]), targets, settings).indices
                painted = painter.paint(film, targets, chosen.tolist(), seed=int(seed * 1000 + start))
                truth = film.frames(range(int(start), int(start) + SEGMENT))
                scores.append(np.mean([psnr(a, b) for a, b in zip(painted, truth, strict=True)]))
            found[name].append(float(np.mean(scores)))
        log.info(f"scene {seed}: " + "  ".join(f"{name} {values[-1]:.2f}" for name, values in found.items()))
    return {name: np.array(values) for name, values in found.items()}


def rooms(first: int, count: int) -> Iterator[tuple[int, Scene]]:
    """So many held-out scenes that are one room, from a seed on."""
    for seed in range(HELD_OUT_SEEDS.start + first, HELD_OUT_SEEDS.stop):
        if count == 0:
            return
        if (scene := make_scene(seed)).place == "room":
            count -= 1
            yield seed, scene


def remembered(path: Trajectory) -> MemoryState:
    """A memory of the cameras of a path: all that retrieval from poses looks at."""
    record = SegmentRecord(
        id=f"{1:064x}", parent=MemoryState().id, start=0, frames=len(path), shot=0, prompt="", size=(HEIGHT, WIDTH),
        fps=path.fps,
    )  # fmt: skip
    return MemoryState().with_segment(record, path.poses, path.intrinsics)


def table(scores: dict[str, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """A row a strategy, worst first: mean PSNR, its standard error, and the paper's."""
    rows = [
        {
            "strategy": name,
            "psnr": round(float(values.mean()), 3),
            "standard_error": round(standard_error(values), 3),
            "scenes": len(values),
            "paper": PAPER.get(name),
        }
        for name, values in scores.items()
    ]
    return sorted(rows, key=lambda row: row["psnr"])


def report(scores: dict[str, NDArray[np.float64]]) -> str:
    lines = [f"PSNR in dB over {len(next(iter(scores.values())))} held-out rooms"]
    lines += [f"{'strategy':22}{'PSNR':>8}{'error':>8}{'paper':>8}"]
    for row in table(scores):
        paper = f"{row['paper']:8.2f}" if row["paper"] else f"{'-':>8}"
        lines.append(f"{row['strategy']:22}{row['psnr']:8.2f}{row['standard_error']:8.2f}{paper}")
    for worse, better in zip(ORDER[:-1], ORDER[1:], strict=True):
        if worse in scores and better in scores:
            gain = scores[better] - scores[worse]
            lines.append(f"{better} over {worse}: {gain.mean():+.2f} dB, standard error {standard_error(gain):.2f}")
    return "\n".join(lines)


def standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")

"""Does colour anchoring stop drift? The bundled world model with a cast added to each segment that it makes.

From one true frame the camera turns 150 degrees away and back. The pictures of every segment are made a little redder,
as large models make them, before they are remembered; so the next segments look back at drifted frames. Then the same
without the cast: anchoring must not hurt what needs no help. Colours are compared with the film that the model makes
without cast and anchor.

With --keep each film's figures are kept as soon as they are there, and not made again.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...memory.state.state import MemoryState
from ._host import load_host
from .world import Ledger

ANCHORS = (0.0, 0.5, 1.0)
CAST = (2.0, -0.5, -1.0)
"""Levels of 255 that every segment is further off than what it was made from."""

FIRST_SCENE = 70_000
"""Held-out seeds apart from those of the world model's exams."""

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench colour", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to this file")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep each film's figures here, and go on from there")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--strategies", nargs="+", default=["coverage", "recent"])
    parser.add_argument("--k", type=int, default=5, help="context frames, the most recent one included")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    load_host(cpu=not torch.cuda.is_available())
    ledger, films = Ledger(options.keep), Films(options.k)
    rows = []
    for scene in range(options.scenes):
        for strategy in options.strategies:
            for drifts in (True, False):
                for anchor in ANCHORS:
                    name = f"{strategy} {'drift' if drifts else 'none'} {anchor:g} scene {scene}"
                    ledger.get(name, partial(films.figures, scene, strategy, drifts, anchor))
    for strategy in options.strategies:
        for drifts in (True, False):
            for anchor in ANCHORS:
                row: dict[str, Any] = {"strategy": strategy, "drift": drifts, "anchor": anchor}
                prefix = f"{strategy} {'drift' if drifts else 'none'} {anchor:g} scene "
                for key in ("away", "back", "revisit"):
                    row[key], row[f"{key}_error"], row["films"] = ledger.mean(prefix, key)
                rows.append(row)
    log.info(told(rows))
    if options.json:
        content = {"rows": rows, "cast": CAST, "k": options.k}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


class Films:
    """Films of one strategy, each made once: of a scene, with the cast or without it, anchored or not."""

    def __init__(self, k: int) -> None:
        from .world_model.films import Painter

        self._painter, self._k = Painter(), k
        self._plain: dict[tuple[str, int], Any] = {}

    def figures(self, number: int, strategy: str, drifts: bool, anchor: float) -> dict[str, float]:
        """How far the mean colour is from the film's without cast and anchor (levels of 255, the worst channel) where
        the camera is turned away most and where it is back, and PSNR between the way out and the way back."""
        from .world_model.films import SEGMENT
        from .world_model.measures import pair_psnr

        if (strategy, number) not in self._plain:
            self._plain[strategy, number] = self._film(number, strategy, False, 0.0)
        plain = self._plain[strategy, number]
        film = plain if not drifts and not anchor else self._film(number, strategy, drifts, anchor)
        half = len(film) // 2
        middle, end = slice(half - SEGMENT, half + SEGMENT), slice(len(film) - SEGMENT, len(film))
        return {
            "away": colour_error(film[middle], plain[middle]),
            "back": colour_error(film[end], plain[end]),
            "revisit": pair_psnr(film[1:half], film[:half:-1][: half - 1]),
        }

    def _film(self, number: int, strategy: str, drifts: bool, anchor: float) -> Any:
        from ...film.colour import anchored
        from ...memory.retrieval.distances import distances
        from ...memory.retrieval.retrieve import retrieve
        from ...world.scenes import HELD_OUT_SEEDS, PLACES, make_scene
        from .world_model.films import HEIGHT, SEGMENT, WIDTH, TrueFilm, away_and_back, remember, settings_of

        scene = make_scene(HELD_OUT_SEEDS.start + FIRST_SCENE + number, PLACES[number % len(PLACES)])
        path = away_and_back(scene, False, np.random.default_rng([number, 5]))
        true, settings = TrueFilm(scene, path), settings_of(strategy, self._k, number)
        film = np.empty((len(path), HEIGHT, WIDTH, 3), np.uint8)
        film[0] = true.frames([0])[0]
        state = remember(MemoryState(), path[0:1])
        for start in range(1, len(path), SEGMENT):
            targets = path[start : start + SEGMENT]
            seen = np.sort(retrieve(state, targets, settings).indices)
            cameras = replace(path, poses=path.poses[seen], intrinsics=path.intrinsics[seen])
            past = film[seen], cameras.poses, cameras.intrinsics
            made = self._painter.paint(targets, past, true.caption(start), number * 100_003 + start)
            if drifts:
                made = (made + np.array(CAST)).round().clip(0, 255).astype(np.uint8)
            away = distances(state, targets, settings).depth
            film[start : start + len(made)] = anchored(made, targets, film[seen], cameras, anchor, away)
            state = remember(state, targets)
        return film


def colour_error(film: Any, truth: Any) -> float:
    """Difference of mean colour in the worst channel, levels of 255."""
    return float(np.abs(film.mean(axis=(0, 1, 2)) - truth.mean(axis=(0, 1, 2))).max())


def told(rows: list[dict[str, Any]]) -> str:
    """The table in words."""
    lines = [f"\n{'strategy':12}{'drift':>8}{'anchor':>8}{'away':>16}{'back':>16}{'revisit dB':>16}{'films':>7}"]
    for row in rows:
        cells = "".join(f"{row[key]:9.2f} ±{row[f'{key}_error']:5.2f}" for key in ("away", "back", "revisit"))
        lines.append(
            f"{row['strategy']:12}{'yes' if row['drift'] else 'no':>8}{row['anchor']:>8g}{cells}{row['films']:>7}"
        )
    return "\n".join(lines) + "\n"

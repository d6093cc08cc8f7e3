"""The bundled world model on held-out scenes: the tables of Context-as-Memory at toy scale, and guards beside them.

History comparison: from one true frame the camera turns 150 degrees away and back, in place and moving, and the return
is compared with the way out. Ground-truth comparison: the past is the true film, and the next segment is compared with
the true one. A ten-minute walk through joined rooms shows drift; pictures from captions alone show what words mean.
The part "unseen" looks where copying cannot help: at what no frame has seen (see `world_model.unseen`), beside the
truth and older weights.

Long, but resumable: with --keep every film's figures are kept as soon as they are there, and not made again. The part
"speed" is apart from the others, so that they may run beside other work and this one alone (--parts speed).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...memory.retrieval.strategies import STRATEGIES
from ._host import load_host

SIZES = (1, 5, 10, 20)
PARTS = ("history", "truth", "sizes", "walk", "captions", "unseen", "speed")
SPEED_SCENES = 3
PAPER = "fov_nonadjacent_far"
OURS = "coverage"
TABLE_1 = ("first", "random", "recent", "framepack", PAPER, OURS)
PAPER_TRUTH = {"first": 15.72, "random": 17.70, "recent": 17.63, "framepack": 17.20, PAPER: 20.22}
PAPER_SIZES = {1: 15.72, 5: 17.37, 10: 19.14, 20: 20.22}

log = logging.getLogger(__name__)
Values = dict[str, float]


class Ledger:
    """Figures by name, kept in a file of lines where one is given, so that a broken run goes on where it was."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.rows[row["name"]] = row["values"]

    def get(self, name: str, measure: Callable[[], Values]) -> Values:
        """The figures of that name, measured now if they never were."""
        if name not in self.rows:
            self.rows[name] = measure()
            log.info(f"{name}: " + "  ".join(f"{key} {value:.3g}" for key, value in self.rows[name].items()))
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": name, "values": self.rows[name]}) + "\n")
        return self.rows[name]

    def mean(self, prefix: str, key: str) -> tuple[float, float, int]:
        """Mean, its standard error and the number of the rows whose names begin so; not a number without any."""
        found = np.array([row[key] for name, row in self.rows.items() if name.startswith(prefix) and key in row])
        if not len(found):
            return float("nan"), float("nan"), 0
        error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else float("nan")
        return float(found.mean()), float(error), len(found)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench world", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write tables and figures to this file")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep each film's figures here, and go on from there")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="save sheets of frames, truth above")
    parser.add_argument("--weights", type=Path, help="another world model's file than the bundled one")
    parser.add_argument("--before", type=Path, help="older weights, for the part unseen; without it the bundled ones")
    parser.add_argument("--reader", type=Path, metavar="FILE", help="keep the network that reads surfaces in this file")
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--captions", type=int, default=64)
    parser.add_argument("--walks", type=int, default=1)
    parser.add_argument("--walk-frames", type=int, default=4800)
    parser.add_argument("--k", type=int, default=5, help="context frames, the most recent one included")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--strategies", nargs="+", default=[name for name in TABLE_1 if name in STRATEGIES])
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    load_host(cpu=not torch.cuda.is_available())
    from .world_model.exams import Exams
    from .world_model.sheets import side_by_side

    ledger = Ledger(options.keep)
    exams = Exams(ledger, options.weights, options.steps, options.k, options.pictures)
    for scene in range(options.scenes):
        for strategy in options.strategies:
            if "history" in options.parts:
                for moving in (False, True):
                    exams.history(scene, strategy, moving, options.k)
            if "truth" in options.parts:
                exams.truth(scene, strategy, options.k)
        if options.pictures is not None and "history" in options.parts:
            for kind in ("in-place", "moving"):
                side_by_side(options.pictures, scene, kind, options.strategies, options.k)
        if "sizes" in options.parts:
            for size in SIZES:
                exams.history(scene, OURS, False, size)
                exams.truth(scene, OURS, size)
    if "speed" in options.parts:
        for size in SIZES:
            exams.speed(0, False, size)
        for scene in range(min(SPEED_SCENES, options.scenes)):
            exams.speed(scene, False, options.k)
            exams.speed(scene, True, options.k)
    if "captions" in options.parts:
        for number in range(options.captions):
            exams.caption(number)
    if "walk" in options.parts:
        for number in range(options.walks):
            exams.walk(number, options.walk_frames)
    tables = tables_of(ledger, options)
    found = figures(ledger, options.k)
    if "unseen" in options.parts:
        found |= unseen_figures(exams.painter, options)
    log.info(told(tables))
    log.info("\n".join(f"{name:28}{value:8.3f}" for name, value in found.items()))
    if options.json:
        content = {"figures": found, "tables": tables, "options": {"k": options.k, "steps": options.steps}}
        options.json.write_text(json.dumps(_finite(content), indent=2) + "\n", encoding="utf-8")
    return 0


def unseen_figures(painter: Any, options: argparse.Namespace) -> Values:
    """What the painter makes of the never seen, beside older weights, and how well the network reads that judges it."""
    from .world_model.exams import FIRST_SCENE
    from .world_model.films import Painter
    from .world_model.surface_reader import accuracy, kept_reader
    from .world_model.unseen import Records, measured

    reader = kept_reader(options.reader)
    folder = None if options.keep is None else options.keep.with_suffix(".unseen")
    seeds = range(FIRST_SCENE, FIRST_SCENE + options.scenes)
    before = painter if options.before == options.weights else Painter(options.before, options.steps)
    return accuracy(reader) | measured(painter, before, reader, seeds, options.k, Records(folder))


def _finite(value: Any) -> Any:
    """JSON knows no "not a number": null."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def tables_of(ledger: Ledger, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Table 1 (and with it 3: strategies), and table 2 (number of context frames)."""
    rows = []
    for strategy in (*options.strategies, "copy first frame", "static video"):
        place, moving = (f"history {strategy} k{options.k} {kind} " for kind in ("in-place", "moving"))
        truth = f"truth {strategy} k{options.k} "
        row: dict[str, Any] = {"strategy": strategy, "paper": PAPER_TRUTH.get(strategy)}
        for name, prefix, key in (
            ("revisit_in_place", place, "revisit"),
            ("revisit_moving", moving, "revisit"),
            ("end_vs_start", f"history {strategy} k{options.k} ", "end"),
            ("truth", truth, "psnr"),
            ("sharpness", f"history {strategy} k{options.k} ", "sharpness"),
            ("truth_sharpness", truth, "sharpness"),
            ("motion", f"history {strategy} k{options.k} ", "motion"),
        ):
            row[name], row[f"{name}_error"], row[f"{name}_films"] = ledger.mean(prefix, key)
        rows.append(row)
    sizes = []
    for size in SIZES:
        prefix = f"history {OURS} k{size} in-place "
        row = {"context": size, "paper": PAPER_SIZES[size]}
        for name, start, key in (
            ("revisit_in_place", prefix, "revisit"),
            ("truth", f"truth {OURS} k{size} ", "psnr"),
            ("ms_per_frame", f"speed k{size} in-place ", "ms"),
        ):
            row[name], row[f"{name}_error"], row[f"{name}_films"] = ledger.mean(start, key)
        sizes.append(row)
    return {"strategies": rows, "context_size": sizes}


def figures(ledger: Ledger, k: int) -> dict[str, float]:
    """The figures by their fixed names; not a number where a part was left out."""

    def revisit(strategy: str) -> float:
        return ledger.mean(f"history {strategy} k{k} ", "revisit")[0]

    ours = f"history {OURS} k{k} "
    painted = [row["ms"] for name, row in ledger.rows.items() if name.startswith(f"speed k{k} ")]
    found = {f"revisit_psnr_{name}": revisit(PAPER if name == "paper" else name) for name in
             ("coverage", "paper", "random", "recent", "framepack", "first")}  # fmt: skip
    found |= {
        "revisit_gain_over_recent": found["revisit_psnr_coverage"] - found["revisit_psnr_recent"],
        "gt_psnr_coverage": ledger.mean(f"truth {OURS} k{k} ", "psnr")[0],
        "sharpness": ledger.mean(ours, "sharpness")[0],
        "gt_sharpness": ledger.mean(f"truth {OURS} k{k} ", "sharpness")[0],
        "end_vs_start_psnr": ledger.mean(ours, "end")[0],
        "motion": ledger.mean(ours, "motion")[0],
        "ms_per_frame": float(np.median(painted)) if painted else float("nan"),
        "caption_accuracy": ledger.mean("caption ", "right")[0],
        "caption_accuracy_truth": ledger.mean("caption ", "right_truth")[0],
        "caption_accuracy_chance": ledger.mean("caption ", "right_by_chance")[0],
    }
    for key in ("long_revisit_psnr", "long_sharpness_kept", "long_colour_change", "long_contrast_change"):
        found[key] = ledger.mean("walk ", key)[0]
    return found


def told(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Both tables in words."""

    def cell(row: dict[str, Any], name: str, digits: int = 2) -> str:
        value, error = row[name], row[f"{name}_error"]
        return f"{value:9.{digits}f} ±{error:5.{digits}f}" if np.isfinite(value) else f"{'-':>16}"

    heads = ("in place", "moving", "end/start", "truth", "sharpness", "motion")
    lines = [f"\n{'strategy':22}" + "".join(f"{head:>16}" for head in heads)]
    for row in tables["strategies"]:
        names = ("revisit_in_place", "revisit_moving", "end_vs_start", "truth", "sharpness", "motion")
        lines.append(f"{row['strategy']:22}" + "".join(cell(row, name) for name in names))
    lines.append(f"\n{'context frames':22}{'revisit':>16}{'truth':>16}{'ms a frame':>16}")
    for row in tables["context_size"]:
        names = ("revisit_in_place", "truth", "ms_per_frame")
        lines.append(f"{row['context']:<22}" + "".join(cell(row, name) for name in names))
    return "\n".join(lines) + "\n"

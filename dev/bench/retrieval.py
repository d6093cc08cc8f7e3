"""How much of what a segment will show the chosen frames show, against the best choice there is; and how fast.

Quality: seeded floor plans whose walls only the oracle knows, smooth walks of 1,000 to 3,000 frames through them, and
for a segment of 81 frames the share of its surface points that the k chosen frames cover, divided by the share that
greedy set cover with truth reaches at the same k (`retrieval_truth/oracle.py` has the definitions). All our
strategies, through `retrieve`, and the best published rules beside them. With depth: 32 columns a frame, true and
noisy.

The same for films whose cameras move in other ways (`retrieval_truth/camera_kinds.py`: a slow dolly, a drone, zooms, a
crane and so on), in three dimensions, with a plain greedy rule beside. What counts there is that no other rule is
better at any kind: `coverage_worst_kind_gap` is the most by which one is, over all kinds and both k. Constants of
`memory/retrieval` were fitted to seeds below 300 alone.

Time: memories of a thousand to a million frames of a walk in a large plan; the median over segments.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...memory.cameras.camera import intrinsics_from_fov
from ...memory.cameras.trajectory import Trajectory
from ...memory.retrieval.retrieve import retrieve
from ...memory.retrieval.settings import RetrievalSettings
from ...memory.retrieval.strategies import STRATEGIES
from .retrieval_truth.camera_kinds import CAMERA_KINDS
from .retrieval_truth.cases import ASPECT, FPS, SEGMENT, Case, camera_cases, cases
from .retrieval_truth.memories import NOISE, SCALE_ERROR, coming, depth_of, memory
from .retrieval_truth.picture import draw
from .retrieval_truth.published import RULES, plain_greedy
from .retrieval_truth.walks import long_walk

FIRST = 300
"""The seeds that are reported begin here; those below were looked at while the rules were made."""

COUNTS = (5, 10, 20)
COUNTS_OF_KINDS = (5, 20)
RIVALS = {**RULES, "plain greedy": plain_greedy}
SIZES = (1_000, 10_000, 100_000, 1_000_000)
DEPTH = "coverage, depth"
DEPTHS = {
    DEPTH: (0.0, 0.0),
    f"coverage, depth off {NOISE:.0%}": (NOISE, 0.0),
    f"coverage, depth off {NOISE:.0%}, scale {SCALE_ERROR:.0%}": (NOISE, SCALE_ERROR),
}
Scores = dict[tuple[str, int], list[tuple[str, float]]]

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench retrieval", description="Retrieval against the truth, and its time.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw one floor plan with the chosen frames")
    parser.add_argument("--worlds", type=int, default=8, help="floor plans of each kind and field of view")
    parser.add_argument("--first", type=int, default=FIRST, help="seed of the first of them")
    parser.add_argument("--films", type=int, default=4, help="seeds of films of each other camera kind, three a seed")
    parser.add_argument("--kinds", nargs="*", default=list(CAMERA_KINDS), choices=list(CAMERA_KINDS),
                        help="camera kinds to look at")
    parser.add_argument("--frames", type=int, nargs="*", default=list(SIZES), help="sizes of memory to time")
    arguments = parser.parse_args(argv)
    chosen = list(cases(range(arguments.first, arguments.first + arguments.worlds)))
    log.info(f"{len(chosen)} segments in {6 * arguments.worlds} floor plans, {os.cpu_count()} CPUs")
    rows = quality_rows(quality(chosen))
    for row in rows:
        log.info(line(row))
    kinds = []
    for kind in arguments.kinds if arguments.films else ():
        kinds.append(kind_row(camera_cases(range(arguments.first, arguments.first + arguments.films), [kind])))
        log.info(kind_line(kinds[-1]))
    times = [timed(frames) for frames in arguments.frames]
    for timing in times:
        log.info("{frames:>9} frames: {median_ms:6.2f} ms a segment, {worst_ms:6.2f} at worst, {bytes_per_frame:.0f} "
                 "bytes a frame, memory made in {made_s:.1f} s".format(**timing))
    if arguments.picture:
        draw(chosen[len(chosen) // 2], arguments.picture)
    if arguments.json:
        content = {"rows": rows, "kinds": kinds, "times": times, "figures": figures(rows, kinds, times)}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def quality(chosen: Sequence[Case]) -> Scores:
    """For each name and k the kind of plan and the ratio to the oracle of every case."""
    scores: Scores = {}

    def note(name: str, k: int, case: Case, ratio: float) -> None:
        scores.setdefault((name, k), []).append((case.kind, ratio))

    for number, case in enumerate(chosen):
        best = {k: case.best(k) for k in COUNTS}
        state, path = memory(case.past, case.lenses), coming(case)
        for k in COUNTS:
            for name in STRATEGIES:
                found = retrieve(state, path, RetrievalSettings(name, k=k))
                note(name, k, case, case.share([int(i) for i in found.indices]) / best[k])
            for name, rule in RULES.items():
                found_by_rule = rule(case, k, np.random.default_rng([number, k]))
                note(name, k, case, case.share(found_by_rule) / best[k])
        for name, (noise, scale_error) in DEPTHS.items():
            depth = depth_of(case, noise, scale_error, np.random.default_rng(number))
            known = memory(case.past, case.lenses, depth)
            for k in COUNTS:
                found = retrieve(known, path, RetrievalSettings(k=k))
                note(name, k, case, case.share([int(i) for i in found.indices]) / best[k])
    return scores


def kind_row(chosen: Iterable[Case]) -> dict[str, Any]:
    """Of cases of one camera kind the mean ratio to the oracle of each rule, ``name k``, and of `coverage` with depth;
    the best of the other rules, and by how much it is better, at each k."""
    found: dict[str, list[float]] = {}
    kind, number = "", -1
    for number, case in enumerate(chosen):
        kind = case.kind
        state, path = memory(case.past, case.lenses), coming(case)
        known = memory(case.past, case.lenses, depth_of(case, 0.0, 0.0, np.random.default_rng(number)))
        for k in COUNTS_OF_KINDS:
            asked = {name: (state, RetrievalSettings(name, k=k)) for name in STRATEGIES}
            choices = {name: retrieve(of, path, how).indices.tolist() for name, (of, how) in asked.items()}
            choices[DEPTH] = retrieve(known, path, RetrievalSettings(k=k)).indices.tolist()
            choices |= {name: rule(case, k, np.random.default_rng([number, k])) for name, rule in RIVALS.items()}
            for name, indices in choices.items():
                found.setdefault(f"{name} {k}", []).append(case.share(indices) / case.best(k))
    means = {name: float(np.mean(ratios)) for name, ratios in found.items()}
    row: dict[str, Any] = {"kind": kind, "cases": number + 1, **means}
    for k in COUNTS_OF_KINDS:
        others = [name for name in (*STRATEGIES, *RIVALS) if name != "coverage"]
        row[f"best other {k}"] = max(others, key=lambda name: float(row[f"{name} {k}"]))
        row[f"gap {k}"] = row[f"{row[f'best other {k}']} {k}"] - row[f"coverage {k}"]
    return row


def kind_line(row: dict[str, Any]) -> str:
    parts = [f"{row['kind']:14} {row['cases']:3} segments"]
    for k in COUNTS_OF_KINDS:
        other = row[f"best other {k}"]
        parts.append(f"k={k}: coverage {row[f'coverage {k}']:.3f}, with depth {row[f'{DEPTH} {k}']:.3f}, best other "
                     f"{row[f'{other} {k}']:.3f} ({other})")
    return "  ".join(parts)


def quality_rows(scores: Scores) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for name, _ in scores):
        row: dict[str, Any] = {"name": name, "published": name in RULES}
        for k in COUNTS:
            ratios = np.array([ratio for _, ratio in scores[name, k]])
            row[f"mean{k}"] = float(ratios.mean())
            row[f"p10_{k}"] = float(np.percentile(ratios, 10))
            for kind in dict.fromkeys(kind for kind, _ in scores[name, k]):
                row[f"{kind}{k}"] = float(np.mean([ratio for where, ratio in scores[name, k] if where == kind]))
        rows.append(row)
    return sorted(rows, key=lambda row: float(row["mean20"]))


def line(row: dict[str, Any]) -> str:
    parts = [f"{row['name']:38}"]
    for k in COUNTS:
        parts.append(f"k={k}: {row[f'mean{k}']:.3f} ({row[f'p10_{k}']:.3f})")
    kinds = [f"{key[:-2]} {value:.3f}" for key, value in row.items() if key in ("open20", "rooms20", "corridor20")]
    return "  ".join([*parts, *kinds])


def timed(frames: int, segments: int = 40) -> dict[str, float]:
    """Median time of `retrieve` for segments of 81 coming cameras, from a memory of ``frames``, its index made."""
    random = np.random.default_rng(frames)
    lens = intrinsics_from_fov(52.67, ASPECT)
    poses = long_walk(frames + SEGMENT, random)
    begin = time.perf_counter()
    state = memory(poses[:frames], lens)
    made = time.perf_counter() - begin
    seconds = []
    for number in range(segments + 3):
        start = int(random.integers(0, frames - SEGMENT)) if number % 4 else frames
        part = poses[start : start + SEGMENT].copy()
        part[:, [0, 2], 3] += random.normal(0.0, 0.3, 2)
        path = Trajectory(part, lens, FPS)
        begin = time.perf_counter()
        retrieve(state, path, RetrievalSettings(k=20))
        seconds.append(time.perf_counter() - begin)
    warm = np.array(seconds[3:])
    return {
        "frames": frames,
        "median_ms": float(np.median(warm)) * 1e3,
        "worst_ms": float(warm.max()) * 1e3,
        "made_s": made,
        "bytes_per_frame": state.nbytes / frames,
    }


def figures(
    rows: Sequence[dict[str, Any]], kinds: Sequence[dict[str, Any]], times: Sequence[dict[str, float]]
) -> dict[str, float]:
    """The figures by the names that are compared from one version to the next."""
    result: dict[str, float] = {}
    if rows:
        by_name = {row["name"]: row for row in rows}
        ours, deep = by_name["coverage"], by_name[DEPTH]
        published = [row for row in rows if row["published"]]
        result |= {
            "coverage20": ours["mean20"],
            "coverage5": ours["mean5"],
            "coverage20_p10": ours["p10_20"],
            "coverage20_depth": deep["mean20"],
            "coverage5_depth": deep["mean5"],
            "best_published20": max(row["mean20"] for row in published),
            "best_published5": max(row["mean5"] for row in published),
        }
    if kinds:
        for k in COUNTS_OF_KINDS:
            result[f"coverage{k}_kinds"] = float(np.mean([row[f"coverage {k}"] for row in kinds]))
            result[f"coverage{k}_kinds_depth"] = float(np.mean([row[f"{DEPTH} {k}"] for row in kinds]))
        result["coverage_worst_kind_gap"] = max(row[f"gap {k}"] for row in kinds for k in COUNTS_OF_KINDS)
        result["depth_worst_kind_loss"] = max(
            row[f"coverage {k}"] - row[f"{DEPTH} {k}"] for row in kinds for k in COUNTS_OF_KINDS
        )
    for timing in times:
        result[f"ms_1e{round(np.log10(timing['frames']))}"] = timing["median_ms"]
    if times:
        result["bytes_per_frame"] = times[-1]["bytes_per_frame"]
    return result

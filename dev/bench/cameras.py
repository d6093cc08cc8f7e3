"""What camera paths cost: reading files of 100,000 cameras in each layout, sampling a spline of a million frames, and
the frames a second that the editor keeps while a camera is dragged.

The files are made from one known walk by each layout's published convention (`_camera_samples`), and what is read is
compared with the walk. Times are wall times with the files in the disk cache, the best of the repeats: other work on
the machine only ever adds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...memory.camera_files import READABLE, read_trajectory
from ...memory.cameras.interpolate import interpolate_intrinsics, interpolate_poses
from ...memory.cameras.trajectory import Trajectory
from ._camera_samples import SAMPLES, Files, known_cameras, tum_uneven

KEYS = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    what: str
    value: float | None
    unit: str
    how: str

    def line(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.3f}"
        return f"{self.what:28}{value:>14}  {self.unit:8}{self.how}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench cameras", description="What camera paths cost.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--poses", type=int, default=100_000, help="cameras in each file")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the spline")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-editor", action="store_true", help="leave the browser out")
    arguments = parser.parse_args(argv)
    # The samples have a little lens distortion, and each reading of them would say that it is left out.
    logging.getLogger(read_trajectory.__module__.rpartition(".")[0]).setLevel(logging.WARNING)
    reading = [shown(row) for row in read_rows(arguments.poses, arguments.repeats)]
    spline = shown(spline_row(arguments.frames, arguments.repeats))
    editor = [] if arguments.no_editor else [shown(row) for row in editor_rows()]
    if arguments.json:
        content = {
            "rows": [asdict(row) for row in (*reading, spline, *editor)],
            "figures": {
                "read_100k_s_max": max(row.value for row in reading if row.value is not None),
                "spline_1e6_s": spline.value,
                "editor_fps": slowest_editor(editor),
            },
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def slowest_editor(rows: Sequence[Row]) -> float | None:
    """Frames a second while dragging, in the slower of the classic canvas and Nodes 2.0; None if not measured."""
    rates = [row.value for row in rows if row.what.startswith("editor_fps") and row.value is not None]
    return min(rates, default=None)


def read_rows(frames: int, repeats: int) -> Iterator[Row]:
    """Reads a file of each layout, recognised by its content, and checks what came of it."""
    poses, lens = known_cameras(frames)
    for name in READABLE:
        files = SAMPLES[name](poses, lens)
        path, seconds = timed_read(files, repeats, camera="cam02" if name == "ReCamMaster" else "")
        error = float(np.abs(path.poses - poses).max())
        if len(path) != frames or error > 1e-6:
            raise RuntimeError(f"{name} came back with {len(path)} cameras, off by {error:g}.")
        size = sum(map(len, files.values())) / 1e6
        yield Row(f"read {name}", seconds, "s", f"{frames} cameras, {size:.0f} MB, off by at most {error:.0e}")
    path, seconds = timed_read(tum_uneven(poses, lens), repeats)
    yield Row("read TUM, uneven times", seconds, "s", f"{frames} cameras, made even along splines")


def timed_read(files: Files, repeats: int, camera: str = "") -> tuple[Trajectory, float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in files]
        for path, data in zip(paths, files.values(), strict=True):
            path.write_bytes(data)
        read: list[Trajectory] = []
        seconds = best(lambda: read.__setitem__(slice(None), [read_trajectory(paths[0], camera=camera)]), repeats)
        return read[0], seconds


def spline_row(frames: int, repeats: int) -> Row:
    """A path through keyframes as frames: rotations by slerp, positions and lenses along C2 splines, and the checks
    that every path goes through."""
    poses, lens = known_cameras(KEYS)
    lenses = lens * np.linspace(1.0, 1.5, KEYS)[:, None] ** (1, 1, 0, 0)
    times = np.arange(KEYS, dtype=np.float64)
    at = np.linspace(0.0, KEYS - 1.0, frames)
    seconds = best(
        lambda: Trajectory(interpolate_poses(times, poses, at), interpolate_intrinsics(times, lenses, at), 24.0),
        repeats,
    )
    return Row(f"spline of {frames:.0e} frames", seconds, "s", f"{KEYS} keyframes with zoom, to a checked path")


def editor_rows() -> list[Row]:
    """The editor's frames a second in a real browser; a row without a value where none can be started."""
    try:
        meter = importlib.import_module("._editor_meter", __package__)
    except ModuleNotFoundError as missing:
        return [Row("editor_fps", None, "fps", f"there is no meter of the editor: {missing}")]
    try:
        measured: dict[str, float] = meter.editor_fps()
    except Exception as error:  # noqa: BLE001
        return [Row("editor_fps", None, "fps", f"no browser could be started: {error}")]
    return [
        Row(name, value if math.isfinite(value) else None, "ms" if "_ms" in name else "", "in a real browser")
        for name, value in measured.items()
    ]


def best(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the quickest run."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def shown(row: Row) -> Row:
    log.info(row.line())
    return row

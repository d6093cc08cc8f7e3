"""What a memory bank costs: appending a segment, reading frames, bytes on disk and in RAM, opening a very long film.

Segments are 81 frames of 832x480, rendered by the world's renderer with the soft edges and mild grain of a video
model's frames (`bench frame_codings` has the other codings on the same pictures). The film of a million frames has
real segment files, packs and a head, written by the bank's own code; its pictures are small, for opening reads none.

Times are wall times on this machine with its disk cache warm; each row says what was measured and which run counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...memory.bank.bank import Bank
from ...memory.bank.commit import replace_head
from ...memory.bank.packs import packed
from ...memory.bank.segment_file import describe_segment, encode_segment
from ...memory.cameras.presets import make_preset
from ...memory.cameras.trajectory import Trajectory
from ...memory.state.state import MemoryState, SegmentBatch
from .frame_codings import FRAMES, shot

READ, TINY = 20, 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    what: str
    value: float
    unit: str
    how: str

    def line(self) -> str:
        return f"{self.what:34}{self.value:14.3f}  {self.unit:10}{self.how}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench bank", description="What a memory bank costs.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--folder", type=Path, help="where the banks are made; a temporary folder if left out")
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of the long film")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows += segments(Path(folder), arguments.repeats)
        rows += long_film(Path(folder), arguments.frames, arguments.repeats)
    if arguments.json:
        content = {"rows": [asdict(row) for row in rows], "figures": figures(rows)}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0


def segments(folder: Path, repeats: int) -> list[Row]:
    """Appends and reads segments of 81 frames of 832x480."""
    bank = Bank.create(folder, "real")
    frames, path = shot(FRAMES), camera_path(FRAMES)
    state, times = bank.load(), []
    for number in range(repeats):
        pictures = np.roll(frames, 7 * number, axis=2)
        begin = time.perf_counter()
        state = bank.append(state, frames=pictures, trajectory=path, shot=0, prompt="a courtyard at noon")
        times.append(time.perf_counter() - begin)
    random = np.random.default_rng(0)
    size = state.frames
    near = typical(lambda: state.read_frames(size - FRAMES + random.permutation(FRAMES)[:READ]), repeats)
    far = typical(lambda: state.read_frames(random.permutation(size)[:READ]), repeats)
    many = f"of {repeats} appends in a row, flushed to the disk each"
    checked = f"decoded and sha256 checked, median of {repeats}"
    return shown([
        Row("append 81 frames", statistics.median(times) * 1e3, "ms", f"median {many}"),
        Row("disk", bank.size_bytes() / size, "B/frame", f"all files of the bank / {size} frames of 832x480"),
        Row("disk, raw", 832 * 480 * 3, "B/frame", "the same frames uncoded"),
        Row("read 20 of a segment", near * 1e3, "ms", f"any 20 of 81, {checked}"),
        Row("read 20 of the film", far * 1e3, "ms", f"any 20 of {size}, {checked}"),
    ])


def long_film(folder: Path, frames: int, repeats: int) -> list[Row]:
    """Makes and opens a film of very many frames."""
    begin = time.perf_counter()
    bank = Bank.create(folder, "long")
    made = make_long(bank, frames)
    making = time.perf_counter() - begin
    opened: list[MemoryState] = []
    seconds = typical(lambda: opened.__setitem__(slice(None), [Bank.open(folder, "long").load()]), min(repeats, 3))
    if opened[0] != made:
        raise RuntimeError("The long film did not come back.")
    state = opened[0]
    path = camera_path(FRAMES)
    tiny = np.zeros((FRAMES, TINY, TINY, 3), dtype=np.uint8)
    begin = time.perf_counter()
    bank.append(state, frames=tiny, trajectory=path, shot=0)
    appended = time.perf_counter() - begin
    count = len(made.segments)
    return shown([
        Row(f"make {frames:.0e} frames", making, "s", f"{count} segments of {TINY}x{TINY} pixels, not flushed"),
        Row(f"open {frames:.0e} frames", seconds, "s", "Bank.open and load, cameras and packs checked, median of 3"),
        Row("state", made.nbytes / frames, "B/frame", f"of {frames} frames, in RAM, without the index"),
        Row("append to it", appended * 1e3, "ms", f"81 frames of {TINY}x{TINY}, one run"),
    ])


def make_long(bank: Bank, frames: int) -> MemoryState:
    """A film of at least ``frames`` small frames along a winding walk: the bank's own files, only not flushed one by
    one."""
    random = np.random.default_rng(1)
    state, place, heading = bank.empty(), np.zeros(3), 0.0
    for number in range(-(-frames // FRAMES)):
        heading += float(random.normal(0, 40))
        path = camera_path(FRAMES, amount=float(random.uniform(20, 90)), heading=heading, place=place)
        place = path.poses[-1, :3, 3] + random.normal(0, 0.5, 3) * (1, 0, 1)
        pictures = np.full((FRAMES, TINY, TINY, 3), number % 251, dtype=np.uint8)
        record, tensors = describe_segment(
            state, pictures, path, shot=number // 5, prompt=f"room {number // 5}", info={"seed": number},
        )
        with open(bank.segments_path / f"{record.id}.safetensors", "wb") as file:
            file.writelines(encode_segment(record, tensors, pictures))
        times = state.end_time + np.arange(FRAMES) / path.fps
        state = packed(bank.path / "packs", state.with_batch(SegmentBatch(
            [record.id], [state.frames], [record.shot], [record.text], record.size, record.fps, None,
            path.poses[:, :3], path.intrinsics, times,
        )))
    replace_head(bank.path, state)
    return state


def camera_path(
    frames: int, amount: float = 40.0, heading: float = 0.0, place: np.ndarray | None = None
) -> Trajectory:
    """A pan of ``amount`` degrees from a heading and a place, at 16 frames a second."""
    path = make_preset("pan", frames=frames, fps=16.0, amount=amount, fov=60.0, aspect=832 / 480)
    turn, angle = np.eye(4), np.deg2rad(heading)
    turn[[0, 0, 2, 2], [0, 2, 0, 2]] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    turn[:3, 3] = np.zeros(3) if place is None else place
    return Trajectory(turn @ path.poses, path.intrinsics, path.fps)


def typical(run: Callable[[], object], repeats: int) -> float:
    """Median seconds of a run."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def shown(rows: list[Row]) -> list[Row]:
    for row in rows:
        log.info(row.line())
    return rows


def figures(rows: Sequence[Row]) -> dict[str, float]:
    by_name = {row.what: row.value for row in rows}
    result = {
        "append_ms": by_name["append 81 frames"],
        "disk_bytes_per_frame": by_name["disk"],
        "read20_ms": max(by_name["read 20 of a segment"], by_name["read 20 of the film"]),
    }
    opened = [row.value for row in rows if row.what.startswith("open ")]
    return {**result, "open_1e6_s": opened[0], "state_bytes_per_frame": by_name["state"]}

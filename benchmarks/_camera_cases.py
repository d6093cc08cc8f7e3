"""Small camera files of strangers' kinds, and what each must become: a path known by hand, or a refusal in words.

For the tests and `bench trust`. Nothing here is read by the pack's own readers: poses are written down, or worked out
with numpy from the convention that the writing program publishes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..memory.camera_files import CameraFileError, read_trajectory

Array = np.ndarray[Any, Any]

ANYTHING = "*"
"""For `Case.told`: it does not matter what is told."""


@dataclass(frozen=True)
class Case:
    """Files, of which the first is read, and what must come of them.

    ``poses`` (F, 4, 4), to within ``near``, and ``fps`` of the path where it is read, and ``lens`` (4,) or (F, 4); or
    ``refused``, words of the refusal. ``told`` are words that the artist must be told, "" where nothing may be.
    """

    files: dict[str, bytes]
    poses: Array | None = None
    lens: Array | None = None
    fps: float = 0.0
    refused: str = ""
    told: str = ""
    near: float = 1e-6
    settings: dict[str, Any] = field(default_factory=dict)


def faults(case: Case, folder: Path) -> list[str]:
    """What is wrong with how ``case`` is read, its files written to ``folder``; empty if nothing is."""
    for name, data in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    told: list[str] = []
    try:
        path = read_trajectory(folder / next(iter(case.files)), tell=told.append, **case.settings)
    except CameraFileError as refusal:
        right = bool(case.refused) and case.refused in str(refusal)
        return [] if right else [f"it is refused: {refusal}"]
    if case.poses is None:
        return [f"it is read, as {len(path)} frames"]
    found = []
    if len(path) != len(case.poses):
        found.append(f"{len(path)} frames instead of {len(case.poses)}")
    elif np.abs(path.poses - case.poses).max() > case.near:
        frame = int(np.argmax(np.abs(path.poses - case.poses).max(axis=(1, 2))))
        found.append(f"frame {frame} is {path.poses[frame, :3].tolist()}, not {case.poses[frame, :3].tolist()}")
    if case.fps and abs(path.fps - case.fps) > 1e-6 * case.fps:
        found.append(f"{path.fps:g} frames a second instead of {case.fps:g}")
    if case.lens is not None and np.abs(path.intrinsics - case.lens).max() > 1e-6:
        found.append(f"the lens is {path.intrinsics[0].tolist()}, not {case.lens.tolist()}")
    if case.told != ANYTHING and (case.told not in " ".join(told) or bool(told) != bool(case.told)):
        found.append(f"told was {told}, not {case.told!r}")
    return found


def poses_at(places: Sequence[Sequence[float]], turns: Rotation | None = None) -> Array:
    """Poses (F, 4, 4) at places (F, 3) of our axes (x right, y down, z forward), level and looking ahead."""
    result = np.tile(np.eye(4), (len(places), 1, 1))
    result[:, :3, 3] = places
    if turns is not None:
        result[:, :3, :3] = turns.as_matrix()
    return result


def text(lines: Sequence[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def tum(times: Sequence[object], x: Sequence[float]) -> dict[str, bytes]:
    return {"walk.txt": text([f"{time} {place} 0 0 0 0 0 1" for time, place in zip(times, x, strict=True)])}


def realestate(stamps: Sequence[object], z: Sequence[float]) -> dict[str, bytes]:
    """World-to-camera, so a camera at z has -z in its matrix."""
    rows = [f"{stamp} .6 1.06 .5 .5 0 0 1 0 0 0 0 1 0 0 0 0 1 {-place}" for stamp, place in zip(stamps, z, strict=True)]
    return {"clip.txt": text(["https://x", *rows])}


def along_x(x: Sequence[float]) -> Array:
    return poses_at([[place, 0, 0] for place in x])


def along_z(z: Sequence[float]) -> Array:
    return poses_at([[0, 0, place] for place in z])


STEPS = [0.0, 0.5, 1.0, 1.5, 2.0]
NINE = [0.1 * i for i in range(9)]
LENS_OF_NINE = np.array([0.6, 1.06, 0.5, 0.5])


def timed_cases() -> Iterator[tuple[str, Case]]:
    yield "frame numbers for microseconds", Case(
        realestate(range(9), NINE), along_z(NINE), LENS_OF_NINE, 24.0, told="counts frames"
    )
    yield "frame numbers at the film's rate", Case(
        realestate(range(9), NINE), along_z(NINE), LENS_OF_NINE, 16.0, told="16 a second", settings={"fps": 16.0}
    )
    yield "every fourth frame", Case(realestate(range(3, 39, 4), NINE), along_z(NINE), fps=24.0, told="counts frames")
    yield "frame numbers with a gap", Case(
        realestate([0, 1, 2, 3, 6, 7, 8, 9], [0, 1, 2, 3, 6, 7, 8, 9]),
        along_z(range(10)), fps=24.0, told="counts frames",
    )  # fmt: skip
    yield "milliseconds for microseconds", Case(
        realestate(range(0, 360, 40), NINE), along_z(NINE), fps=25.0, told="taken as milliseconds"
    )
    yield "microseconds", Case(realestate(range(0, 360000, 40000), NINE), along_z(NINE), LENS_OF_NINE, 25.0)
    yield "nanoseconds for seconds", Case(
        tum([f"{1656423513513347328 + 40000000 * i}.000000" for i in range(5)], STEPS),
        along_x(STEPS), fps=25.0, told="taken as nanoseconds",
    )  # fmt: skip
    yield "microseconds for seconds", Case(
        tum([1656423513513347 + 40000 * i for i in range(5)], STEPS),
        along_x(STEPS), fps=25.0, told="taken as microseconds",
    )  # fmt: skip
    yield "milliseconds for seconds", Case(
        tum([1656423513513 + 40 * i for i in range(5)], STEPS), along_x(STEPS), fps=25.0, told="taken as milliseconds"
    )
    yield "seconds", Case(tum(STEPS, STEPS), along_x(STEPS), fps=2.0)
    yield "times that are none", Case(tum([i * 1e-7 for i in range(5)], STEPS), refused="no step of a camera")
    yield "one time twice", Case(
        tum([0, 0.5, 1.0, 1.0, 1.5, 2.0], [0, 0.5, 9, 1.0, 1.5, 2.0]), along_x(STEPS), fps=2.0,
        told="1 camera had the time of another",
    )  # fmt: skip
    yield "times turned round", Case(
        tum(STEPS[::-1], STEPS[::-1]), along_x(STEPS), fps=2.0, told="not in the order of their times"
    )
    yield "a time twice, in a clip", Case(
        realestate([0, 40000, 80000, 80000, 120000], [0, 1, 7, 2, 3]), along_z(range(4)), fps=25.0, told="1 camera had"
    )
    lost = tum([0, 0.5, 1.0, 1.5, 2.0], STEPS)["walk.txt"].replace(
        b"1.0 1.0 0 0 0 0 0 1", b"1.0 nan nan nan nan nan nan nan")  # fmt: skip
    yield "a lost frame", Case({"walk.txt": lost}, along_x(STEPS), fps=0.0, told="1 camera of 5 were lost",
                               settings={"fps": 2.0})  # fmt: skip
    yield "only lost frames", Case(
        {"walk.txt": b"0 nan nan nan nan nan nan nan\n"}, refused="all its cameras are lost"
    )
    times = np.arange(0.0, 6.0 + 1e-9, 1 / 24)
    yield "a rest of four seconds", Case(
        tum([0, 0.5, 1, 5, 5.5, 6], [0, 0.5, 1, 1, 1.5, 2]),
        along_x(np.where(times < 1.0, times, np.where(times < 5.0, 1.0, times - 4.0)).tolist()),
        told="made even", near=0.12, settings={"fps": 24.0},
    )  # fmt: skip
    turn = "0.5 0.5 0.5 0.5"  # x y z w
    swapped = Rotation.from_quat([0.5, 0.5, 0.5, 0.5])
    for name, head, row in (
        ("w first", "#timestamp [ns],p_x,p_y,p_z,q_w,q_x,q_y,q_z", "1.0,0.0,0.0,0.0"),
        ("w first between spaces", "# timestamp tx ty tz qw qx qy qz", "1.0 0.0 0.0 0.0"),
        ("w last", "# timestamp tx ty tz qx qy qz qw", "0.0 0.0 0.0 1.0"),
    ):
        comma = "," in row
        rows = [f"{1403636579763555584 + 50000000 * i} {0.5 * i} 0 0 " for i in range(5)]
        rows = [one.replace(" ", ",") + row if comma else one + row for one in rows]
        yield f"named columns, {name}", Case({"data.csv": text([head, *rows])}, along_x(STEPS), fps=20.0, told=ANYTHING)
    yield "a turn, w last", Case(
        {"walk.txt": text([f"{i / 10} 0 0 0 {turn}" for i in range(3)])},
        poses_at([[0, 0, 0]] * 3, Rotation.concatenate([swapped] * 3)), fps=10.0,
    )  # fmt: skip


CASES: dict[str, Case] = dict(timed_cases())


def wrong(folder: Path) -> dict[str, list[str]]:
    """The cases that are not read as they must be, and what is wrong with each."""
    found = {name: faults(case, folder / str(number)) for number, (name, case) in enumerate(CASES.items())}
    return {name: problems for name, problems in found.items() if problems}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()

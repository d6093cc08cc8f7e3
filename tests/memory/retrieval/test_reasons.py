"""The reason that is told is the reason: one measure in three dimensions, whatever the strategy, kept with the film."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.dev.bench.retrieval_truth.oracle import cast
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.reasons import Noted, noted, notes_of, percent
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.retrieval.strategies import STRATEGIES
from scene_memory.memory.state.state import MemoryState, SegmentRecord

LENS = intrinsics_from_fov(50.0, 1.6)
Numbers = np.ndarray[Any, Any]


def path(*cameras: Numbers) -> Trajectory:
    return Trajectory(np.stack(cameras), LENS, 8.0)


def at(x: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0) -> Numbers:
    return pose([x, 0.0, z], rotation(yaw, pitch))


def remember(film: Trajectory, depth: Numbers | None = None) -> MemoryState:
    record = SegmentRecord(f"{1:064x}", MemoryState().id, 0, len(film), 0, "", (6, 10), film.fps)
    return MemoryState().with_segment(record, film.poses, film.intrinsics, depth=depth)


def walked(frames: int = 160) -> Trajectory:
    t = np.linspace(0, 4 * np.pi, frames)
    yaw = np.degrees(t) * 1.5 + 40 * np.sin(3 * t)
    cameras = zip(3 * np.sin(t), 2 * np.sin(2 * t), yaw, 20 * np.sin(5 * t), strict=True)
    return path(*[at(*camera) for camera in cameras])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_looked_up_saw_nothing_of_what_lies_below(strategy: str) -> None:
    film = path(*[at(0.01 * place, pitch=50.0) for place in range(16)])
    found = retrieve(remember(film), path(*[at(pitch=-35.0)] * 8), RetrievalSettings(strategy, k=4))
    assert [reason.overlap for reason in found.reasons] == [0.0] * len(found)
    assert all(reason.text.endswith("; it saw up to 0 % of what is coming.") for reason in found.reasons)


def test_the_same_camera_saw_everything_and_a_turn_what_it_still_shows() -> None:
    film = path(*[at(yaw=0.0)] * 2, *[at(yaw=25.0)] * 2, *[at(pitch=25.0)] * 2, at(yaw=180.0))
    found = retrieve(remember(film), path(at()), RetrievalSettings("recent", k=7))
    saw = {reason.index: reason.overlap for reason in found.reasons}
    assert saw[0] == pytest.approx(1.0) and saw[6] == 0.0
    assert 0.4 < saw[2] < 0.6, "half of a lens of 50 degrees"
    assert saw[4] < 0.4, "most of it lies below what the raised camera saw"


def walls_with_depth() -> tuple[Trajectory, Numbers, Trajectory]:
    """Two rooms: frames 0 to 5 stand in the one that is coming, 6 to 11 next door, looking at the wall between."""
    corners = [(-6, 4, 6, 4), (2, -5, 2, 4), (6, -5, 6, 4), (-6, -5, -6, 4), (-6, -5, 6, -5)]
    walls = np.array(corners, dtype=np.float64).reshape(-1, 2, 2)
    film = path(*[at(x=-1.5, yaw=12)] * 6, *[at(x=2.6, yaw=-42)] * 6, at(yaw=180))
    seen, _ = cast(film.poses, film.intrinsics, walls, 32)
    ahead = path(at(x=0.5, z=-0.3, yaw=-14), at(x=0.5, z=0.3, yaw=-14))
    return film, np.repeat(seen[:, None], 18, axis=1).astype(np.float32), ahead


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_wall_that_depth_knows_of_hides_from_the_reason_too(strategy: str) -> None:
    film, depth, ahead = walls_with_depth()

    def saw(state: MemoryState) -> dict[int, float]:
        found = retrieve(state, ahead, RetrievalSettings(strategy, k=13))
        return {reason.index: reason.overlap for reason in found.reasons}

    blind, knowing = saw(remember(film)), saw(remember(film, depth))
    for index in set(blind) & set(knowing) & set(range(6, 12)):
        assert knowing[index] < 0.3 * blind[index], "the wall stands in its way"
    for index in set(knowing) & set(range(6)):
        assert knowing[index] > 0.5, "the room that is coming"


@pytest.mark.parametrize("known", [False, True])
def test_a_frame_saw_the_same_whatever_chose_it(known: bool) -> None:
    film = walked()
    depth = np.full((len(film), 9, 16), 3.0, dtype=np.float32) if known else None
    state, told = remember(film, depth), dict[int, float]()
    for strategy in STRATEGIES:
        for reason in retrieve(state, film[30:54], RetrievalSettings(strategy, k=12)).reasons:
            assert told.setdefault(reason.index, reason.overlap) == pytest.approx(reason.overlap, abs=0.02)
    assert len(told) > 30 and max(told.values()) > 0.9


def test_no_frame_is_said_to_add_nothing() -> None:
    film = walked(240)
    for start in (0, 40, 90):
        for reason in retrieve(remember(film), film[start : start + 24], RetrievalSettings(k=20)).reasons:
            assert not {"adds 0 %", "adds 0.0 %"} & set(reason.brings.split(", ")) and " 0.0 %" not in reason.text
            assert ("lack" in reason.rule) == (reason.gain >= 0.001), "who lacks nothing fills a place, and it says so"
            if 0.0 < reason.gain < 0.001:
                assert "adds less than 0.1 %" in reason.brings and "to fill k" in reason.rule


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0 %"), (4e-9, "less than 0.1 %"), (0.001, "0.1 %"), (0.034, "3.4 %"), (0.0999, "10 %"), (0.62, "62 %")],
)
def test_a_share_in_words(share: float, said: str) -> None:
    assert percent(share) == said


def test_what_is_noted_can_be_read_again_and_is_small() -> None:
    film = walked()
    reasons = retrieve(remember(film), film[30:54], RetrievalSettings(k=20)).reasons
    notes = json.loads(json.dumps(notes_of(reasons)))
    assert notes["context"] == [reason.index for reason in reasons], "older readers find the frames where they were"
    for reason, kept in zip(reasons, noted(notes) or (), strict=True):
        assert (kept.index, kept.rule) == (reason.index, reason.rule)
        assert kept.overlap == pytest.approx(reason.overlap, abs=6e-4)
        assert kept.gain == pytest.approx(reason.gain, abs=6e-4)
    assert len(json.dumps(notes)) < 900
    assert noted(json.loads(json.dumps(notes_of(())))) == ()


def test_notes_of_before_have_frames_without_reasons() -> None:
    assert noted({"context": [7, 3], "seed": 1}) == (Noted(7, "", 0.0, 0.0), Noted(3, "", 0.0, 0.0))
    assert noted({"source": "a picture"}) is None


@pytest.mark.parametrize(
    "reasons",
    [
        None, 5, [], {}, {"rules": 3}, {"rules": ["a"], "rule": [9, -1], "saw": ["x", 4.0], "adds": [None]},
        {"rules": [None], "rule": [0, True], "saw": [float("nan"), -1], "adds": {}}, {"rule": [0, 0]},
    ],
)  # fmt: skip
def test_notes_of_strangers_do_no_harm(reasons: Any) -> None:
    assert noted({"context": [2, 1], "reasons": reasons}) == (Noted(2, "", 0.0, 0.0), Noted(1, "", 0.0, 0.0))
    for frames in ("ab", [-1], ["x"], [True], {"0": 1}):
        assert noted({"context": frames, "reasons": reasons}) is None


NOTES = """
import json, sys
sys.path[:0] = sys.argv[1:]
from dev.support.pack import load_pack
load_pack()
import numpy as np
from test_reasons import notes_of, remember, retrieve, RetrievalSettings, walked
film = walked()
depth = np.random.default_rng(4).uniform(1.0, 5.0, (len(film), 9, 16)).astype(np.float32)
states = [remember(film), remember(film, depth)]
print(json.dumps([
    notes_of(retrieve(state, film[at : at + 24], RetrievalSettings(strategy, k=20)).reasons)
    for state in states for at in range(0, 130, 10) for strategy in ("framepack", "recent", "coverage")
]))
"""


def test_what_is_noted_does_not_hang_on_threads_or_processors(tmp_path: Path) -> None:
    """Told shares are part of the film's id. OpenBLAS adds in another order for each kind of processor."""
    root = Path(__file__).resolve().parents[3]
    seen = []
    for threads, core in (("1", "Prescott"), ("4", "Haswell")):
        env = {**os.environ, "OPENBLAS_CORETYPE": core, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        asked = [sys.executable, "-c", NOTES, str(root), str(Path(__file__).parent)]
        done = subprocess.run(asked, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        seen.append(json.loads(done.stdout))
    assert len(seen[0]) == 78 and seen[0] == seen[1]


def test_the_film_keeps_why_each_segment_looked_where_it_did(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    film = make_preset("pan", frames=24, fps=8.0, amount=90.0, fov=70.0, aspect=1.6)
    pixels = np.zeros((24, 6, 10, 3), dtype=np.uint8)
    state = bank.append(bank.empty(), frames=pixels, trajectory=film, shot=0)
    ahead = film.reversed()[1:9]
    info = notes_of(retrieve(state, ahead, RetrievalSettings(k=5)).reasons)
    made = bank.append(state, frames=pixels[:8], trajectory=ahead, shot=0, info=info)
    again = bank.load().segments[1].info
    assert again == info and made.id == bank.load().id
    assert [one.index for one in noted(again) or ()] == info["context"]

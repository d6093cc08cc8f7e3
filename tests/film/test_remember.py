"""Pictures from elsewhere become memory: streamed, found again, refused where they do not fit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scene_memory.film import remember as module
from scene_memory.film.depth import DepthSource
from scene_memory.film.remember import Remembered, remember, remembered_size, segment_length
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.camera import look_at
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.retrieve import retrieve
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState

ROOT = Path(__file__).resolve().parents[2]
SIZE = (12, 20)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 4)


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank.create(tmp_path, "place")


def pictures(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def cameras(count: int, fps: float = 8.0) -> Trajectory:
    return make_preset("pan", frames=count, fps=fps, amount=60.0, fov=70.0, aspect=20 / 12)


def remembered(state: MemoryState, count: int = 10, seed: int = 0, **given: object) -> tuple[MemoryState, list[bool]]:
    done = list(remember(state, pictures(count, seed), cameras(count), SIZE, **given))  # type: ignore[arg-type]
    assert [one.pictures for one in done] == [*range(4, count, 4), count]
    return done[-1].state, [one.written for one in done]


def test_pictures_come_back_with_their_cameras_in_the_order_given(bank: Bank) -> None:
    state, written = remembered(bank.empty())
    assert state.frames == 10 and state.shots == 1 and all(written) and len(written) == 3
    assert np.array_equal(state.read_frames(range(10)), pictures(10))
    assert np.array_equal(state.poses, cameras(10).poses)
    assert bank.load() == state


def test_the_same_pictures_are_found_in_the_bank_also_after_another_memory(bank: Bank) -> None:
    first, _ = remembered(bank.empty())
    again, written = remembered(bank.empty())
    assert again == first and not any(written)
    before, _ = remembered(bank.empty(), count=3, seed=5)
    after, written = remembered(before)
    assert not any(written) and after.frames == 13 and after.shots == 2
    assert np.array_equal(after.read_frames(range(3, 13)), pictures(10))


@pytest.mark.parametrize("what", ["picture", "camera", "lens", "depth"])
def test_another_picture_camera_or_depth_is_another_segment(bank: Bank, what: str) -> None:
    flat = np.ones((10, 6, 8), dtype=np.float32)
    remembered(bank.empty(), depth=lambda part: flat[part])
    shown, path, deep = pictures(10), cameras(10), flat.copy()
    if what == "picture":
        shown[5, 0, 0, 0] ^= 1
    if what == "camera":
        path = replace(path, poses=np.concatenate([path.poses[:5], path.poses[4:5], path.poses[6:]]))
    if what == "lens":
        path = replace(path, intrinsics=np.concatenate([path.intrinsics[:5], path.intrinsics[5:] * 1.01]))
    if what == "depth":
        deep[5] *= 2
    done = list(remember(bank.empty(), shown, path, SIZE, lambda part: deep[part]))
    assert [one.written for one in done] == [False, True, what == "lens"]


class Wall:
    """Reads off every picture that a wall stands at the distance that is given; counts what it was asked for."""

    name, metric, frames = "wall", True, 0

    def __init__(self, distance: float) -> None:
        self.distance, self.asked = distance, 0

    @property
    def identity(self) -> float:
        return self.distance

    def maps(self, shown: NDArray[np.uint8], path: Trajectory, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        assert len(shown) == len(path) == len(numbers)
        self.asked += len(shown)
        return np.full((len(shown), 6, 10), self.distance, np.float32)


def test_depth_is_read_off_the_pictures_once_and_found_again_without_reading(bank: Bank) -> None:
    wall = Wall(3.0)
    state, written = remembered(bank.empty(), depth=DepthSource(wall, keyframes=0, fit="as it is"))
    assert all(written) and wall.asked == 10 and (state.depth(range(10)) == 3.0).all()
    *_, last = remember(bank.empty(), pictures(10), cameras(10), SIZE, DepthSource(wall, keyframes=0, fit="as it is"))
    assert last.state == state and not last.written and wall.asked == 10 and last.depth["source"] == "wall"
    further = DepthSource(Wall(5.0), keyframes=0, fit="as it is")
    other, written = remembered(bank.empty(), depth=further)
    assert all(written) and (other.depth(range(10)) == 5.0).all()


def test_whoever_stops_has_what_was_finished_and_the_next_run_writes_the_rest(bank: Bank) -> None:
    def stopped() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(10)[:9]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(remember(bank.empty(), stopped(), cameras(10), SIZE))
    assert bank.load().frames == 8
    assert remembered(bank.empty())[1] == [False, False, True]


def test_a_limit_drops_pictures_as_in_a_film_and_they_are_found_again_without(tmp_path: Path) -> None:
    free = Bank.create(tmp_path, "free")
    remembered(free.empty())
    bank = Bank.create(tmp_path, "tight", max_bytes=free.size_bytes() * 3 // 4)
    state, _ = remembered(bank.empty())
    assert state.frames == 10 and state.flags(range(10)).dropped.any()
    again, written = remembered(bank.empty())
    assert again.frames == 10 and not any(written)


def test_photographs_in_any_order_are_found_by_where_they_look(bank: Bank) -> None:
    """Twelve cameras on a circle look inward, shuffled; a view between two of them
    finds one of these first, after the newest, which is always shown."""
    order = np.random.default_rng(3).permutation(12)
    angles = np.radians(30.0 * order)
    places = [(4 * np.sin(angle), 0.0, -4 * np.cos(angle)) for angle in angles]
    lens = cameras(1).intrinsics
    path = Trajectory(np.stack([look_at(place, (0.0, 0.0, 0.0)) for place in places]), lens[0], 8.0)
    depth = np.full((12, 6, 8), 4.0, dtype=np.float32)
    *_, last = remember(bank.empty(), pictures(12), path, SIZE, lambda part: depth[part])
    between = look_at((4 * np.sin(np.radians(105.0)), 0.0, -4 * np.cos(np.radians(105.0))), (0.0, 0.0, 0.0))
    found = retrieve(last.state, Trajectory(between[None], lens, 8.0), RetrievalSettings(k=3, strategy="coverage"))
    neighbours = {int(np.flatnonzero(order == number)[0]) for number in (3, 4)}
    assert found.indices[0] == 11 and int(found.indices[1]) in neighbours


def test_larger_pictures_are_cropped_and_their_lens_and_depth_with_them(bank: Bank) -> None:
    depth = np.broadcast_to(np.arange(1.0, 41.0, dtype=np.float32), (5, 12, 40))
    done = list(remember(bank.empty(), pictures(5, size=(24, 80)), cameras(5), SIZE, lambda part: depth[part]))
    state = done[-1].state
    assert state.size == SIZE and state.depth([0])[0, 0, 0] == 11.0 and state.depth([0])[0, 0, -1] == 30.0
    assert np.allclose(state.intrinsics[:, 0], 2 * cameras(5).intrinsics[:, 0])


def test_a_size_that_is_not_the_memorys_is_refused_with_both_or_scaled(bank: Bank) -> None:
    state, _ = remembered(bank.empty())
    with pytest.raises(ValueError, match=r"40 x 24, and the memory holds 20 x 12 .*'scale and crop'"):
        remembered_size(state, (24, 40), (0, 0), scale=False)
    assert remembered_size(state, (24, 40), (0, 0), scale=True) == SIZE
    with pytest.raises(ValueError, match=r"ask for 32 x 16, and the memory holds pictures of 20 x 12"):
        remembered_size(state, (24, 40), (16, 32), scale=True)
    assert remembered_size(bank.empty(), (24, 40), (0, 0), scale=False) == (24, 40)
    assert remembered_size(bank.empty(), (24, 40), (12, 20), scale=False) == SIZE


def test_too_few_and_too_many_pictures_other_sizes_and_rates_are_refused(bank: Bank) -> None:
    def refused(shown: object, path: Trajectory, state: MemoryState | None = None) -> list[Remembered]:
        return list(remember(state or bank.empty(), shown, path, SIZE))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="There are 6 pictures for 7 cameras"):
        refused(pictures(6), cameras(7))
    with pytest.raises(ValueError, match="more pictures than the 5 cameras"):
        refused(pictures(6), cameras(5))
    with pytest.raises(ValueError, match=r"Picture 2 is 21 x 12, those before it 20 x 12"):
        refused([*pictures(2), *pictures(1, size=(12, 21))], cameras(3))
    state, _ = remembered(bank.empty())
    with pytest.raises(ValueError, match="24 frames a second, the memory at 8"):
        refused(pictures(3), cameras(3, fps=24.0), state)
    with pytest.raises(ValueError, match="no bank"):
        refused(pictures(3), cameras(3), MemoryState())


def test_segments_of_large_pictures_are_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_FRAMES", 64)
    assert [segment_length(size) for size in ((60, 96), (480, 832), (1080, 1920), (6000, 8000))] == [64, 56, 10, 1]


FEW, MANY = 300, 3000
REMEMBER = """
import re, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from dev.support.pack import load_pack
load_pack()
import numpy as np
from scene_memory.film.remember import remember
from scene_memory.film.video import read_video
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

count = int(sys.argv[1])
path = make_preset("walk", frames=count, fps=8.0, amount=1.0, fov=70.0, aspect=320 / 192)
bank = Bank.create(Path(sys.argv[2]), f"of {{count}}")
shown = (picture for number, (_, picture) in enumerate(read_video(sys.argv[3])) if number < count)
*_, last = remember(bank.empty(), shown, path, (192, 320))
assert last.state.frames == count
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the most RAM that a process had")
def test_three_thousand_pictures_of_a_video_take_no_more_ram_than_three_hundred(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "long.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        still = pictures(1, size=(192, 320))[0]
        for number in range(MANY):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(still // 4, number, axis=1), format="rgb24")))
        output.mux(stream.encode(None))

    def most(count: int) -> int:
        arguments = [str(count), str(tmp_path), str(tmp_path / "long.mp4")]
        run = subprocess.run(
            [sys.executable, "-c", REMEMBER.format(root=str(ROOT)), *arguments], capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    few, many = most(FEW), most(MANY)
    whole = MANY * 192 * 320 * 3 // 1024
    assert many - few < whole // 15, f"{few} kB for {FEW} pictures, {many} kB for {MANY}, which are {whole} kB"

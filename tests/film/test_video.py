"""Films from a bank to a file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from scene_memory.film.video import write_video
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def film(tmp_path: Path) -> MemoryState:
    """Twenty frames of 30 x 22 whose brightness rises."""
    path = make_preset("pan", frames=20, fps=8.0, amount=40.0, fov=70.0, aspect=30 / 22)
    frames = np.broadcast_to(np.arange(20, dtype=np.uint8)[:, None, None, None] * 12, (20, 22, 30, 3))
    bank = Bank.create(tmp_path, "film")
    return bank.append(bank.empty(), frames=frames, trajectory=path, shot=0)


def decoded(path: Path) -> tuple[list[float], tuple[int, int]]:
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    return [float(frame.mean()) for frame in frames], frames[0].shape[:2]


def test_every_frame_is_there_in_order_and_as_bright_as_it_was(film: MemoryState, tmp_path: Path) -> None:
    assert write_video(film, tmp_path / "film.mp4") == 20
    brightness, size = decoded(tmp_path / "film.mp4")
    assert size == (22, 30)
    assert np.allclose(brightness, np.arange(20) * 12, atol=4)


def test_a_part_can_be_saved_enlarged_and_at_another_rate(film: MemoryState, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    count = write_video(
        film, tmp_path / "part.mp4", first=5, last=9, scale=3, fps=4.0, on_frame=lambda *at: told.append(at)
    )
    brightness, size = decoded(tmp_path / "part.mp4")
    assert count == 4 and size == (66, 90) and told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert np.allclose(brightness, np.arange(5, 9) * 12, atol=4)
    with av.open(str(tmp_path / "part.mp4")) as file:
        assert file.streams.video[0].average_rate == 4


def test_an_odd_size_loses_its_last_line_and_not_the_film(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "odd")
    path = make_preset("static", frames=3, fps=8.0, amount=0, fov=70.0, aspect=31 / 23)
    film = bank.append(bank.empty(), frames=np.zeros((3, 23, 31, 3), np.uint8), trajectory=path, shot=0)
    write_video(film, tmp_path / "odd.mp4")
    assert decoded(tmp_path / "odd.mp4")[1] == (22, 30)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 3), (0, 21), (-1, 2)])
def test_frames_that_are_not_there_are_refused(film: MemoryState, tmp_path: Path, first: int, last: int) -> None:
    with pytest.raises(ValueError, match="a memory of 20"):
        write_video(film, tmp_path / "none.mp4", first=first, last=last)


@pytest.mark.parametrize(
    ("size", "fps", "given", "message"),
    [
        ((22, 30), 8.0, {"fps": math.nan}, "fps is nan frames a second: a video has 0.1 to 1000. Set fps"),
        ((22, 30), 8.0, {"fps": 1e9}, "fps is 1e\\+09 frames a second"),
        ((22, 30), 8.0, {"fps": 0.01}, "fps is 0.01 frames a second"),
        ((22, 30), 4e-4, {}, "fps is 0, which takes the memory's rate of 0.0004 frames a second"),
        ((22, 30), 2.0**29, {}, "memory's rate of 5.36871e\\+08 frames a second"),
        ((1, 30), 8.0, {}, "scale is 1, which makes pictures of 30 x 1: a video has at least 2 x 2. Set scale to 2"),
        ((22, 1), 8.0, {}, "pictures of 1 x 22"),
        ((1024, 1024), 8.0, {"scale": 16}, "pictures of 16384 x 16384: a video has sides .*Choose a smaller scale"),
        ((16, 2000), 8.0, {"scale": 9}, "pictures of 18000 x 144"),
    ],
)
def test_what_no_video_can_be_is_refused_in_words_before_a_file_is_there(
    tmp_path: Path, size: tuple[int, int], fps: float, given: dict[str, Any], message: str
) -> None:
    path = make_preset("static", frames=2, fps=8.0, amount=0, fov=70.0, aspect=size[1] / size[0])
    path = Trajectory(path.poses, path.intrinsics, fps, "static")
    bank = Bank.create(tmp_path / "banks", "film")
    film = bank.append(bank.empty(), frames=np.zeros((2, *size, 3), np.uint8), trajectory=path, shot=0)
    with pytest.raises(ValueError, match=message):
        write_video(film, tmp_path / "film.mp4", **given)
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(("size", "scale"), [((1, 30), 2), ((22, 1), 16), ((2, 2), 1), ((8, 1024), 16)])
def test_sizes_at_the_edge_are_videos(tmp_path: Path, size: tuple[int, int], scale: int) -> None:
    path = make_preset("static", frames=2, fps=8.0, amount=0, fov=70.0, aspect=size[1] / size[0])
    bank = Bank.create(tmp_path, "edge")
    film = bank.append(bank.empty(), frames=np.zeros((2, *size, 3), np.uint8), trajectory=path, shot=0)
    assert write_video(film, tmp_path / "film.mp4", scale=scale) == 2
    assert decoded(tmp_path / "film.mp4")[1] == (size[0] * scale // 2 * 2, size[1] * scale // 2 * 2)


def test_damaged_pictures_have_stand_ins_and_are_told(film: MemoryState, tmp_path: Path) -> None:
    path = film.bank.segments_path / f"{film.id}.safetensors"
    data = bytearray(path.read_bytes())
    ends = [match.start() for match in re.finditer(b"IEND", data)]
    for frame in (3, 12):
        data[ends[frame] - 20] ^= 1
    path.write_bytes(data)
    told: list[int] = []
    assert write_video(film, tmp_path / "film.mp4", on_damage=told.extend) == 20
    expected = np.arange(20) * 12
    expected[[3, 12]] = expected[[2, 11]]
    assert told == [3, 12] and np.allclose(decoded(tmp_path / "film.mp4")[0], expected, atol=4)


COLOURS = [(0, 200, 0), (200, 0, 0), (0, 0, 200), (128, 128, 128), (230, 200, 30), (20, 180, 190), (255, 255, 255)]


@pytest.mark.parametrize("size", [(32, 48), (720, 1280)])
def test_colours_are_bt709_and_the_file_says_so(tmp_path: Path, size: tuple[int, int]) -> None:
    """Patches in the pixels' own BT.709, worked out by hand: green is brighter there than in BT.601 by a sixth."""
    frames = np.stack([np.broadcast_to(np.array(colour, np.uint8), (*size, 3)) for colour in COLOURS])
    path = make_preset("static", frames=len(COLOURS), fps=8.0, amount=0, fov=70.0, aspect=size[1] / size[0])
    bank = Bank.create(tmp_path, "colours")
    film = bank.append(bank.empty(), frames=frames, trajectory=path, shot=0)
    write_video(film, tmp_path / "film.mp4", quality=1)
    with av.open(str(tmp_path / "film.mp4")) as file:
        context = file.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tags == (1, 1, 1, 1), "primaries, transfer and matrix are BT.709, the range is the limited one"
        read = list(file.decode(video=0))
    for colour, frame in zip(COLOURS, read, strict=True):
        red, green, blue = (level / 255 for level in colour)
        luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        expected = 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748
        found = [float(plane.mean()) for plane in planes(frame)]
        assert np.allclose(found, expected, atol=1.5), (colour, found, expected)


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Y, Cb and Cr as they stand in the file."""
    assert frame.format.name == "yuv420p"
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]


def test_the_best_quality_is_one_that_players_play(film: MemoryState, tmp_path: Path) -> None:
    write_video(film, tmp_path / "best.mp4", quality=0)
    with av.open(str(tmp_path / "best.mp4")) as file:
        assert file.streams.video[0].codec_context.profile == "High"

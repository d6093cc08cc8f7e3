"""Remember Pictures, called as the host calls it: which picture goes with which camera, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.state.state import MemoryState

HEIGHT, WIDTH = 32, 48
GREYS = 8


def path(frames: int, fps: float = 8.0) -> Trajectory:
    return make_preset("pan", frames=frames, fps=fps, amount=60.0, fov=70.0, aspect=WIDTH / HEIGHT)


def batch(frames: int) -> torch.Tensor:
    """The first is black, each one brighter by GREYS."""
    return (torch.arange(frames) * GREYS / 255).view(-1, 1, 1, 1).expand(-1, HEIGHT, WIDTH, 3).clone()


@pytest.fixture
def video(comfy: Path, tmp_path: Path) -> Any:
    """Makes a VIDEO from a file of such pictures."""
    from comfy_api.latest import InputImpl

    def make(frames: int, fps: int = 8, rotated: bool = False, **part: float) -> Any:
        file = tmp_path / f"{frames} {fps} {rotated}.mp4"
        with av.open(str(file), "w") as output:
            stream = output.add_stream("libx264", rate=fps, options={"crf": "4", "g": "12"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for grey in range(frames):
                picture = np.full((HEIGHT, WIDTH, 3), grey * GREYS, dtype=np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            output.mux(stream.encode(None))
        return InputImpl.VideoFromFile(str(file), **part)

    return make


@pytest.fixture
def remember(comfy: Path, tmp_path: Path) -> Any:
    """Calls the node, with an empty memory where none is given; says which pictures it kept, by their grey."""
    from scene_memory.nodes.remember.remember_pictures import RememberPictures

    bank = Bank.create(tmp_path / "banks", "place")

    def call(trajectory: Trajectory, **given: Any) -> tuple[MemoryState, list[int]]:
        state: MemoryState = RememberPictures.execute(**{"memory": bank.empty(), "trajectory": trajectory, **given})[0]
        kept = state.read_frames(range(state.frames)).mean(axis=(1, 2, 3))
        return state, np.round(kept / GREYS).astype(int).tolist()

    return call


def test_one_image_goes_with_each_camera(remember: Any) -> None:
    state, kept = remember(path(10), images=batch(10))
    assert kept == list(range(10)) and state.fps == 8.0 and state.size == (HEIGHT, WIDTH)
    assert np.array_equal(state.poses, path(10).poses)


def test_every_third_picture_keeps_its_own_camera_and_plays_at_the_speed_it_was_filmed(remember: Any) -> None:
    depth = torch.linspace(0.1, 1.0, 10).view(-1, 1, 1, 1).expand(-1, 4, 6, 3)
    state, kept = remember(path(10, fps=24.0), images=batch(10), every=3, depth=depth,
                           depth_kind="white is far (linear)", depth_scale=10.0)  # fmt: skip
    assert kept == [0, 3, 6, 9] and state.fps == 8.0
    assert np.array_equal(state.poses, path(10).poses[::3])
    assert state.depth(range(4))[:, 0, 0] == pytest.approx([1.0, 4.0, 7.0, 10.0], rel=1e-3)


def test_images_are_remembered_in_the_order_of_their_times(remember: Any) -> None:
    state, kept = remember(path(4), images=batch(4), times="7, 5.5 6; 9")
    assert kept == [1, 2, 0, 3]
    assert np.array_equal(state.poses, path(4).poses[[1, 2, 0, 3]])
    assert state.segments[0].info["times"] == [5.5, 6.0, 7.0, 9.0]


@pytest.mark.parametrize(
    ("cameras", "fps", "given", "expected"),
    [
        (20, 8.0, {}, range(20)),
        (20, 3.0, {}, range(20)),
        (20, 8.0, {"every": 6}, [0, 6, 12, 18]),
        (12, 8.0, {}, range(12)),
        (10, 4.0, {}, range(0, 20, 2)),
        (5, 4.0, {"every": 2}, [0, 4, 8]),
        (3, 8.0, {"times": "0.26 2.3 1"}, [2, 8, 18]),
    ],
)
def test_the_frames_of_a_video_go_with_the_cameras_one_by_one_or_by_time(
    remember: Any, video: Any, cameras: int, fps: float, given: dict[str, Any], expected: Any
) -> None:
    """Twenty frames at eight a second."""
    state, kept = remember(path(cameras, fps), video=video(20), **given)
    assert kept == list(expected)
    rows = [0, 2, 1] if "times" in given else range(0, cameras, given.get("every", 1))
    assert np.array_equal(state.poses, path(cameras).poses[list(rows)])


def test_a_part_of_a_video_and_one_of_pictures_in_ram(remember: Any, video: Any) -> None:
    from comfy_api.latest import InputImpl, Types

    assert remember(path(6), video=video(20, start_time=0.5, duration=0.75))[1] == list(range(4, 10))
    parts = Types.VideoComponents(images=batch(9), audio=None, frame_rate=Fraction(8))
    assert remember(path(9), video=InputImpl.VideoFromComponents(parts))[1] == list(range(9))


def test_a_videos_pictures_look_as_the_host_shows_them(remember: Any, video: Any) -> None:
    made = video(20)
    state, _ = remember(path(20), video=made)
    shown = (made.get_components().images * 255).numpy()
    assert np.abs(state.read_frames(range(20)).astype(np.float32) - shown).max() <= 2.0


def test_pictures_of_another_size_are_refused_with_both_sizes_or_scaled_with_their_lens(remember: Any) -> None:
    state, _ = remember(path(3), images=batch(3))
    wide = batch(3).repeat(1, 1, 2, 1)
    with pytest.raises(ValueError, match=r"96 x 32, and the memory holds 48 x 32"):
        remember(path(3), memory=state, images=wide)
    after, kept = remember(path(3), memory=state, images=wide, other_size="scale and crop")
    assert kept == [0, 1, 2] * 2 and after.shots == 2
    assert after.intrinsics[3:, 0] == pytest.approx(2 * path(3).intrinsics[:, 0])


def test_an_empty_memory_takes_the_size_and_rate_that_are_set(remember: Any) -> None:
    state, _ = remember(path(3), images=batch(3), width=24, height=16, fps=16.0)
    assert state.size == (16, 24) and state.fps == 16.0
    with pytest.raises(ValueError, match="fps is 24, and the memory runs at 16"):
        remember(path(3), memory=state, images=batch(3), fps=24.0, other_size="scale and crop")
    assert remember(path(3), memory=state, images=batch(3), other_size="scale and crop")[0].fps == 16.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Neither 'images' nor 'video' is connected"),
        ({"images": 3, "video": 3}, "Both 'images' and 'video' are connected"),
        ({"images": 4}, "There are 4 images and 3 cameras"),
        ({"images": 3, "depth": torch.ones(2, 4, 4, 3)}, "There are 2 depth maps for 3 cameras"),
        ({"images": 3, "times": "1 2"}, "times holds 2 numbers for 3 cameras"),
        ({"images": 3, "times": "1 2 soon"}, "'soon' is no number of seconds"),
        ({"video": 2}, r"last 0.38 s.*2 frames at 8 a second, 0.25 s.*leave out the cameras"),
        ({"video": 20, "times": "0 0.01 1"}, "cameras 0 and 1 are nearest to the same picture of the video, at 0.000"),
        ({"video": 20, "times": "0 1 9"}, "the last of them at 9.00 s"),
        ({"video": 20, "fps": 24.0}, "there is not a picture for each camera"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_words(
    remember: Any, video: Any, given: dict[str, Any], words: str
) -> None:
    made = dict(given)
    trajectory = path(3, made.pop("fps", 8.0))
    if "images" in made:
        made["images"] = batch(made["images"])
    if "video" in made:
        made["video"] = video(made["video"])
    with pytest.raises(ValueError, match=words):
        remember(trajectory, **made)


def test_depth_of_a_source_is_kept_and_one_with_another_number_of_pictures_is_refused(remember: Any) -> None:
    from scene_memory.film.depth import DepthSource, DepthVideo

    walls = DepthSource(DepthVideo(np.full((6, 8, 12), 4.0, np.float32), metric=True), keyframes=0, fit="as it is")
    state, _ = remember(path(6), images=batch(6), depth_source=walls)
    assert np.allclose(state.depth(range(6)), 4.0)
    with pytest.raises(ValueError, match="6 depth pictures, and 3 pictures are remembered"):
        remember(path(6), images=batch(6), depth_source=walls, every=2)
    with pytest.raises(ValueError, match="Both depth and depth_source are connected"):
        remember(path(6), images=batch(6), depth_source=walls, depth=torch.ones(6, 4, 4, 3))


def test_cancel_keeps_the_segments_that_are_finished_and_the_next_run_finds_them(
    remember: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management
    import comfy.utils

    def cancel(value: int, total: int, preview: Any, **_: Any) -> None:
        assert preview is not None and total == 200
        comfy.model_management.interrupt_current_processing()

    images = torch.rand(200, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        remember(path(200), images=images)
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", None)
    bank = Bank.open(tmp_path / "banks", "place")
    kept = bank.load().frames
    assert kept in (64, 128)
    before = {file: file.stat().st_mtime_ns for file in bank.segments_path.iterdir()}
    state, _ = remember(path(200), images=images)
    assert state.frames == 200
    assert {file: file.stat().st_mtime_ns for file in before} == before

"""The demo's harness, on stock nodes and on a small bank: it needs no model to be right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dev.console import SetupError
from dev.demo import generate, saved_video, with_bank, without_memory
from dev.measure import measure_bank, video_seconds
from dev.support.server import HostServer
from dev.support.workflow_api import to_prompt
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

STOCK = {
    "nodes": [
        {"id": 1, "type": "EmptyImage", "mode": 0, "widgets_values": [64, 48, 12, 3]},
        {
            "id": 2,
            "type": "CreateVideo",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            "widgets_values": [6.0],
        },
        {
            "id": 3,
            "type": "SaveVideo",
            "mode": 0,
            "inputs": [{"name": "video", "type": "VIDEO", "link": 2}],
            "widgets_values": ["stock/film", "mp4", "h264", "auto"],
        },
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "VIDEO"]],
}


def test_a_saved_workflow_runs_through_the_server_to_a_video_file(server: HostServer) -> None:
    run = generate(server, to_prompt(STOCK, server.client.object_info()))
    video = saved_video(run, server)
    assert video.is_file() and video.parent == server.output / "stock"
    assert video_seconds(video) == pytest.approx(2.0, abs=0.1)


def test_a_workflow_that_saves_no_video_is_told(server: HostServer) -> None:
    size = {"width": 8, "height": 8, "batch_size": 1, "color": 1}
    image = {"class_type": "EmptyImage", "inputs": size}
    run = generate(server, {"1": image, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})
    with pytest.raises(SetupError, match="without saving an MP4"):
        saved_video(run, server)


def test_a_refused_workflow_names_the_reason(server: HostServer) -> None:
    with pytest.raises(SetupError, match="required_input_missing"):
        generate(server, {"1": {"class_type": "PreviewImage", "inputs": {}}})


def test_memory_off_takes_the_retriever_away_and_nothing_else() -> None:
    prompt = {
        "1": {"class_type": "SceneMemoryBank", "inputs": {"name": "film"}},
        "2": {
            "class_type": "SceneMemoryShotGenerator",
            "inputs": {"memory": ["1", 0], "retriever": ["9", 0], "seed": 4},
        },
        "3": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "film"}},
    }
    off = with_bank(without_memory(prompt), "other")
    assert off["1"]["inputs"] == {"name": "other"}
    assert off["2"]["inputs"] == {"memory": ["1", 0], "seed": 4}
    assert off["3"]["inputs"] == {"filename_prefix": "film without memory"}
    assert prompt["2"]["inputs"]["retriever"] == ["9", 0] and prompt["1"]["inputs"]["name"] == "film"


def test_a_bank_is_measured_where_the_camera_returns(tmp_path: Path) -> None:
    frames, fps = 40, 4.0
    path = make_preset("turn away and come back", frames=frames, fps=fps, amount=90, fov=60, aspect=1)
    rng = np.random.default_rng(3)
    there = rng.integers(0, 200, (frames // 2, 16, 16, 3), dtype=np.uint8)
    pictures = np.concatenate([there, there[::-1] + np.uint8(10)])
    bank = Bank.create(tmp_path, "film")
    state = bank.empty()
    for start in (0, frames // 2):
        part = slice(start, start + frames // 2)
        state = bank.append(state, frames=pictures[part], trajectory=path[part], shot=0)
    film = measure_bank(tmp_path, "film")
    assert (film.frames, film.segments) == (frames, 2)
    assert film.revisits > 0
    assert film.revisit_psnr == pytest.approx(20 * np.log10(255 / 10), abs=0.01)
    steps = np.abs(np.diff(pictures.astype(float), axis=0)).mean() / 255
    assert film.motion == pytest.approx(steps)


def test_a_camera_that_never_returns_is_told(tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "away")
    pictures = np.zeros((30, 8, 8, 3), np.uint8)
    path = make_preset("pan", frames=30, fps=2.0, amount=90, fov=60, aspect=1)
    bank.append(bank.empty(), frames=pictures, trajectory=path, shot=0)
    with pytest.raises(SetupError, match="never returns"):
        measure_bank(tmp_path, "away")


def test_the_length_of_a_video_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(stream.encode())
    assert video_seconds(path) == pytest.approx(3.0, abs=0.01)

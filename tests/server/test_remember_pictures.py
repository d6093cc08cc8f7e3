"""Remember Pictures in the real server: a photographed place is memory, and shots go on in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from dev.support.client import PromptRejected
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]
PHOTOGRAPHS = 12


def photographed(kit: Any, name: str, **given: Any) -> dict[str, Any]:
    """Photographs of a room, all around from one place, with their cameras and depth, and an empty bank."""
    prompt: dict[str, Any] = kit.place(name)
    del prompt["bank"]["inputs"]["start_image"]
    prompt["around"] = kit.camera(None, "look around", PHOTOGRAPHS, 330.0)
    prompt["scene"]["inputs"]["trajectory"] = ["around", 0]
    prompt["remember"] = kit.node(
        "SceneMemoryRememberPictures", memory=["bank", 0], trajectory=["around", 0],
        **{"images": ["scene", 0], "depth": ["scene", 2], "depth_kind": "white is far (linear)", "depth_scale": 20.0,
           **given},
    )  # fmt: skip
    return prompt


def film_on(kit: Any, prompt: dict[str, Any], name: str) -> dict[str, Any]:
    prompt["camera"] = kit.camera(["remember", 0], "pan", 8, 90.0)
    prompt["fov"] = kit.retriever(k=4, strategy="coverage")
    prompt["shot"] = kit.shot(["remember", 0], ["camera", 0], retriever=["fov", 0])
    return {**prompt, "video": kit.save(["shot", 0], name)}


def test_a_photographed_place_is_filmed_on_from_its_last_picture(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = film_on(kit, photographed(kit, "photographed"), "photographed")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("photographed").load()
    assert state.frames == PHOTOGRAPHS + 8 and state.shots == 2 and state.has_depth
    depth = state.depth(range(PHOTOGRAPHS))
    assert np.isfinite(depth).all() and 0.3 < depth.min() < depth.max() < 30.0
    looked = set(state.segments[-1].info["context"])
    assert looked & set(range(PHOTOGRAPHS)) and PHOTOGRAPHS - 1 in looked
    texts = [data["text"] for _, kind, data in run.events if kind == "text" and data["node"] == "remember"]
    assert any("12 pictures remembered as shot 1" in text for text in texts)
    assert server.client.queue(prompt).executed == []


def test_after_a_restart_they_are_found_in_the_bank(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = photographed(kit, "found again")
    prompt["info"] = kit.node("SceneMemoryInfo", memory=["remember", 0], thumbnails=6)
    assert server.client.queue(prompt).ok
    bank = open_bank("found again")
    first = {path: path.stat().st_mtime_ns for path in bank.segments_path.iterdir()}
    server.restart()
    run = server.client.queue(prompt)
    assert run.ok, run.error
    texts = [data["text"] for _, kind, data in run.events if kind == "text" and data["node"] == "remember"]
    assert any("all of them from the bank" in text for text in texts)
    assert {path: path.stat().st_mtime_ns for path in bank.segments_path.iterdir()} == first


def test_a_video_is_remembered_with_its_path(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    with av.open(str(server.base / "input" / "clip.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for grey in range(24):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 96, 3), grey * 9, np.uint8), "rgb24")))
        output.mux(stream.encode(None))
    prompt = photographed(kit, "of a clip", width=96, height=60)
    remember = prompt["remember"]["inputs"]
    del remember["images"], remember["depth"]
    prompt["clip"] = kit.node("LoadVideo", file="clip.mp4")
    prompt["around"] = kit.camera(None, "pan", 8, 40.0)
    remember["video"] = ["clip", 0]
    prompt["info"] = kit.node("SceneMemoryInfo", memory=["remember", 0], thumbnails=6)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("of a clip").load()
    assert state.size == (60, 96) and state.frames == 8
    kept = state.read_frames(range(8)).mean(axis=(1, 2, 3))
    assert np.allclose(kept, np.arange(0, 24, 3) * 9, atol=4), "every third frame, by time"


def test_times_that_are_no_numbers_are_refused_before_anything_runs(server: HostServer, kit: Any) -> None:
    prompt = photographed(kit, "no times", times="0, soon")
    prompt["info"] = kit.node("SceneMemoryInfo", memory=["remember", 0], thumbnails=6)
    with pytest.raises(PromptRejected, match="'soon' is no number of seconds"):
        server.client.queue(prompt)

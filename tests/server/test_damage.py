"""Damage, kills and a second server, as the nodes meet them: told on the node and in the log, and nothing is lost."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.archive import ENDING, export_bank, import_bank
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.state.state import MemoryState


@pytest.fixture
def made(server: HostServer) -> Callable[..., MemoryState]:
    """Makes a bank of noise pictures in the server's output folder without sampling: two frames a segment."""

    def make(name: str, segments: int = 5, seed: int = 0) -> MemoryState:
        bank = Bank.create(server.output / "scene_memory", name)
        path, state = make_preset("pan", frames=2 * segments, fps=8.0, amount=60.0, fov=70.0, aspect=1.5), bank.empty()
        for i in range(segments):
            frames = np.random.default_rng([seed, i]).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
            state = bank.append(state, frames=frames, trajectory=path[2 * i : 2 * i + 2], shot=i)
        return state

    return make


def harm(state: MemoryState, frame: int) -> None:
    """Flips a bit in the picture of a frame."""
    segment = state.segments[frame // 2]
    path = state.bank.segments_path / f"{segment.id}.safetensors"
    data = bytearray(path.read_bytes())
    data[[match.start() for match in re.finditer(b"IEND", data)][frame % 2] - 40] ^= 4
    path.write_bytes(data)


def opened(kit: Any, name: str) -> dict[str, Any]:
    inputs = {"mode": "continue", "fov": 70.0, "fps": 8.0, "width": 0, "height": 0}
    return {"bank": kit.node("SceneMemoryBank", name=name, **inputs)}


def frames_in(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def test_a_film_with_a_damaged_picture_is_saved_in_every_way(server: HostServer, kit: Any, made) -> None:
    state = made("one damaged")
    harm(state, 5)
    prompt = opened(kit, "one damaged")
    prompt["video"] = kit.save(["bank", 0], "one damaged")
    prompt["save"] = kit.node("SceneMemorySave", memory=["bank", 0], filename_prefix="memory/one damaged")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    (video,) = run.outputs["video"]["images"]
    assert frames_in(server.output / video["subfolder"] / video["filename"]) == 10
    log = server.log_text()
    assert "1 picture is damaged (5): the pictures next to them stand in" in log
    assert "The pictures of 1 frames (5) are damaged and were left out; their cameras are kept" in log
    (saved,) = (server.output / "memory").glob(f"one damaged*{ENDING}")
    back = import_bank(server.base / "elsewhere", "copy", saved).load()
    kept = [frame for frame in range(10) if frame != 5]
    assert np.array_equal(back.read_frames(kept), state.read_frames(kept)) and back.flags([5]).dropped[0]


def test_load_memory_takes_what_is_good_and_says_what_is_not(server: HostServer, kit: Any, made) -> None:
    """Also after a restart: the same file is the same memory."""
    state = made("bits fell")
    file = export_bank(state, server.base / "input" / "bits fell")
    data = bytearray(file.read_bytes())
    data[[match.start() for match in re.finditer(b"IEND", data)][7] - 40] ^= 4
    file.write_bytes(data)
    prompt = {"load": kit.node("SceneMemoryLoad", file=file.name, name="bits that fell")}
    prompt["video"] = kit.save(["load", 0], "bits that fell")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert "The pictures of 1 frames (7) are damaged and were left out" in server.log_text()
    back = Bank.open(server.output / "scene_memory", "bits that fell").load()
    kept = [frame for frame in range(10) if frame != 7]
    assert np.array_equal(back.read_frames(kept), state.read_frames(kept)) and back.flags([7]).dropped[0]
    server.restart()
    assert server.client.queue(prompt).ok
    assert Bank.open(server.output / "scene_memory", "bits that fell").load() == back


def test_a_bank_whose_head_is_lost_goes_on_and_one_whose_beginning_is_lost_is_named(
    server: HostServer, kit: Any, made
) -> None:
    state = made("no head")
    state.bank.head_path.write_bytes(b"")
    prompt = opened(kit, "no head")
    prompt["video"] = kit.save(["bank", 0], "no head")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert Bank.open(server.output / "scene_memory", "no head").load() == state
    first = state.bank.segments_path / f"{state.segments[0].id}.safetensors"
    first.write_bytes(b"")
    run = server.client.queue(kit.changed(prompt, "bank", earlier="  "))
    assert not run.ok and "write that id into 'earlier'" in run.error["exception_message"]
    named = re.search(r"the 8 frames from (\w{12}) on", run.error["exception_message"])
    assert named is not None
    run = server.client.queue(kit.changed(prompt, "bank", earlier=named[1]))
    assert run.ok, run.error
    (video,) = run.outputs["video"]["images"]
    assert frames_in(server.output / video["subfolder"] / video["filename"]) == 8


def test_what_a_killed_server_left_is_cleared_by_the_next_of_its_kind(server: HostServer, kit: Any, made) -> None:
    """A server that is killed while it writes a film, then started again, as after a crash."""
    made("long film", segments=60)
    prompt = opened(kit, "long film")
    inputs = {"filename_prefix": "killed/film", "scale": 16, "fps": 0.0, "quality": 5}
    prompt["video"] = kit.node("SceneMemoryToVideo", memory=["bank", 0], **inputs)
    folder = server.output / "killed"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.client.queue, prompt)
        ends = time.monotonic() + 60
        while not list(folder.glob(".*.part")) and time.monotonic() < ends:
            time.sleep(0.02)
        (left,) = folder.glob(".*.part")
        os.kill(server.pid, 9)
        running.exception(60)
    assert left.exists() and [path.name for path in folder.iterdir()] == [left.name], "something unfinished is in sight"
    server.restart()
    run = server.client.queue(kit.changed(prompt, "video", scale=1))
    assert run.ok, run.error
    assert [path.name for path in folder.iterdir()] == ["film_00001_.mp4"]


@pytest.mark.slow
def test_two_servers_on_one_output_folder_never_take_each_others_names(
    server: HostServer, kit: Any, made, comfyui: Path, tmp_path: Path
) -> None:
    """The same prefixes at the same time, five times: every file is whole, and no two prompts name the same."""
    first, second = made("ours", seed=1), made("theirs", seed=2)
    other = HostServer(Path(sys.executable), comfyui, base=tmp_path / "second")
    other._command[2:2] = ["--output-directory", str(server.output)]
    folder = server.output / "both"
    with other:
        for turn in range(5):
            runs = []
            with ThreadPoolExecutor(2) as pool:
                for one, name in ((server, "ours"), (other, "theirs")):
                    prompt = opened(kit, name)
                    prompt["path"] = kit.node("SceneMemoryCameraTrajectory", move="pan", frames=8 + turn, amount=30.0,
                                              radius=2.0, easing="smooth", fov=70.0, fps=8.0, aspect=1.5)
                    prompt["video"] = kit.node("SceneMemoryToVideo", memory=["bank", 0], filename_prefix="both/film",
                                               scale=1, fps=1.0 + turn, quality=20)
                    prompt["save"] = kit.node("SceneMemorySave", memory=["bank", 0], filename_prefix=f"both/m{turn}")
                    prompt["cameras"] = kit.node("SceneMemorySaveTrajectory", trajectory=["path", 0],
                                                 filename_prefix="both/path", layout="COLMAP", width=48, height=32)
                    runs.append(pool.submit(one.client.queue, prompt))
            assert all(run.result().ok for run in runs), [run.result().error for run in runs]
            videos = [run.result().outputs["video"]["images"][0]["filename"] for run in runs]
            assert len(set(videos)) == 2 and all(frames_in(folder / video) == 10 for video in videos)
            saved, root = sorted(folder.glob(f"m{turn}_*{ENDING}")), tmp_path / str(turn)
            ids = {import_bank(root, f"copy {place}", path).load().id for place, path in enumerate(saved)}
            assert ids == {first.id, second.id}
            assert len(list(folder.glob("path_*_/images.txt"))) == 2 * (turn + 1)
            assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]

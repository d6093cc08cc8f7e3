"""The nodes that load, save, join, show and convert camera paths, in the real server."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dev.paths import ROOT
from dev.support.client import PromptRejected
from dev.support.server import HostServer
from scene_memory.dev.bench._camera_cases import CASES
from scene_memory.dev.bench._camera_samples import SAMPLES, WITHOUT_LENS, colmap_binary, known_cameras
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.camera_files import WRITABLE, read_trajectory, write_trajectory
from scene_memory.memory.cameras.joins import joined, steps
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory

OpenBank = Callable[[str], Bank]
Prompt = dict[str, dict[str, Any]]
STOCK_MOVES = (
    "Static", "Pan Up", "Pan Down", "Pan Left", "Pan Right", "Zoom In", "Zoom Out", "Anti Clockwise (ACW)",
    "ClockWise (CW)",
)  # fmt: skip


def move(name: str = "pan", frames: int = 25, amount: float = 60.0, fps: float = 8.0) -> Trajectory:
    """The path that the kit's Camera Trajectory gives."""
    return make_preset(name, frames=frames, fps=fps, amount=amount, fov=70.0, aspect=1.6, radius=2.0)


def load(kit: Any, file: str, **changed: Any) -> dict[str, Any]:
    inputs = {"file": file, "layout": "auto", "begins": "where the film stands", "scale": 1.0, "first_frame": 0}
    inputs |= {"frames": 0, "fps": 0.0, "fov": 0.0, "aspect": 0.0, "camera": ""}
    return kit.node("SceneMemoryLoadTrajectory", **{**inputs, **changed})


def save(kit: Any, trajectory: list[Any], name: str, layout: str = "SceneMemory JSON") -> dict[str, Any]:
    inputs = {"trajectory": trajectory, "filename_prefix": f"tests/{name}", "width": 832, "height": 480}
    return kit.node("SceneMemorySaveTrajectory", layout=layout, **inputs)


def join(kit: Any, *paths: list[Any], **changed: Any) -> dict[str, Any]:
    inputs = {"blend": 0, "frames": 0, "easing": "even", "speed": "", "scale": 1.0, "backwards": False}
    given = {f"paths.path_{i}": path for i, path in enumerate(paths)}
    return kit.node("SceneMemoryJoinTrajectories", **given, **{**inputs, **changed})


def through(kit: Any, cameras: list[list[Any]], **changed: Any) -> dict[str, Any]:
    inputs = {"frames": 33, "motion": "around what they look at", "closed": False, "timing": "by the way to go"}
    inputs |= {"easing": "smooth", "speed": "", "scale": 1.0, "begins": "as it is", "fps": 8.0, "aspect": 1.6}
    given = {f"cameras.camera_{i}": camera for i, camera in enumerate(cameras)}
    return kit.node("SceneMemoryTrajectoryFrom3DCameras", **given, **{**inputs, **changed})


def wan(kit: Any, trajectory: list[Any], **changed: Any) -> dict[str, Any]:
    inputs = {"width": 96, "height": 64, "length": 21, "take": "the whole path", "first_frame": 0, "scale": 1.0}
    return kit.node(
        "SceneMemoryTrajectoryToWanCamera", trajectory=trajectory, **{**inputs, "lens": "crop to the size", **changed}
    )


def stock_camera(kit: Any, yaw: float, pitch: float = 20.0, distance: float = 4.0) -> dict[str, Any]:
    orbit = {"mode": "orbit", "mode.yaw": yaw, "mode.pitch": pitch, "mode.distance": distance}
    rest = {"target_x": 0.0, "target_y": 0.5, "target_z": 0.0, "roll": 0.0, "fov": 40.0, "zoom": 1.0}
    return kit.node("CreateCameraInfo", **orbit, **rest, camera_type="perspective")


def saved(server: HostServer, run: Any, where: str = "name") -> Trajectory:
    """The path that a Save Trajectory wrote, found by its output `file` in a PreviewAny."""
    name = run.outputs[where]["text"][0]
    assert name.endswith(" [output]")
    return read_trajectory(server.output / name.removesuffix(" [output]"))


def with_file(kit: Any, prompt: Prompt, trajectory: list[Any], name: str) -> Prompt:
    """The prompt with its path saved, and the file's name shown."""
    prompt["save"] = save(kit, trajectory, name)
    return {**prompt, "name": kit.node("PreviewAny", source=["save", 1])}


def put(server: HostServer, path: Trajectory, name: str, layout: str = "SceneMemory JSON") -> Path:
    file = server.base / "input" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    write_trajectory(path, file, layout)
    return file


def offered(server: HostServer, field: str, word: str) -> bool:
    """Whether Load Trajectory offers a word; a file that is new comes into the list within seconds."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        node = server.client.object_info("SceneMemoryLoadTrajectory")["SceneMemoryLoadTrajectory"]
        if word in node["input"]["required"][field][1]["options"]:
            return True
        time.sleep(0.3)
    return False


@pytest.mark.parametrize("layout", WRITABLE)
def test_a_path_that_is_saved_is_loaded_again(server: HostServer, kit: Any, layout: str) -> None:
    prompt: Prompt = {"move": kit.camera(None, "orbit", 25, 60.0), "save": save(kit, ["move", 0], layout, layout)}
    prompt["name"] = kit.node("PreviewAny", source=["save", 1])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    name = run.outputs["name"]["text"][0]
    again = with_file(kit, {"load": load(kit, name, fps=8.0, fov=70.0)}, ["load", 0], f"{layout} again")
    run = server.client.queue(again)
    assert run.ok, run.error
    np.testing.assert_allclose(saved(server, run).poses, move("orbit").poses, atol=1e-6)


@pytest.mark.parametrize(
    "sample", ["realestate10k_0bf152ef84195293.txt", "lingbot_03_poses.npy", "spatia_case2_w2c.txt"]
)
def test_files_of_other_programs_are_recognised(server: HostServer, kit: Any, sample: str) -> None:
    folder = ROOT.parent / "shared" / "data" / "trajectories"
    if not (folder / sample).is_file():
        pytest.skip("the samples of other programs' files are not beside this checkout")
    (server.base / "input" / "samples").mkdir(parents=True, exist_ok=True)
    for file in folder.glob(sample.rsplit("_", 1)[0] + "*"):
        shutil.copyfile(file, server.base / "input" / "samples" / file.name)
    prompt = with_file(kit, {"load": load(kit, f"samples/{sample}")}, ["load", 0], sample)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    expected = read_trajectory(folder / sample).relative()
    np.testing.assert_allclose(saved(server, run).poses, expected.poses, atol=1e-9)


def test_the_artist_is_told_what_was_assumed_of_a_file(server: HostServer, kit: Any) -> None:
    case = CASES["frame numbers for microseconds"]
    (server.base / "input" / "clip.txt").write_bytes(case.files["clip.txt"])
    run = server.client.queue(with_file(kit, {"load": load(kit, "clip.txt")}, ["load", 0], "clip"))
    assert run.ok, run.error
    (said,) = run.texts("load")
    assert said.startswith("9 frames, 0.38 s at 24 frames a second")
    assert "Its first column counts frames, not microseconds: they run at 24 a second" in said


@pytest.mark.parametrize("layout", ["nerfstudio camera path", "3DGS", "ViPE", "Replica", "CSV"])
def test_layouts_that_users_have_are_offered_recognised_and_loaded(server: HostServer, kit: Any, layout: str) -> None:
    poses, lens = known_cameras(12)
    folder = server.base / "input" / "layouts"
    folder.mkdir(parents=True, exist_ok=True)
    files = SAMPLES[layout](poses, lens)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    name = f"layouts/{next(iter(files))}"
    assert offered(server, "file", name) and offered(server, "layout", layout)
    prompt = with_file(kit, {"load": load(kit, name, begins="as it is")}, ["load", 0], layout)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    path = saved(server, run)
    np.testing.assert_allclose(path.poses, poses, atol=1e-9)
    if layout not in WITHOUT_LENS:
        np.testing.assert_allclose(path.intrinsics, np.tile(lens, (12, 1)), atol=1e-9)


def test_a_colmap_project_in_the_input_folder_is_loaded_from_its_binary_model(server: HostServer, kit: Any) -> None:
    poses, lens = known_cameras(12)
    folder = server.base / "input" / "house" / "sparse" / "0"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in colmap_binary(poses, lens).items():
        (folder / name).write_bytes(data)
    assert offered(server, "file", "house/sparse/0/images.bin")
    loaded = load(kit, "house/sparse/0/images.bin", begins="as it is")
    run = server.client.queue(with_file(kit, {"load": loaded}, ["load", 0], "house"))
    assert run.ok, run.error
    path = saved(server, run)
    np.testing.assert_allclose(path.poses, poses, atol=1e-9)
    np.testing.assert_allclose(path.intrinsics, np.tile(lens, (12, 1)), atol=1e-9)


def test_a_loaded_path_goes_on_where_the_film_stands(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    put(server, move("dolly", 33, 4.0, fps=16.0).after(move("pan", 9, 77.0).last_pose), "goes on.json")
    prompt = kit.film("goes on by file", frames=8)
    prompt["camera2"] = load(kit, "goes on.json", scale=0.25, frames=17, memory=["shot", 0])
    prompt["shot2"] = kit.shot(["shot", 0], ["camera2", 0], seed=2, retriever=["fov", 0])
    prompt["video"]["inputs"]["memory"] = ["shot2", 0]
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("goes on by file").load()
    assert state.frames == 1 + 8 + 16 and state.fps == 8.0, "33 frames at 16 a second are 17 at the film's 8"
    poses, lenses = state.cameras(range(8, 25))
    expected = move("dolly", 33, 4.0, fps=16.0).resampled(8.0).scaled(0.25).after(poses[0])
    np.testing.assert_allclose(poses, expected.poses, atol=1e-6)
    np.testing.assert_allclose(lenses[:, 1] / lenses[:, 0], 1.6)


def test_a_file_that_changes_is_loaded_anew_and_only_then(server: HostServer, kit: Any) -> None:
    put(server, move("pan", 9), "changing.json")
    prompt: Prompt = {"load": load(kit, "changing.json"), "count": kit.node("PreviewAny", source=["load", 1])}
    assert server.client.queue(prompt).outputs["count"]["text"] == ["9"]
    assert server.client.queue(prompt).executed == []
    put(server, move("pan", 12), "changing.json")
    assert server.client.queue(prompt).outputs["count"]["text"] == ["12"]


def test_files_in_the_input_folder_are_listed_and_those_of_banks_are_not(server: HostServer, kit: Any) -> None:
    put(server, move(), "deep/er/listed.json")
    assert server.client.queue(kit.film("not a camera file", frames=8)).ok
    known = kit.listed(server, "SceneMemoryLoadTrajectory", "file", "deep/er/listed.json")
    assert not any(name.startswith("scene_memory/") for name in known)


@pytest.mark.parametrize("file", ["none", "../comfyui.log", "not there.json", "/etc/passwd"])
def test_a_file_that_is_not_listed_is_refused_before_anything_runs(server: HostServer, kit: Any, file: str) -> None:
    prompt: Prompt = {"load": load(kit, file), "count": kit.node("PreviewAny", source=["load", 1])}
    with pytest.raises(PromptRejected, match="choose a file with a camera path"):
        server.client.queue(prompt)


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        ("1 2 3\nnot numbers\n", {}, "its layout is not recognised"),
        ("", {}, "is empty"),
        (None, {"first_frame": 25}, r"first_frame is 25, and the path of wrong.json has 25 frames. Use 0 to 24"),
        (None, {"layout": "TUM"}, "wrong.json"),
        (None, {"camera": "cam01"}, "Leave camera empty"),
    ],
)
def test_a_file_that_holds_no_such_path_is_refused_in_words(
    server: HostServer, kit: Any, text: str | None, changed: dict[str, Any], message: str
) -> None:
    file = put(server, move(), "wrong.json")
    if text is not None:
        file.write_text(text, encoding="utf-8")
    prompt: Prompt = {"load": load(kit, "wrong.json", **changed)}
    run = server.client.queue({**prompt, "count": kit.node("PreviewAny", source=["load", 1])})
    assert run.error is not None and re.search(message, run.error["exception_message"]), run.error


def test_three_paths_are_joined_without_a_jerk(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {
        "a": {**kit.camera(None, "dolly", 12, 2.0)},
        "b": kit.camera(None, "pan", 20, 90.0),
        "c": kit.camera(None, "static", 12, 0.0),
    }
    for key in "abc":
        prompt[key]["inputs"]["easing"] = "even"
    prompt["join"] = join(kit, ["a", 0], ["b", 0], ["c", 0], blend=8)
    run = server.client.queue(with_file(kit, prompt, ["join", 0], "joined"))
    assert run.ok, run.error
    path = saved(server, run)
    even = {"fps": 8.0, "fov": 70.0, "aspect": 1.6, "radius": 2.0, "easing": "even"}
    parts = [
        make_preset(name, frames=frames, amount=amount, **even)
        for name, frames, amount in (("dolly", 12, 2.0), ("pan", 20, 90.0), ("static", 12, 0.0))
    ]
    np.testing.assert_allclose(path.poses, joined(parts, 8).poses, atol=1e-9)
    assert len(path) == 42
    changes = np.abs(np.diff(steps(path.poses), axis=0)).max(axis=1)
    assert changes.max() < 0.5 * np.abs(np.diff(steps(joined(parts).poses), axis=0)).max()


def test_a_single_path_is_retimed_scaled_and_turned_round(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {"move": kit.camera(None, "truck", 25, 2.0)}
    prompt["join"] = join(kit, ["move", 0], frames=50, easing="ease in", speed="1, 0.2, 1", scale=3.0, backwards=True)
    run = server.client.queue(with_file(kit, prompt, ["join", 0], "paced"))
    assert run.ok, run.error
    expected = move("truck", 25, 2.0).scaled(3.0).retimed(50, easing="ease in", speed=[1, 0.2, 1]).reversed()
    np.testing.assert_allclose(saved(server, run).poses, expected.poses, atol=1e-9)


@pytest.mark.parametrize(
    ("changed", "message"), [({"speed": "fast"}, "The speed curve is 'fast'"), ({"speed": "0"}, "never get there")]
)
def test_a_speed_curve_that_is_none_is_refused(server: HostServer, kit: Any, changed: Any, message: str) -> None:
    prompt: Prompt = {"move": kit.camera(None), "join": join(kit, ["move", 0], **changed)}
    run = server.client.queue({**prompt, "count": kit.node("PreviewAny", source=["join", 1])})
    assert run.error is not None and message in run.error["exception_message"]


def test_stock_3d_cameras_become_a_path_round_what_they_look_at(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {f"c{yaw}": stock_camera(kit, float(yaw)) for yaw in (0, 90, 180)}
    prompt["path"] = through(kit, [[f"c{yaw}", 0] for yaw in (0, 90, 180)], frames=41)
    run = server.client.queue(with_file(kit, prompt, ["path", 0], "round"))
    assert run.ok, run.error
    path = saved(server, run)
    up, out = 4.0 * math.sin(math.radians(20)), 4.0 * math.cos(math.radians(20))
    # three.js has y up and z towards the viewer; ours has y down and z away: a half turn about x.
    np.testing.assert_allclose(path.poses[0, :3, 3], [0.0, -0.5 - up, -out], atol=1e-5)
    np.testing.assert_allclose(path.poses[-1, :3, 3], [0.0, -0.5 - up, out], atol=1e-5)
    np.testing.assert_allclose(path.poses[20, :3, 3], [out, -0.5 - up, 0.0], atol=1e-5)
    to_target = np.array([0.0, -0.5, 0.0]) - path.poses[:, :3, 3]
    np.testing.assert_allclose(np.linalg.norm(to_target, axis=1), 4.0, atol=1e-4)
    np.testing.assert_allclose(to_target / 4.0, path.poses[:, :3, 2], atol=1e-4)
    assert 2 * math.degrees(math.atan(0.5 / path.intrinsics[0, 1])) == pytest.approx(40.0)
    assert path.intrinsics[0, 1] / path.intrinsics[0, 0] == pytest.approx(1.6)


def test_a_closed_path_of_3d_cameras_continues_a_film(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("by 3d cameras", frames=8)
    prompt |= {"c0": stock_camera(kit, 0.0), "c1": stock_camera(kit, 20.0)}
    prompt["camera2"] = through(
        kit, [["c0", 0], ["c1", 0]], frames=8, closed=True, scale=0.25, begins="where the film stands",
        memory=["shot", 0], fps=30.0,
    )  # fmt: skip
    prompt["shot2"] = kit.shot(["shot", 0], ["camera2", 0], seed=2, retriever=["fov", 0])
    prompt["video"]["inputs"]["memory"] = ["shot2", 0]
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("by 3d cameras").load()
    assert state.frames == 17 and state.fps == 8.0
    poses, _ = state.cameras([8, 12, 16])
    np.testing.assert_allclose(poses[2], poses[0], atol=1e-9)
    assert np.linalg.norm(poses[1, :3, 3] - poses[0, :3, 3]) > 0.2


def test_a_parallel_3d_camera_is_refused_by_its_name(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {"c0": stock_camera(kit, 0.0), "c1": stock_camera(kit, 20.0)}
    prompt["c1"]["inputs"]["camera_type"] = "orthographic"
    prompt["path"] = through(kit, [["c0", 0], ["c1", 0]])
    run = server.client.queue({**prompt, "count": kit.node("PreviewAny", source=["path", 1])})
    assert run.error is not None and "camera_1 is a camera of the type 'orthographic'" in run.error["exception_message"]


@pytest.mark.parametrize("name", STOCK_MOVES)
def test_the_numbers_for_wan_are_those_of_the_stock_node(server: HostServer, kit: Any, name: str) -> None:
    """Both nodes in one prompt, and a stock node that shows a tensor in words."""
    sizes = {"width": 96, "height": 64, "length": 21}
    prompt: Prompt = {"stock": kit.node("WanCameraEmbedding", camera_pose=name, speed=1.0, **sizes)}
    turn = {"Anti Clockwise (ACW)": -1.0, "ClockWise (CW)": 1.0}.get(name, 0.0)
    ways = {"Pan Up": (0, -1, 0), "Pan Down": (0, 1, 0), "Pan Left": (-1, 0, 0), "Pan Right": (1, 0, 0)}
    way = np.array({**ways, "Zoom In": (0, 0, 2), "Zoom Out": (0, 0, -2)}.get(name, (0, 0, 0)), dtype=float)
    poses = np.tile(np.eye(4), (21, 1, 1))
    for i in range(21):
        angle = (i / 21) * 1.0 * (np.pi / 3) * turn
        poses[i, :2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        poses[i, :3, 3] = (i / 21) * 1.0 * 1.5 * way
    # The stock node's lens is that of a 1280 x 720 picture, cropped to the size.
    put(server, Trajectory(poses, np.array([64 * (1280 / 720) * 0.5 / 96, 0.5, 0.5, 0.5]), 16.0), f"{name}.json")
    prompt["load"] = load(kit, f"{name}.json", begins="as it is")
    prompt["ours"] = wan(kit, ["load", 0], **sizes, lens="as it is")
    for key in ("stock", "ours"):
        prompt[f"{key} shown"] = kit.node("PreviewAny", source=[key, 0])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    ours, theirs = (run.outputs[f"{key} shown"]["text"][0] for key in ("ours", "stock"))
    assert ours.replace("-0.0000", " 0.0000") == theirs.replace("-0.0000", " 0.0000") and "tensor" in ours


def test_a_path_for_wan_goes_through_the_stock_nodes(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {"move": kit.camera(None, "walk", 50, 60.0), "ours": wan(kit, ["move", 0], length=13)}
    prompt["sizes"] = kit.node("PreviewAny", source=["ours", 3])
    run = server.client.queue(prompt)
    assert run.ok and run.outputs["sizes"]["text"] == ["13"], run.error


def test_a_part_of_a_path_that_is_too_short_for_wan_is_refused_with_the_cure(server: HostServer, kit: Any) -> None:
    prompt: Prompt = {"move": kit.camera(None, "pan", 25)}
    prompt["ours"] = wan(kit, ["move", 0], take="from first_frame on", first_frame=10)
    run = server.client.queue({**prompt, "size": kit.node("PreviewAny", source=["ours", 1])})
    assert (
        run.error is not None and "has 15 from first_frame 10 on. Use a length of 13" in run.error["exception_message"]
    )


def test_a_path_is_shown_with_and_without_a_memory(server: HostServer, kit: Any) -> None:
    prompt = kit.film("shown path", frames=8)
    prompt["coming"] = kit.camera(["shot", 0], "orbit", 24, 90.0)
    inputs = {"trajectory": ["coming", 0]}
    prompt["plain"] = kit.node("SceneMemoryPreviewTrajectory", **inputs)
    prompt["seen"] = kit.node("SceneMemoryPreviewTrajectory", **inputs, memory=["shot", 0])
    prompt["words"] = kit.node("PreviewAny", source=["seen", 1])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    plain, seen = (
        cv2.imread(str(server.base / "temp" / run.outputs[key]["images"][0]["filename"])) for key in ("plain", "seen")
    )
    assert plain.shape == seen.shape and plain.shape[1] > 1200
    assert (np.abs(plain.astype(int) - seen).max(axis=2) > 20).sum() > 500, "the memory's cameras are drawn"
    assert "24 frames, 3.00 s at 8 frames a second" in run.outputs["words"]["text"][0]


def test_a_file_that_masses_of_newer_ones_crowd_out_of_the_list_runs(server: HostServer, kit: Any) -> None:
    put(server, move("pan", 9), "captions/old.json")
    os.utime(server.base / "input" / "captions" / "old.json", (0, 0))
    captions = [server.base / "input" / "captions" / f"img_{number:04}.txt" for number in range(1100)]
    try:
        for caption in captions:
            caption.write_text("a photo of a dog")
        shown = server.client.object_info("SceneMemoryLoadTrajectory")["SceneMemoryLoadTrajectory"]
        assert "captions/old.json" not in shown["input"]["required"]["file"][1]["options"]
        prompt: Prompt = {"load": load(kit, "captions/old.json")}
        run = server.client.queue({**prompt, "count": kit.node("PreviewAny", source=["load", 1])})
        assert run.ok and run.outputs["count"]["text"] == ["9"], run.error
    finally:
        for caption in captions:
            caption.unlink()

"""The nodes that look into a memory, edit it, and carry it about, in the real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]


def info(kit: Any, memory: list[Any]) -> dict[str, Any]:
    """Memory Info, and a stock node that shows its text."""
    return {
        "info": kit.node("SceneMemoryInfo", memory=memory, thumbnails=6),
        "words": kit.node("PreviewAny", source=["info", 1]),
    }


def edited(kit: Any, name: str, length: int = 16, **edit: Any) -> dict[str, Any]:
    """A shot, an edit of its memory, and one more shot that turns away and comes back."""
    prompt = kit.film(name, frames=length)
    inputs = {"action": "pin", "frames": "last 8", "strength": 1.0, **edit}
    prompt["edit"] = kit.node("SceneMemoryEditor", memory=["shot", 0], **inputs)
    prompt["camera2"] = kit.camera(["edit", 0], "turn away and come back", 8)
    prompt["shot2"] = kit.shot(["edit", 0], ["camera2", 0], seed=2, retriever=["fov", 0])
    prompt["video"]["inputs"]["memory"] = ["shot2", 0]
    return prompt


def context_of_the_last_segment(bank: Bank) -> set[int]:
    return set(bank.load().segments[-1].info["context"])


def test_memory_info_shows_a_picture_and_says_the_same_in_words(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = {**kit.film("informed", frames=16), **info(kit, ["shot", 0])}
    run = server.client.queue(prompt)
    assert run.ok, run.error
    (picture,) = run.outputs["info"]["images"]
    shown = cv2.imread(str(server.base / "temp" / picture["filename"]))
    assert shown.shape[0] > 500 and shown.shape[1] > 1000
    text = run.outputs["words"]["text"][0]
    assert "17 frames, 2.1 s, 2 shots" in text and "96 x 60 at 8 frames a second" in text
    assert open_bank("informed").load().id[:12] in text and "on disk" in text
    assert server.client.queue(prompt).executed == []


def test_pinned_frames_are_always_given_to_the_model_and_the_bank_keeps_the_pin(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = edited(kit, "pinned", action="pin", frames="3, 9-10")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert run.outputs["edit"]["images"]
    assert {3, 9, 10} <= context_of_the_last_segment(open_bank("pinned"))
    state = open_bank("pinned").load()
    assert state.flags(range(state.frames)).pinned.nonzero()[0].tolist() == [3, 9, 10]
    assert server.client.queue(prompt).executed == []


@pytest.mark.parametrize("edit", [{"action": "exclude"}, {"action": "strength", "strength": 0.0}])
def test_excluded_frames_and_frames_of_no_strength_are_never_given(
    server: HostServer, kit: Any, open_bank: OpenBank, edit: dict[str, Any]
) -> None:
    name = f"without {edit['action']}"
    run = server.client.queue(edited(kit, name, frames="0-12", **edit))
    assert run.ok, run.error
    assert context_of_the_last_segment(open_bank(name)) <= set(range(13, 17))


def test_what_was_superseded_is_not_found_again(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    """The shot turns away and comes back: its last frames show the place of its first ones as it is now."""
    run = server.client.queue(edited(kit, "fallen table", frames="last 2", action="superseded"))
    assert run.ok, run.error
    state = open_bank("fallen table").load()
    outdated = set(state.flags(range(state.frames)).superseded.nonzero()[0].tolist())
    assert {0, 1} <= outdated and max(outdated) < 15
    assert state.edits[-1].kind == "supersede" and state.edits[-1].by == 15
    assert not context_of_the_last_segment(open_bank("fallen table")) & outdated


def test_frames_that_are_superseded_by_hand_and_restored(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = edited(kit, "by hand", frames="last 2", action="superseded", outdated="2-4, 8")
    prompt["again"] = kit.node("SceneMemoryEditor", memory=["edit", 0], action="restore", frames="3", strength=1.0)
    prompt["camera2"]["inputs"]["memory"] = prompt["shot2"]["inputs"]["memory"] = ["again", 0]
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("by hand").load()
    assert state.flags(range(state.frames)).superseded.nonzero()[0].tolist() == [2, 4, 8]


def test_an_edit_makes_only_what_follows_it_anew(server: HostServer, kit: Any) -> None:
    prompt = edited(kit, "edit again", frames="3")
    assert server.client.queue(prompt).ok
    run = server.client.queue(kit.changed(prompt, "edit", frames="4"))
    assert sorted(run.executed) == ["camera2", "edit", "shot2", "video"]


def test_continue_has_the_edits(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    assert server.client.queue(edited(kit, "goes on", action="exclude", frames="0-5")).ok
    prompt = kit.changed(kit.film("goes on", frames=8), "bank", mode="continue")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("goes on").load()
    assert state.frames == 17 + 8 + 8
    assert state.flags(range(state.frames)).excluded.nonzero()[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_frames_come_out_with_the_cameras_that_took_them(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("frames out", frames=16)
    prompt["frames"] = kit.node("SceneMemoryFrames", memory=["shot", 0], frames="2, 9", at_most=64)
    prompt["saved"] = kit.node("SaveImage", images=["frames", 0], filename_prefix="frames out")
    prompt["new"] = kit.node(
        "SceneMemoryBank", **{**kit.place("begins at frame 2")["bank"]["inputs"], "start_image": ["one", 0]}
    )
    prompt["one"] = kit.node("ImageFromBatch", image=["frames", 0], batch_index=0, length=1)
    prompt["new"]["inputs"]["start_camera"] = ["frames", 1]
    prompt["other"] = kit.node(
        "SceneMemoryRememberPictures", memory=["new", 0], images=["frames", 0], trajectory=["frames", 1]
    )
    prompt["other video"] = kit.save(["other", 0], "other")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("frames out").load()
    files = [cv2.imread(str(server.output / file["filename"]))[..., ::-1] for file in run.outputs["saved"]["images"]]
    assert np.array_equal(np.stack(files), state.read_frames([2, 9]))
    other = open_bank("begins at frame 2").load()
    assert np.array_equal(other.read_frames(range(3)), state.read_frames([2, 2, 9]))
    assert np.array_equal(other.cameras(range(3))[0], state.cameras([2, 2, 9])[0])


def test_more_frames_than_wanted_are_thinned_evenly(server: HostServer, kit: Any) -> None:
    prompt = kit.film("thinned", frames=16)
    prompt["frames"] = kit.node("SceneMemoryFrames", memory=["shot", 0], frames="all", at_most=5)
    prompt["saved"] = kit.node("SaveImage", images=["frames", 0], filename_prefix="thinned")
    run = server.client.queue(prompt)
    assert run.ok and len(run.outputs["saved"]["images"]) == 5


def saved_file(server: HostServer, kit: Any, name: str, frames: int = 8) -> str:
    """Saves a film's memory and gives the file's name as the combos list it."""
    prompt = kit.film(name, frames=frames)
    prompt["save"] = kit.node("SceneMemorySave", memory=["shot", 0], filename_prefix=f"memory/{name}")
    prompt["file"] = kit.node("PreviewAny", source=["save", 1])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    return str(run.outputs["file"]["text"][0])


def test_a_memory_goes_through_a_file_unharmed(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    file = saved_file(server, kit, "to share")
    assert file in kit.listed(server, "SceneMemoryLoad", "file", file)
    prompt = {"load": kit.node("SceneMemoryLoad", file=file, name="shared")}
    prompt["video"] = kit.save(["load", 0], "shared")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    before, after = open_bank("to share").load(), open_bank("shared").load()
    assert before.id == after.id
    assert np.array_equal(before.read_frames(range(9)), after.read_frames(range(9)))
    assert server.client.queue(prompt).executed == []


def test_an_imported_memory_is_filmed_on_and_the_file_gives_it_again(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    """Also after a restart, when the bank that came from the file has grown."""
    file = saved_file(server, kit, "first half")
    prompt = kit.changed(kit.film("second half", frames=8), "bank", mode="import", file=file)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    longer = open_bank("second half").load()
    assert longer.frames == 17 and longer.segments[-2].id == open_bank("first half").load().id
    assert server.client.queue(prompt).executed == []
    server.restart()
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert open_bank("second half").load().id == longer.id


def test_an_earlier_take_comes_back_by_its_short_id(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    for seed in (1, 2):
        assert server.client.queue(kit.film("takes", frames=8, seed=seed)).ok
    bank = open_bank("takes")
    newest, earlier = bank.load(), bank.load(bank.history()[0])
    shown = server.client.queue({**kit.film("takes", frames=8, seed=2), **info(kit, ["shot", 0])})
    assert earlier.id[:12] in shown.outputs["words"]["text"][0]
    prompt = kit.changed(kit.film("takes", frames=8, seed=3), "bank", mode="continue", earlier=earlier.id[:12])
    run = server.client.queue(prompt)
    assert run.ok, run.error
    now = open_bank("takes").load()
    assert now.segments[-2].id == earlier.id and newest.id in open_bank("takes").history()
    assert server.client.queue(prompt).executed == []


def test_several_start_images_are_refused_with_the_node_that_takes_them(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    for name, count in (("one picture", 1), ("three pictures", 3)):
        prompt = {**kit.place(name), **info(kit, ["bank", 0])}
        prompt["pictures"] = kit.node("EmptyImage", width=96, height=60, batch_size=count, color=0x804020)
        prompt["bank"]["inputs"]["start_image"] = ["pictures", 0]
        run = server.client.queue(prompt)
        assert run.ok == (count == 1)
        if count > 1:
            assert "start_image has 3 pictures" in run.error["exception_message"]
            assert "Remember Pictures" in run.error["exception_message"]
            assert not (server.output / "scene_memory" / name).exists()
        else:
            assert open_bank(name).load().frames == 1


def test_the_start_images_depth_is_kept_in_scene_units(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.changed(kit.film("deep", frames=8), "bank", depth_kind="white is far (linear)", depth_scale=20.0)
    prompt["bank"]["inputs"]["start_depth"] = ["scene", 2]
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("deep").load()
    depth = state.depth([0])[0]
    assert state.has_depth and np.isfinite(depth).all()
    assert 0.3 < depth.min() < depth.max() < 30.0, "a room is metres wide"
    assert depth[-1].mean() < depth[len(depth) // 2].mean(), "the floor at our feet is nearer than the wall"


def test_a_bank_stays_within_its_size_and_says_what_it_dropped(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    free = kit.film("no limit", frames=64)
    assert server.client.queue(free).ok
    most = open_bank("no limit").size_bytes() / 2
    begun = len(server.log_text())
    run = server.client.queue(kit.changed(kit.film("small", frames=64), "bank", max_size_gb=most / 1e9))
    assert run.ok, run.error
    bank = open_bank("small")
    state = bank.load()
    assert bank.size_bytes() <= most
    assert state.frames == 65 and state.flags(range(65)).dropped.any()
    assert bank.kept(state, [0, *range(57, 65)]).all(), "the first frame and the newest segment stay"
    assert "Memory bank 'small' passed its limit" in server.log_text()[begun:]


@pytest.mark.parametrize("mode", ["new", "import"])
def test_a_bank_that_was_deleted_by_hand_is_made_again(
    server: HostServer, kit: Any, open_bank: OpenBank, mode: str
) -> None:
    prompt = kit.film(f"deleted {mode}", frames=8)
    if mode == "import":
        prompt = kit.changed(prompt, "bank", mode="import", file=saved_file(server, kit, "kept elsewhere"))
    assert server.client.queue(prompt).ok
    first = open_bank(f"deleted {mode}").load().id
    shutil.rmtree(server.output / "scene_memory" / f"deleted {mode}")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert "bank" in run.executed and open_bank(f"deleted {mode}").load().id == first


def test_continue_looks_again_when_another_graph_has_added_to_the_bank(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    assert server.client.queue(kit.film("watched", frames=8)).ok
    look = {"bank": kit.changed(kit.place("watched"), "bank", mode="continue")["bank"], **info(kit, ["bank", 0])}
    del look["bank"]["inputs"]["start_image"]
    assert "9 frames" in server.client.queue(look).outputs["words"]["text"][0]
    assert server.client.queue(look).executed == []
    longer = kit.changed(kit.film("watched", frames=8), "bank", mode="continue")
    assert server.client.queue(longer).ok
    run = server.client.queue(look)
    assert "17 frames" in run.outputs["words"]["text"][0] and "bank" in run.executed

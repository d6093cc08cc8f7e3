"""Films made by the real server: what is made, what is kept, what is made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]


def test_a_film_is_made_remembered_and_saved(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("whole film", frames=16)
    prompt["preview"] = kit.node("PreviewImage", images=["fov", 1])
    prompt["fov"]["inputs"].update(memory=["bank", 0], trajectory=["camera", 0])
    server.restart()  # nothing is cached that another test made
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert set(run.executed) == set(prompt)
    state = open_bank("whole film").load()
    assert state.frames == 17 and state.size == (60, 96) and state.fps == 8.0
    assert [record.frames for record in state.segments] == [1, 8, 8]
    assert state.segments[2].info["context"], "the second segment was given no context frames"
    (saved,) = run.outputs["video"]["images"]
    with av.open(str(server.output / saved["subfolder"] / saved["filename"])) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height) == (192, 120)
        assert sum(1 for _ in file.decode(video=0)) == 17
        assert file.duration is not None and file.duration / av.time_base == pytest.approx(17 / 8, abs=0.01)
        assert set(json.loads(file.metadata["prompt"])) == set(prompt)


def test_a_shot_alone_goes_to_the_stock_save_video(server: HostServer, kit: Any) -> None:
    prompt = kit.film("shot alone", frames=16)
    prompt["saved"] = kit.node("SaveVideo", video=["shot", 1], filename_prefix="alone", format="auto", codec="auto")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    (saved,) = run.outputs["saved"]["images"]
    with av.open(str(server.output / saved["subfolder"] / saved["filename"])) as file:
        assert sum(1 for _ in file.decode(video=0)) == 16


def test_the_shot_moves_and_is_no_copy_of_its_start(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    assert server.client.queue(kit.film("moving", frames=16)).ok
    state = open_bank("moving").load()
    frames = state.read_frames(range(17)).astype(np.float64) / 255
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.004
    assert np.abs(frames[8] - frames[0]).mean() > 0.02


def test_nothing_is_made_again_when_nothing_changed(server: HostServer, kit: Any) -> None:
    prompt = kit.film("cached")
    server.client.queue(prompt)
    run = server.client.queue(prompt)
    assert run.cached == set(prompt) and run.executed == []


def test_only_the_shot_that_changed_is_made_again(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("three shots")
    for number, before in ((2, "shot"), (3, "shot2")):
        prompt[f"camera{number}"] = kit.camera([before, 0])
        prompt[f"shot{number}"] = kit.shot([before, 0], [f"camera{number}", 0], seed=number, retriever=["fov", 0])
    prompt["video"]["inputs"]["memory"] = ["shot3", 0]
    server.client.queue(prompt)
    assert open_bank("three shots").load().shots == 4
    run = server.client.queue(kit.changed(prompt, "shot3", seed=33))
    assert sorted(run.executed) == ["shot3", "video"]


def test_two_branches_of_one_memory_never_see_each_other(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    """Both branches, made in one run from one cached memory, are what each is when made alone."""
    prompt = kit.film("branches", seed=11)
    prompt["shot B"] = kit.shot(["bank", 0], ["camera", 0], seed=22, retriever=["fov", 0])
    prompt["video B"] = kit.save(["shot B", 0], "branch B")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    bank = open_bank("branches")
    together = {bank.load().id, *(bank.load(head).id for head in bank.history())}
    again = server.client.queue(kit.changed(prompt, "shot B", seed=33))
    assert sorted(again.executed) == ["shot B", "video B"]
    alone = set()
    for seed in (11, 22):
        assert server.client.queue(kit.film(f"alone {seed}", seed=seed)).ok
        alone.add(open_bank(f"alone {seed}").load().id)
    assert len(alone) == 2 and alone <= together
    assert bank.load().segments[0].id == bank.load(sorted(bank.history())[0]).segments[0].id


def test_the_same_seed_makes_the_same_film_and_another_seed_another(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    ids = []
    for name, seed in (("same 1", 5), ("same 2", 5), ("other", 6)):
        assert server.client.queue(kit.film(name, seed=seed)).ok
        ids.append(open_bank(name).load().id)
    assert ids[0] == ids[1] != ids[2]


def test_cancel_keeps_every_finished_segment_and_the_film_can_go_on(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    steps = 2  # of a segment of 8 frames; at the first step of the fourth, three are in the bank
    prompt = kit.film("cancelled", frames=400)
    pressed = False

    def press_cancel(kind: str, data: dict[str, Any]) -> None:
        nonlocal pressed
        if not pressed and kind == "progress" and data.get("node") == "shot" and data["value"] > 3 * steps:
            pressed = True
            server.client.interrupt()

    run = server.client.queue(prompt, on_event=press_cancel)
    assert pressed and run.interrupted
    kept = open_bank("cancelled").load()
    assert 1 + 3 * 8 <= kept.frames < 401
    going_on = kit.changed(kit.film("cancelled"), "bank", mode="continue")
    del going_on["bank"]["inputs"]["start_image"]
    run = server.client.queue(going_on)
    assert run.ok, run.error
    longer = open_bank("cancelled").load()
    assert longer.frames == kept.frames + 16
    assert longer.segments[len(kept.segments) - 1].id == kept.id


def test_a_memory_begun_anew_leaves_the_older_one_in_the_history(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    server.client.queue(kit.film("anew", seed=1))
    first = open_bank("anew").load().id
    server.client.queue(kit.film("anew", seed=2))
    bank = open_bank("anew")
    assert bank.load().id != first and first in bank.history()


def test_a_shot_can_begin_with_no_memory_at_all(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("from nothing", frames=9)
    del prompt["bank"]["inputs"]["start_image"]
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("from nothing").load()
    assert state.frames == 9 and state.segments[0].info["context"] == []


def test_progress_and_pictures_come_while_a_shot_is_made(server: HostServer, kit: Any) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    server.client.queue(kit.film("progress", frames=24), on_event=lambda kind, data: events.append((kind, data)))
    steps = [data["value"] for kind, data in events if kind == "progress" and data.get("node") == "shot"]
    assert steps == sorted(steps) and len(set(steps)) >= 3 and steps[-1] == 6
    previews = [data["bytes"] for kind, data in events if kind == "preview"]
    assert any(b"\xff\xd8\xff" in preview for preview in previews), "no JPEG came while the shot was made"

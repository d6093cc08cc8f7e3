"""Films under max_size_gb in the real server: taken up again after a kill or a restart, and read by every node."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]
SEGMENT, STEPS, FRAMES = 8, 2, 48


def limited(kit: Any, name: str, most: int, **more: Any) -> dict[str, Any]:
    return dict(kit.changed(kit.film(name, frames=FRAMES), "bank", max_size_gb=most / 1e9, **more))


def readers(kit: Any, prompt: dict[str, Any]) -> dict[str, Any]:
    """The film, and all nodes that read its pictures."""
    memory = ["shot", 0]
    return {
        **prompt,
        "frames": kit.node("SceneMemoryFrames", memory=memory, frames="all", at_most=4096),
        "shown": kit.node("PreviewImage", images=["frames", 0]),
        "info": kit.node("SceneMemoryInfo", memory=memory, thumbnails=60),
        "words": kit.node("PreviewAny", source=["info", 1]),
        "saved": kit.node("SceneMemorySave", memory=memory, filename_prefix="memory/limited"),
        "one shot": kit.node("SaveVideo", video=["shot", 1], filename_prefix="video/one", format="mp4", codec="h264"),
    }


def test_a_limit_that_is_set_on_a_finished_film_costs_pictures_only_and_every_reader_works(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    assert server.client.queue(kit.film("set later", frames=FRAMES)).ok
    bank = open_bank("set later")
    whole, size = bank.load(), bank.size_bytes()
    segments = {path.name for path in bank.segments_path.iterdir()}
    prompt = readers(kit, limited(kit, "set later", int(0.6 * size)))
    for restarted in (False, True):
        if restarted:
            server.kill()
            server.start()
        begun = len(server.log_text())
        run = server.client.queue(prompt)
        assert run.ok, run.error
        assert "6 of 6 segments of this shot were in the bank already" in server.log_text()[begun:]
        state = bank.load()
        kept = bank.kept(state, range(state.frames))
        assert {path.name for path in bank.segments_path.iterdir()} == segments and state.frames == whole.frames
        assert 0.4 * state.frames < kept.sum() < 0.75 * state.frames
        assert len(run.outputs["shown"]["images"]) == kept.sum()
    again = server.client.queue(kit.film("set later", frames=FRAMES))
    assert again.ok and bank.load() == state


KILLED = [
    pytest.param(3 * STEPS + 1, id="middle"),
    pytest.param(6 * STEPS, id="last segment", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("steps", KILLED)
def test_a_film_under_a_limit_whose_server_was_killed_is_the_same_film(
    server: HostServer, kit: Any, open_bank: OpenBank, steps: int
) -> None:
    if not (server.output / "scene_memory" / "no limit").is_dir():
        assert server.client.queue(kit.film("no limit", frames=FRAMES)).ok
    most, name = int(0.5 * open_bank("no limit").size_bytes()), f"limited, killed {steps}"
    assert server.client.queue(limited(kit, f"limited {steps}", most)).ok

    def kill(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data.get("node") == "shot" and data["value"] >= steps and server.running:
            os.kill(server.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    with pytest.raises(ConnectionError):
        server.client.queue(limited(kit, name, most), on_event=kill, timeout=120)
    server.kill()
    server.start()
    run = server.client.queue(readers(kit, limited(kit, name, most)))
    assert run.ok, run.error
    expected, found = open_bank(f"limited {steps}").load(), open_bank(name).load()
    assert found == expected and found.flags(range(found.frames)).dropped.any()
    kept = [one.bank.kept(one, range(one.frames)).tolist() for one in (found, expected)]
    assert kept[0] == kept[1]


def test_a_limit_deletes_what_another_graph_made_only_when_it_is_told_to(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    assert server.client.queue(kit.film("shared name", frames=16)).ok
    bank = open_bank("shared name")
    mine = bank.load()
    theirs = kit.changed(kit.film("shared name", frames=16), "scene", seed=99)
    run = server.client.queue(kit.changed(theirs, "bank", max_size_gb=0.00001))
    assert run.ok, run.error
    again = bank.load(mine.id)
    assert again.read_frames(range(again.frames)).shape[0] == mine.frames
    assert "the earlier ones in the bank stay as they are" in server.log_text()
    wanted = kit.changed(theirs, "bank", max_size_gb=0.00001, limit_covers="the whole bank, earlier films too")
    longer = kit.changed(wanted, "shot", seed=5)
    assert server.client.queue(longer).ok
    assert mine.id not in bank.history() and bank.load().frames == mine.frames


def test_a_limit_that_is_no_number_is_refused_in_words(server: HostServer, kit: Any) -> None:
    run = server.client.queue(kit.changed(kit.film("no size", frames=8), "bank", max_size_gb=float("nan")))
    assert not run.ok and "max_size_gb is nan: it is a number of GB from 0. Use 0 for no limit." in str(run.error)

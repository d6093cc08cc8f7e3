"""Work is never lost: what is in the bank is taken from there, and what is made is what would have been made anyway."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]
STEPS, SEGMENT = 2, 8


@contextmanager
def said(server: HostServer) -> Iterator[list[tuple[int, int]]]:
    """What the log said while the block ran: for each shot, how many of its segments were there already, and of all."""
    before, found = len(server.log_text()), []
    yield found
    told = re.findall(r"(\d+) of (\d+) segments of this shot were in the bank already", server.log_text()[before:])
    found += [(int(there), int(of)) for there, of in told]


def whole(bank: Bank) -> dict[str, bytes]:
    """Every file of a bank that says what the memory is."""
    return {
        path.relative_to(bank.path).as_posix(): path.read_bytes()
        for path in sorted(bank.path.rglob("*"))
        if path.is_file() and path.suffix in (".json", ".safetensors") and path.parent.name != "history"
    }


def said_otherwise(kit: Any, prompt: dict[str, Any]) -> dict[str, Any]:
    """The same film in other words, so that the server runs the shot again: the size is that of the memory anyway."""
    return dict(kit.changed(prompt, "shot", width=96, height=60))


def five_shots(kit: Any, bank: str) -> dict[str, Any]:
    prompt = kit.film(bank, frames=SEGMENT)
    for number in range(2, 6):
        before = "shot" if number == 2 else f"shot{number - 1}"
        prompt[f"camera{number}"] = kit.camera([before, 0], frames=SEGMENT)
        prompt[f"shot{number}"] = kit.shot([before, 0], [f"camera{number}", 0], seed=number, retriever=["fov", 0])
    prompt["video"]["inputs"]["memory"] = ["shot5", 0]
    return prompt


KILLED = [
    pytest.param(1, id="first segment", marks=pytest.mark.slow),
    pytest.param(3 * STEPS + 1, id="middle"),
    pytest.param(5 * STEPS, id="last segment", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("steps", KILLED)
def test_a_film_whose_server_was_killed_goes_on_and_ends_as_if_nothing_had_happened(
    server: HostServer, kit: Any, open_bank: OpenBank, steps: int
) -> None:
    frames, name = 6 * SEGMENT, f"killed {steps}"
    assert server.client.queue(kit.film("never killed", frames=frames)).ok

    def kill(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress" and data.get("node") == "shot" and data["value"] >= steps and server.running:
            os.kill(server.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    with pytest.raises(ConnectionError):
        server.client.queue(kit.film(name, frames=frames), on_event=kill, timeout=120)
    server.kill()
    kept = open_bank(name).load().frames
    # The segment before the one that was being made may have been on its way to the disk.
    assert 1 + SEGMENT * ((steps - 1) // STEPS - 1) <= kept < 1 + frames
    server.start()
    with said(server) as told:
        assert server.client.queue(kit.film(name, frames=frames)).ok
    assert told == ([((kept - 1) // SEGMENT, 6)] if kept > 1 else [])
    found, expected = whole(open_bank(name)), whole(open_bank("never killed"))
    assert sorted(found) == sorted(expected)
    assert {path for path in found if found[path] != expected[path]} == set()


@pytest.mark.slow
def test_a_server_killed_at_many_random_instants_loses_nothing_that_was_kept(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    """`SCENE_MEMORY_SERVER_KILLS` says how often: each costs a start of ComfyUI."""
    frames, random = 6 * SEGMENT, Random(2)
    assert server.client.queue(kit.film("unharmed", frames=frames)).ok
    begin = time.monotonic()
    assert server.client.queue(kit.film("unharmed, timed", frames=frames)).ok
    seconds = time.monotonic() - begin
    expected, kept = whole(open_bank("unharmed")), []
    for number in range(int(os.environ.get("SCENE_MEMORY_SERVER_KILLS", "200"))):
        name = f"killed at random {number}"
        killed = getattr(signal, "SIGKILL", signal.SIGTERM)
        killer = threading.Timer(random.uniform(0, seconds), os.kill, (server.pid, killed))
        killer.start()
        try:
            server.client.queue(kit.film(name, frames=frames), timeout=120)
        except ConnectionError:
            pass
        finally:
            killer.join()
        server.kill()
        there = (server.output / "scene_memory" / name / "head.json").is_file()
        kept.append(open_bank(name).load().frames if there else 0)
        server.start()
        assert server.client.queue(kit.film(name, frames=frames)).ok
        found = whole(open_bank(name))
        assert {path for path in expected | found if found.get(path) != expected.get(path)} == set()
    assert len(set(kept)) >= min(3, len(kept)), "every kill fell on the same segment"


def test_a_cancelled_film_goes_on_when_it_is_queued_again(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt, pressed = kit.film("cancelled and queued", frames=5 * SEGMENT), False

    def press_cancel(kind: str, data: dict[str, Any]) -> None:
        nonlocal pressed
        if not pressed and kind == "progress" and data.get("node") == "shot" and data["value"] > 2 * STEPS:
            pressed = True
            server.client.interrupt()

    run = server.client.queue(prompt, on_event=press_cancel)
    assert run.interrupted
    kept = (open_bank("cancelled and queued").load().frames - 1) // SEGMENT
    assert 2 <= kept < 5
    with said(server) as told:
        assert server.client.queue(prompt).ok
    assert told == [(kept, 5)]
    assert server.client.queue(kit.film("never cancelled", frames=5 * SEGMENT)).ok
    assert whole(open_bank("cancelled and queued")) == whole(open_bank("never cancelled"))


def test_rolling_the_third_of_five_shots_again_leaves_the_first_two_and_keeps_the_old_ones(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = five_shots(kit, "five shots")
    assert server.client.queue(prompt).ok
    first = open_bank("five shots").load()
    segments = {path: (open_bank("five shots").segments_path / path).stat().st_mtime_ns for path in names(open_bank)}

    other = server.client.queue(kit.changed(prompt, "shot3", seed=33))
    assert other.ok and {"shot", "shot2"} <= other.cached
    rolled = open_bank("five shots").load()
    assert [record.id for record in rolled.segments[:3]] == [record.id for record in first.segments[:3]]
    assert all(a.id != b.id for a, b in zip(rolled.segments[3:], first.segments[3:], strict=True))

    with said(server) as told:
        again = server.client.queue(prompt)
    assert again.ok and {"shot3", "shot4", "shot5"} <= set(again.executed)
    assert told == [(1, 1)] * 3
    assert open_bank("five shots").load().id == first.id
    folder = open_bank("five shots").segments_path
    assert {path: (folder / path).stat().st_mtime_ns for path in segments} == segments, "a segment was written anew"


def names(open_bank: OpenBank) -> list[str]:
    return [path.name for path in sorted(open_bank("five shots").segments_path.glob("*.safetensors"))]


def test_changing_the_last_shot_after_a_restart_makes_only_that(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    prompt = five_shots(kit, "last shot")
    assert server.client.queue(prompt).ok
    before = open_bank("last shot").load()
    server.restart()
    with said(server) as told:
        run = server.client.queue(kit.changed(prompt, "shot5", seed=55))
    assert run.ok and set(run.executed) == set(prompt)
    assert told == [(1, 1)] * 4
    after = open_bank("last shot").load()
    assert [a.id == b.id for a, b in zip(after.segments, before.segments, strict=True)] == [True] * 5 + [False]


def test_what_is_taken_from_the_bank_moves_the_progress_bar_and_is_shown(server: HostServer, kit: Any) -> None:
    prompt = kit.film("shown again", frames=4 * SEGMENT)
    assert server.client.queue(prompt).ok
    events: list[tuple[str, dict[str, Any]]] = []
    run = server.client.queue(said_otherwise(kit, prompt), on_event=lambda kind, data: events.append((kind, data)))
    assert run.ok and "shot" in run.executed
    values = [data["value"] for kind, data in events if kind == "progress" and data.get("node") == "shot"]
    assert values == sorted(values) and values[-1] == 4 * STEPS and len(values) >= 4
    assert any(kind == "preview" for kind, _ in events)


def test_a_damaged_segment_is_made_again(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("damaged segment", frames=4 * SEGMENT)
    assert server.client.queue(prompt).ok
    bank = open_bank("damaged segment")
    before = whole(bank)
    path: Path = bank.segments_path / f"{bank.load().segments[2].id}.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)
    with said(server) as told:
        assert server.client.queue(said_otherwise(kit, prompt)).ok
    assert told == [(3, 4)]
    assert whole(bank) == before


def test_another_camera_path_prompt_or_setting_is_never_taken_for_the_same(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    base = kit.film("told apart", frames=SEGMENT)
    variants = {
        "as it is": base,
        "camera": kit.changed(base, "camera", amount=31.0),
        "prompt": kit.changed(base, "text", text="a dim landscape"),
        "seed": kit.changed(base, "shot", seed=2),
        "cfg": kit.changed(base, "shot", cfg=2.0, negative=["text", 0]),
        "steps": kit.changed(base, "moc", steps=3),
        "sampler": kit.changed(base, "moc", sampler_name="heun"),
        "routing": kit.changed(base, "moc", top_k=2),
        "place": kit.changed(base, "scene", seed=8),
    }
    for name, prompt in variants.items():
        with said(server) as told:
            assert server.client.queue(prompt).ok, name
        assert told == [], f"{name} was taken for one made before"
    for same in (said_otherwise(kit, base), kit.changed(base, "fov", k=2)):
        with said(server) as told:
            assert server.client.queue(same).ok
        assert told == [(1, 1)], "one frame is remembered, whatever k is"


def test_depth_that_is_connected_is_kept_with_the_frames(server: HostServer, kit: Any, open_bank: OpenBank) -> None:
    prompt = kit.film("with depth", frames=SEGMENT)
    del prompt["bank"]["inputs"]["start_image"]
    prompt["grey"] = kit.node("EmptyImage", width=96, height=60, batch_size=SEGMENT, color=0x808080)
    prompt["shot"]["inputs"].update(depth=["grey", 0], depth_kind="white is far (linear)", depth_scale=10.0)
    run = server.client.queue(prompt)
    assert run.ok, run.error
    state = open_bank("with depth").load()
    assert state.has_depth and abs(float(state.depth([3]).mean()) - 10 * 128 / 255) < 0.01
    few = server.client.queue(kit.changed(prompt, "grey", batch_size=3))
    assert few.error is not None and "3 depth maps" in few.error["exception_message"]

"""The bank: what goes in comes out, nothing is lost, and a crash at any instant leaves the last good memory."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from scene_memory.memory import files as storage
from scene_memory.memory.bank import head as head_module
from scene_memory.memory.bank import packs, segment_file
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.codec import decode_frame
from scene_memory.memory.bank.names import bank_names
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.state import EMPTY_ID, MemoryState

Filmed = Callable[..., MemoryState]


def same(a: MemoryState, b: MemoryState) -> bool:
    return (
        a == b
        and list(a.segments) == list(b.segments)
        and all(
            getattr(a, name).tobytes() == getattr(b, name).tobytes()
            for name in ("poses", "intrinsics", "times", "shot_ids", "segment_ids")
        )
        and (a.frames, a.size, a.fps, a.shots) == (b.frames, b.size, b.fps, b.shots)
    )


def test_a_new_bank_is_empty_and_listed(tmp_path: Path):
    assert not Bank.exists(tmp_path, "film")
    state = Bank.create(tmp_path, "film").load()
    assert state.frames == 0 and state.id == EMPTY_ID and state.bank is not None
    assert Bank.exists(tmp_path, "film") and bank_names(tmp_path) == ["film"]


def test_a_bank_is_not_made_twice_and_a_missing_one_lists_what_there_is(bank: Bank):
    with pytest.raises(BankError, match="already. Continue it, or choose another name"):
        Bank.create(bank.root, "film")
    with pytest.raises(BankError, match="no memory bank 'other'. Banks that exist: film"):
        Bank.open(bank.root, "other")


def test_what_was_appended_is_loaded_bit_for_bit(bank: Bank, filmed: Filmed, pictures: Callable):
    state = filmed(bank)
    loaded = Bank.open(bank.root, "film").load()
    assert same(loaded, state)
    assert loaded.segments[2].prompt == "segment 2" and loaded.segments[2].info == {"seed": 0}
    expected = np.concatenate([pictures(4, i) for i in range(3)])
    np.testing.assert_array_equal(loaded.read_frames(range(12)), expected)


def test_frames_are_read_in_the_order_asked_for_and_twice_if_asked_twice(bank, filmed, pictures):
    expected = np.concatenate([pictures(4, i) for i in range(3)])
    wanted = [11, 0, 5, 5, 3]
    np.testing.assert_array_equal(filmed(bank).read_frames(wanted), expected[wanted])


def test_no_frames_asked_for_gives_none(bank: Bank, filmed: Filmed):
    assert filmed(bank).read_frames([]).shape == (0, 6, 10, 3)


def test_only_the_frames_asked_for_are_decoded(bank: Bank, filmed: Filmed, monkeypatch: pytest.MonkeyPatch):
    state, decoded = filmed(bank), []
    real = segment_file.decode_frame
    monkeypatch.setattr(segment_file, "decode_frame", lambda *a: decoded.append(a[2]) or real(*a))
    state.read_frames([7, 2, 7])
    assert len(decoded) == 2


@pytest.mark.parametrize(
    ("indices", "message"),
    [([12], "has 12 frames. Ask for 0 to 11"), ([-1], "Frame -1"), ([0.5], "whole numbers")],
)
def test_frames_that_do_not_exist_are_refused(bank: Bank, filmed: Filmed, indices: list, message: str):
    with pytest.raises(BankError, match=message):
        filmed(bank).read_frames(indices)


def test_two_branches_from_one_memory_both_keep_their_pictures(bank, filmed, move, pictures):
    trunk = filmed(bank, 1)
    left = bank.append(trunk, frames=pictures(4, 50), trajectory=move("pan", 4), shot=1)
    right = bank.append(trunk, frames=pictures(4, 60), trajectory=move("dolly", 4), shot=1)
    np.testing.assert_array_equal(left.read_frames(range(4, 8)), pictures(4, 50))
    np.testing.assert_array_equal(right.read_frames(range(4, 8)), pictures(4, 60))
    assert trunk.frames == 4 and left != right
    assert same(bank.load(), right) and bank.history() == [left.id]
    assert same(bank.load(left.id), left)


def test_the_same_content_has_the_same_id_and_is_written_once(tmp_path: Path, filmed: Filmed):
    one, two = Bank.create(tmp_path, "one"), Bank.create(tmp_path, "two")
    assert filmed(one) == filmed(two)
    before = {path.name: path.stat().st_mtime_ns for path in one.segments_path.iterdir()}
    state = one.load()
    again = one.append(
        one.empty(), frames=state.read_frames(range(4)), trajectory=_path_of(state, 0, 4), shot=0, prompt="segment 0",
        info={"seed": 0},
    )
    assert again.id == state.segments[0].id
    assert {path.name: path.stat().st_mtime_ns for path in one.segments_path.iterdir()} == before
    assert same(one.load(state.id), state)


def _path_of(state: MemoryState, begin: int, end: int):
    from scene_memory.memory.cameras.trajectory import Trajectory

    return Trajectory(state.poses[begin:end], state.intrinsics[begin:end], state.fps or 8.0)


def test_any_change_changes_the_id(tmp_path: Path, move: Callable, pictures: Callable):
    ids = set()
    for number, (seed, name, shot, prompt, info) in enumerate(
        [(0, "pan", 0, "", {}), (1, "pan", 0, "", {}), (0, "tilt", 0, "", {}), (0, "pan", 1, "", {}),
         (0, "pan", 0, "x", {}), (0, "pan", 0, "", {"a": 1})]
    ):
        bank = Bank.create(tmp_path, f"bank {number}")
        ids.add(bank.append(bank.empty(), frames=pictures(3, seed), trajectory=move(name, 3), shot=shot, prompt=prompt,
                            info=info).id)
    assert len(ids) == 6


def test_the_bank_is_readable_with_safetensors_json_and_png_alone(bank: Bank, filmed: Filmed, pictures: Callable):
    filmed(bank)
    head = json.loads((bank.path / "head.json").read_text())
    assert (head["version"], head["frames"], head["height"], head["width"], head["fps"]) == (2, 12, 6, 10, 8.0)
    with safe_open(str(bank.path / "segments" / f"{head['recent'][1]}.safetensors"), framework="numpy") as file:
        metadata = json.loads(file.metadata()["scene_memory"])
        assert file.metadata()["coding"] == "png"
        offsets, hashes = file.get_tensor("offsets"), file.get_tensor("hashes")
        coded = file.get_slice("frames")[int(offsets[2]) : int(offsets[3])]
    assert metadata["parent"] == head["recent"][0] and metadata["prompt"] == "segment 1"
    picture = pictures(4, 1)[2]
    assert hashes[2].tobytes() == hashlib.sha256(picture.tobytes()).digest()
    np.testing.assert_array_equal(decode_frame(coded.tobytes(), (6, 10), "it", "png"), picture)


@pytest.mark.parametrize("prompt", ["", "Grüße, 世界 🎬", 'quotes " and \\ and \n', "\ud800 alone"])
def test_any_prompt_survives(bank: Bank, move: Callable, pictures: Callable, prompt: str):
    bank.append(bank.empty(), frames=pictures(2), trajectory=move("pan", 2), shot=0, prompt=prompt)
    assert bank.load().segments[0].prompt == prompt


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((2, 6, 10, 3), np.float32)}, "float32 of the shape .* expected uint8"),
        ({"frames": np.zeros((2, 6, 10, 4), np.uint8)}, "expected uint8"),
        ({"frames": np.zeros((3, 6, 10, 3), np.uint8)}, "3 frames, but its camera path has 2"),
        ({"frames": np.zeros((2, 0, 10, 3), np.uint8)}, "sides of 1 to"),
        ({"frames": np.zeros((2, 8, 8, 3), np.uint8)}, "frames of 8 x 8, but the memory holds 10 x 6"),
        ({"shot": -1}, "whole numbers from 0"),
        ({"info": {"a": object()}}, "info must hold plain numbers"),
        ({"info": {"a": float("nan")}}, "info must hold plain numbers"),
    ],
)
def test_a_segment_that_cannot_be_kept_is_refused_and_writes_nothing(bank, filmed, move, pictures, change, message):
    state = filmed(bank, 1)
    files = set(bank.path.rglob("*"))
    right = {"frames": pictures(2), "trajectory": move("pan", 2), "shot": 1}
    with pytest.raises(ValueError, match=message):
        bank.append(state, **{**right, **change})
    assert set(bank.path.rglob("*")) == files and same(bank.load(), state)


def test_a_memory_of_another_bank_is_refused(bank: Bank, filmed: Filmed, move: Callable, pictures: Callable):
    other = Bank.create(bank.root, "other")
    with pytest.raises(BankError, match="lies in the bank 'film', not in 'other'"):
        other.append(filmed(bank, 1), frames=pictures(2), trajectory=move("pan", 2), shot=0)


@pytest.mark.parametrize("survived", range(5))
def test_a_crash_between_any_two_steps_leaves_the_last_good_memory(bank, filmed, move, pictures, monkeypatch, survived):
    """Stops the world at each write, flush and rename in turn; a later run finds the last good memory and goes on."""
    class Crash(BaseException):
        pass

    state, steps = filmed(bank, 2), [0]

    def step(real: Callable) -> Callable:
        def run(*arguments):
            if steps[0] == survived:
                raise Crash
            steps[0] += 1
            return real(*arguments)
        return run

    class Os:
        fsync, replace = staticmethod(step(os.fsync)), staticmethod(step(os.replace))

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(storage, "os", Os())
    more = {"frames": pictures(4, 9), "trajectory": move("tilt", 4), "shot": 5}
    with pytest.raises(Crash):
        bank.append(state, **more)
    monkeypatch.undo()
    # The last flush comes after the head was renamed: then the new memory is the good one.
    found = Bank.open(bank.root, "film").load()
    assert found.frames == (12 if survived == 4 else 8)
    assert same(bank.append(state, **more), bank.load())


def test_a_full_disk_is_named_and_keeps_what_was_finished(bank, filmed, move, pictures, monkeypatch):
    state = filmed(bank, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(BankError, match="No space left on device. Free some space"):
        bank.append(state, frames=pictures(4, 9), trajectory=move("tilt", 4), shot=5)
    monkeypatch.undo()
    assert same(bank.load(), state) and not list(bank.path.rglob("*.part"))


ENDLESS = """
import sys, numpy as np
sys.path.insert(0, {root!r})
from pathlib import Path
from dev.support.pack import load_pack
load_pack()
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
bank = Bank.open(Path({banks!r}), "film")
state = bank.load()
path = make_preset("pan", frames=4, fps=8.0, amount=30.0, fov=60.0, aspect=1.6)
while True:
    frames = np.random.default_rng(state.frames).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    state = bank.append(state, frames=frames, trajectory=path, shot=0)
    print(state.frames, flush=True)
"""


def test_killing_the_writer_at_any_moment_keeps_every_segment_it_reported(bank: Bank):
    root = str(Path(__file__).resolve().parents[3])
    for pause in (0.0, 0.013, 0.029):
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS.format(root=root, banks=str(bank.root))],
                                  stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(3)]
        time.sleep(pause)
        writer.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        reported += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        state = Bank.open(bank.root, "film").load()
        assert state.frames - reported[-1] in (0, 4)
        state.read_frames(range(state.frames))


def test_a_leftover_of_an_old_crash_is_removed_and_a_fresh_one_is_not(bank: Bank):
    old, fresh = bank.segments_path / ".old.part", bank.segments_path / ".fresh.part"
    old.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(old, (time.time() - 3 * 24 * 3600,) * 2)
    Bank.open(bank.root, "film")
    assert not old.exists() and fresh.exists()


def test_appending_goes_on_after_loading_as_if_there_had_been_no_break(tmp_path, filmed, move, pictures):
    through, broken = Bank.create(tmp_path, "through"), Bank.create(tmp_path, "broken")
    more = {"frames": pictures(4, 77), "trajectory": move("tilt", 4), "shot": 3}
    first = through.append(filmed(through, 2), **more)
    filmed(broken, 2)
    second = Bank.open(tmp_path, "broken")
    assert second.append(second.load(), **more) == first


def test_an_unknown_earlier_memory_is_refused(bank: Bank):
    for head in ("f" * 64, "../head", ""):
        with pytest.raises(BankError, match="has no earlier memory"):
            bank.load(head)


def test_the_head_is_small_enough_to_check_first(bank: Bank, filmed: Filmed, monkeypatch):
    filmed(bank)
    monkeypatch.setattr(head_module, "MAX_HEAD_BYTES", 10)
    with pytest.raises(BankError, match="larger than 10 bytes"):
        head_module.read_head(bank.head_path, "head.json")


def _grow(bank: Bank, pictures: Callable, move: Callable, until: int, ready: int | None = None) -> MemoryState:
    """Goes on from wherever the bank is; what comes next depends only on what is there."""
    state, path = bank.load(), move("pan", 2)
    if ready is not None:
        os.write(ready, b"!")
    while len(state.segments) < until:
        number = len(state.segments)
        state = bank.append(state, frames=pictures(2, number), trajectory=path, shot=number // 9, key=f"{number:064x}")
    return state


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_often_the_film_is_the_same_to_the_byte_as_if_never_killed(tmp_path, pictures, move, monkeypatch, kills):
    """Each time a process is killed at a random instant, the bank opens at a memory that was whole, and goes on."""
    monkeypatch.setattr(packs, "SMALL", 8)
    monkeypatch.setattr(packs, "LARGE", 64)
    fork = getattr(os, "fork", None)
    if fork is None:  # Windows: the test above kills real processes there.
        return
    killed, whole = Bank.create(tmp_path, "killed"), Bank.create(tmp_path, "whole")
    begin = time.perf_counter()
    reached = len(_grow(killed, pictures, move, 4).segments)
    once, random = (time.perf_counter() - begin) / reached, np.random.default_rng(0)
    hear, tell = os.pipe()
    while kills > 0 or reached <= 4:
        # On a busy machine a child may be killed each time before it has written anything.
        kills -= 1
        assert kills > -200, "nothing is ever written"
        child = fork()
        if child == 0:
            _grow(killed, pictures, move, 10**6, tell)
        os.read(hear, 1)
        time.sleep(random.uniform(0.0, 2.0 * once))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = Bank.open(tmp_path, "killed").load()
        assert len(state.segments) >= reached
        reached = len(state.segments)
    os.close(hear)
    os.close(tell)
    until = max(reached, 20)
    state = _grow(killed, pictures, move, until)
    assert same(state, _grow(whole, pictures, move, until)) and state.packs
    state.read_frames(range(state.frames))
    files = {path.relative_to(whole.path): path.read_bytes() for path in whole.path.rglob("*.*")
             if path.suffix in (".json", ".safetensors")}
    assert len(files) > 2 * until and reached > 4
    for name, data in files.items():
        assert (killed.path / name).read_bytes() == data, name

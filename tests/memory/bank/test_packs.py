"""Packs: many segments in one file, so that long films open at once, and nothing that only a pack knows."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from scene_memory.memory import files as storage
from scene_memory.memory.bank import packs as packs_module
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.packs import read_label
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.document import canonical
from scene_memory.memory.errors import DamageError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

COLUMNS = ("poses", "intrinsics", "times", "shot_ids", "segment_ids")


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four segments a pack and four packs in one, so that a short film has both kinds; and a disk that never waits."""
    monkeypatch.setattr(packs_module, "SMALL", 4)
    monkeypatch.setattr(packs_module, "LARGE", 16)
    monkeypatch.setattr(storage.os, "fsync", lambda handle: None)


@pytest.fixture
def long_film(pictures: Callable) -> Callable[..., MemoryState]:
    """Appends ``count`` segments of two frames, with a zoom in some and an edit after every fifth."""

    def make(bank: Bank, count: int = 38, state: MemoryState | None = None) -> MemoryState:
        state = bank.load() if state is None else state
        for i in range(len(state.segments), len(state.segments) + count):
            path = make_preset("pan", frames=2, fps=8.0, amount=9.0, fov=60.0, aspect=1.6)
            if i % 3 == 2:
                path = type(path)(path.poses, path.intrinsics * np.array([[1.0, 1.0, 1, 1], [1.1, 1.1, 1, 1]]), 8.0)
            state = bank.append(state, frames=pictures(2, i), trajectory=path, shot=i // 4, prompt=f"segment {i}")
            if i % 5 == 4:
                state = bank.edit(state, Edit("pin", ((2 * i, 2 * i + 1),)))
        return state

    return make


def same(a: MemoryState, b: MemoryState) -> bool:
    return (
        a == b and list(a.segments) == list(b.segments) and a.edit_entries == b.edit_entries
        and all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in COLUMNS)
        and (a.frames, a.size, a.fps, a.shots) == (b.frames, b.size, b.fps, b.shots)
    )


def test_a_packed_film_opens_as_it_was_and_goes_on(bank: Bank, long_film: Callable, pictures: Callable):
    state = long_film(bank)
    loaded = Bank.open(bank.root, "film").load()
    assert same(loaded, state) and loaded.packs == state.packs
    assert 1 < len(state.packs) < 8 and max(one.segments for one in state.packs) >= 16
    expected = [pictures(2, i)[j] for i, j in ((0, 0), (37, 1), (20, 0))]
    np.testing.assert_array_equal(loaded.read_frames([0, 75, 40]), expected)
    assert long_film(bank, 5, loaded) == long_film(Bank.create(bank.root, "again"), 43)


def test_the_head_does_not_grow_with_the_film(bank: Bank, long_film: Callable):
    state, sizes = bank.load(), []
    for _ in range(60):
        state = long_film(bank, 1, state)
        sizes.append(bank.head_path.stat().st_size)
        assert len(json.loads(bank.head_path.read_text())["recent"]) < 4
    assert max(sizes[30:]) <= max(sizes[:30]) + 4


def test_every_segment_is_written_into_packs_twice_at_most(bank: Bank, long_film: Callable, monkeypatch):
    written = []
    real = packs_module.write_whole
    monkeypatch.setattr(packs_module, "write_whole", lambda path, *data: written.append(path) or real(path, *data))
    state = long_film(bank, 120)
    entries = [read_label(path, path.stem).segments for path in written]
    assert sum(entries) <= 2 * len(state.segments) and max(entries) > 10


def test_branches_share_the_packs_of_their_past(bank: Bank, long_film: Callable, pictures: Callable, move: Callable):
    trunk = long_film(bank, 20)
    left = bank.append(trunk, frames=pictures(2, 90), trajectory=move("tilt", 2), shot=9)
    right = long_film(bank, 9, bank.append(trunk, frames=pictures(2, 91), trajectory=move("tilt", 2), shot=9))
    assert same(bank.load(), right) and same(bank.load(left.id), left)
    assert left.packs[: len(trunk.packs)] == trunk.packs


def pack_files(bank: Bank, state: MemoryState) -> list[Path]:
    return [bank.path / "packs" / f"{one.id}.safetensors" for one in state.packs]


def harmed(path: Path, harm: str) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes({
            "empty": b"", "cut": data[:middle], "noise": os.urandom(len(data)),
            "header": b"\xff" * 8 + data[8:], "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        }[harm])


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "noise", "header", "flipped"])
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_damaged_pack_is_made_again_from_the_segments(bank, long_film, caplog, harm: str, which: int):
    state = long_film(bank)
    harmed(pack_files(bank, state)[which], harm)
    loaded = bank.load()
    assert same(loaded, state) and "a pack is damaged and will be made again" in caplog.text
    caplog.clear()
    more = long_film(bank, 5, loaded)
    assert same(bank.load(), more) and "damaged" not in caplog.text


def test_a_bank_without_its_packs_opens_from_its_segments(bank: Bank, long_film: Callable):
    state = long_film(bank)
    shutil.rmtree(bank.path / "packs")
    assert same(bank.load(), state)


def test_a_missing_segment_of_a_pack_keeps_its_place_without_its_pictures(bank: Bank, long_film: Callable, caplog):
    state = long_film(bank)
    gone = bank.segments_path / f"{state.segments[17].id}.safetensors"
    gone.unlink()
    loaded = bank.load()
    assert loaded == state and loaded.poses.tobytes() == state.poses.tobytes()
    assert loaded.flags(range(state.frames)).dropped.nonzero()[0].tolist() == [34, 35]
    assert gone.name in caplog.text and "the pictures of 1 segments are lost, their cameras are kept" in caplog.text
    np.testing.assert_array_equal(loaded.read_frames([33, 34, 35, 36], nearest=True),
                                  loaded.read_frames([33, 33, 36, 36]))
    again = long_film(bank, 9, loaded)
    assert bank.load() == again and len(again.segments) == len(state.segments) + 9


def test_a_film_of_which_all_pictures_are_gone_cannot_be_used(bank: Bank, long_film: Callable):
    long_film(bank, 18)
    shutil.rmtree(bank.segments_path)
    with pytest.raises(DamageError):
        bank.load()


def forged(bank: Bank, state: MemoryState, change: Callable[[dict, dict], None]) -> MemoryState:
    """Puts a pack with honest metadata that was changed where the last pack was."""
    path = pack_files(bank, state)[-1]
    with safe_open(str(path), framework="numpy") as file:
        label = json.loads(file.metadata()["scene_memory"])
        tensors = {name: file.get_tensor(name).copy() for name in file.keys()}
    change(label, tensors)
    text = canonical(label)
    new = hashlib.sha256(text.encode()).hexdigest()
    path.with_name(f"{new}.safetensors").write_bytes(save(tensors, metadata={"scene_memory": text}))
    head = json.loads(bank.head_path.read_text())
    bank.head_path.write_text(json.dumps({**head, "pack": new}))
    return state


def moved_camera(label: dict, tensors: dict) -> None:
    tensors["poses"][0, 0, 3] += 1e-9


def nan_camera(label: dict, tensors: dict) -> None:
    tensors["poses"][0, 0, 3] = np.nan


def other_lens(label: dict, tensors: dict) -> None:
    tensors["intrinsics"][-1, 0] *= 1.5


def zero_lens(label: dict, tensors: dict) -> None:
    tensors["intrinsics"][:] = 0.0


def other_prompt(label: dict, tensors: dict) -> None:
    text = tensors["records"].tobytes().replace(b'"prompt":"segment', b'"prompt":"Segment', 1)
    tensors["records"] = np.frombuffer(text, np.uint8)


def swapped_texts(label: dict, tensors: dict) -> None:
    tensors["offsets"][1:3] = tensors["offsets"][2:0:-1]


def more_frames(label: dict, tensors: dict) -> None:
    tensors["poses"] = np.concatenate([tensors["poses"], tensors["poses"][:1]])
    label["frames"] += 1


def wrong_counts(label: dict, tensors: dict) -> None:
    label["segments"] += 1


def other_parent(label: dict, tensors: dict) -> None:
    label["parent"] = "a" * 64


def other_before(label: dict, tensors: dict) -> None:
    label["before"] = "b" * 64


def huge_counts(label: dict, tensors: dict) -> None:
    label.update(frames=2**40, segments=2**40)


LIES = [moved_camera, nan_camera, other_lens, zero_lens, other_prompt, swapped_texts, more_frames, wrong_counts,
        other_parent, other_before, huge_counts]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_pack_that_lies_is_not_believed(bank: Bank, long_film: Callable, caplog, lie: Callable):
    """The segments vouch for their cameras, so whatever a forged pack says, the film is the one that was made."""
    state = forged(bank, long_film(bank), lie)
    assert same(bank.load(), state) and "a pack is damaged" in caplog.text


def test_a_head_that_names_another_memory_than_its_files_is_not_used_up_to_there(bank, long_film, caplog):
    state = long_film(bank)
    head = json.loads(bank.head_path.read_text())
    bank.head_path.write_text(json.dumps({**head, "segments": head["segments"] + 1}))
    assert bank.load() == state and "but its files lead to" in caplog.text


def test_a_film_of_which_nothing_is_left_is_refused_in_words(bank: Bank, long_film: Callable):
    long_film(bank)
    shutil.rmtree(bank.path / "packs")
    shutil.rmtree(bank.segments_path)
    with pytest.raises(DamageError, match="first segment is damaged"):
        bank.load()

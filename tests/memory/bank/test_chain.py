"""A damaged head or segment: the film is put together again, and what is behind damage is reachable."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank import packs
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


def file_of(bank: Bank, state: MemoryState, segment: int) -> Path:
    return bank.segments_path / f"{state.segments[segment].id}.safetensors"


def harm(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def harm_text(path: Path) -> None:
    harm(path, path.read_bytes().find(b"scene-memory segment"))


@pytest.mark.parametrize("harmed", ["empty", "cut", "bits", "missing", "folder", "long", "nan"])
@pytest.mark.parametrize("small", [3, 64], ids=["with packs", "without packs"])
def test_a_damaged_head_is_made_again_from_the_segments(
    bank, filmed, pictures, move, monkeypatch, caplog, harmed, small
):
    monkeypatch.setattr(packs, "SMALL", small)
    state = bank.edit(filmed(bank, 10), Edit("pin", ((3, 5),)))
    whole = bank.head_path.read_bytes()
    if harmed in ("missing", "folder"):
        bank.head_path.unlink()
    if harmed == "folder":
        bank.head_path.mkdir()
    changed = {"empty": b"", "cut": whole[:-9], "bits": whole.replace(b'"id"', b'"ie"'), "long": b" " * (5 << 20),
               "nan": whole.replace(b'"segments":10', b'"segments":NaN')}
    if harmed in changed:
        bank.head_path.write_bytes(changed[harmed])
    assert Bank.exists(bank.root, "film")
    again = Bank.open(bank.root, "film").load()
    assert again == state and again.edits == state.edits
    np.testing.assert_array_equal(again.read_frames(range(40)), state.read_frames(range(40)))
    assert "head.json was damaged or lost and was made again from the segments" in caplog.text
    assert os.path.lexists(bank.path / "head.json.damaged") == (harmed != "missing")
    longer = bank.append(again, frames=pictures(4, 90), trajectory=move("tilt", 4), shot=6)
    assert Bank.open(bank.root, "film").load() == longer and bank.history() == []


def test_every_way_to_go_on_mends_the_head(bank: Bank, filmed: Filmed, pictures, move):
    """What held the bank before its head was damaged goes on as well."""
    state = filmed(bank, 3)
    bank.head_path.write_bytes(b"")
    longer = bank.append(state, frames=pictures(4, 90), trajectory=move("tilt", 4), shot=6)
    assert bank.load() == longer
    bank.head_path.write_bytes(b"")
    other = bank.append(bank.empty(), frames=pictures(4, 91), trajectory=move("tilt", 4), shot=0)
    assert bank.load() == other and bank.history() == [longer.id], "the film that was there is out of reach"


def test_of_several_ends_the_newest_is_the_film_and_none_is_lost(bank: Bank, filmed: Filmed, pictures, move):
    trunk = filmed(bank, 2)
    takes = [bank.append(trunk, frames=pictures(4, 50 + seed), trajectory=move("tilt", 4), shot=2) for seed in range(3)]
    for seconds, take in enumerate(takes):
        os.utime(file_of(bank, take, 2), (1e9 + seconds, 1e9 + seconds))
    bank.head_path.unlink()
    assert Bank.open(bank.root, "film").load() == takes[2]
    assert sorted(bank.history()) == sorted(take.id for take in takes[:2])
    for path in (bank.history_path).iterdir():
        path.unlink()
    bank.head_path.unlink()
    assert Bank.open(bank.root, "film").load() == takes[2]
    assert sorted(bank.history()) == sorted(take.id for take in takes[:2])


def test_a_head_that_cannot_be_read_just_now_or_is_newer_is_left_alone(bank: Bank, filmed: Filmed, monkeypatch):
    filmed(bank, 2)
    sound = bank.head_path.read_bytes()
    bank.head_path.write_bytes(sound.replace(b'"version":2', b'"version":3'))
    with pytest.raises(BankError, match="Update ComfyUI-SceneMemory"):
        Bank.open(bank.root, "film")
    bank.head_path.write_bytes(sound)
    real = os.open

    def refuse(path, *more, **named):
        if str(path).endswith("head.json"):
            raise OSError(5, "Input/output error")
        return real(path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(DamageError, match="Input/output error"):
            Bank.open(bank.root, "film")
    assert bank.head_path.read_bytes() == sound and len(bank.load().segments) == 2


def test_behind_a_damaged_first_segment_the_others_are_a_film_of_their_own(bank: Bank, filmed: Filmed, caplog):
    state = filmed(bank, 10)
    state = bank.edit(bank.edit(state, Edit("pin", ((2, 6), (9, 11)))), Edit("supersede", ((5, 7),), by=20))
    harm_text(file_of(bank, state, 0))
    before = bank.head_path.read_bytes()
    with pytest.raises(DamageError, match="first segment is damaged.*36 frames from") as refused:
        bank.load()
    named = re.search(r"36 frames from (\w{12}) on are sound. To make a film of its own", str(refused.value))
    assert named is not None and named[1] == state.segments[1].id[:12]
    assert bank.head_path.read_bytes() == before
    (rest,) = bank.rests()
    film = bank.load(rest.id)
    assert film.frames == 36 and film.poses.tobytes() == state.poses[4:].tobytes()
    np.testing.assert_array_equal(film.read_frames(range(36)), state.read_frames(range(4, 40)))
    assert [record.prompt for record in film.segments] == [f"segment {i}" for i in range(1, 10)]
    assert film.flags(range(36)).pinned.nonzero()[0].tolist() == [0, 1, 5, 6]
    assert film.edits[1] == Edit("supersede", ((1, 3),), by=16)
    assert film.times_at([0])[0] == 0.0 and bank.load(rest.id) == film


def test_behind_a_damaged_middle_both_parts_are_reachable_and_both_go_on(bank, filmed, pictures, move, caplog):
    state = filmed(bank, 10)
    for number in (3, 7):
        harm_text(file_of(bank, state, number))
    front = bank.load()
    assert front.frames == 12 and "the 3 before it are used" in caplog.text
    assert "the 12 frames from" in caplog.text and "the 8 frames from" in caplog.text
    for rest, (first, last) in zip(bank.rests(), ((16, 28), (32, 40)), strict=True):
        film = bank.load(rest.id)
        np.testing.assert_array_equal(film.read_frames(range(last - first)), state.read_frames(range(first, last)))
        longer = bank.append(film, frames=pictures(4, first), trajectory=move("tilt", 4), shot=film.shots)
        assert Bank.open(bank.root, "film").load() == longer
    onward = bank.append(front, frames=pictures(4, 77), trajectory=move("tilt", 4), shot=9)
    assert bank.load() == onward and state.id in bank.history()
    assert {rest.id for rest in bank.rests(of_all=True)} >= {state.segments[4].id, state.segments[8].id}


@pytest.mark.parametrize("number", [0, 4, 8])
def test_a_segment_that_a_pack_knows_keeps_its_place(bank, filmed, pictures, move, monkeypatch, number: int):
    """Its file is there and damaged: its pictures have stand-ins, all else is as it was."""
    monkeypatch.setattr(packs, "SMALL", 3)
    state = filmed(bank, 10)
    harm_text(file_of(bank, state, number))
    loaded = bank.load()
    assert loaded == state and loaded.poses.tobytes() == state.poses.tobytes()
    lost = list(range(4 * number, 4 * number + 4))
    assert bank.kept(loaded, range(40)).nonzero()[0].tolist() == [one for one in range(40) if one not in lost]
    damaged: list[int] = []
    shown = bank.read_frames(loaded, range(40), nearest=True, damaged=damaged)
    kept = [one for one in range(40) if one not in lost]
    np.testing.assert_array_equal(shown[kept], state.read_frames(kept))
    longer = bank.append(loaded, frames=pictures(4, 77), trajectory=move("tilt", 4), shot=9)
    assert bank.load() == longer


def test_a_damaged_picture_has_the_one_next_to_it_as_stand_in(bank: Bank, filmed: Filmed, caplog):
    state = filmed(bank, 3)
    data = file_of(bank, state, 1).read_bytes()
    ends = [match.start() for match in re.finditer(b"IEND", data)]
    harm(file_of(bank, state, 1), ends[1] - 30)
    harm(file_of(bank, state, 1), ends[2] - 30)
    with pytest.raises(DamageError, match="picture 1,"):
        state.read_frames(range(12))
    damaged: list[int] = []
    shown = bank.read_frames(state, range(12), nearest=True, damaged=damaged)
    sound = [0, 1, 2, 3, 4, 4, 7, 7, 8, 9, 10, 11]
    assert damaged == [5, 6]
    np.testing.assert_array_equal(shown, state.read_frames(sound))
    assert "the picture of frame 5 is damaged, that of frame 4 stands in" in caplog.text
    for number in range(3):
        data = bytearray(file_of(bank, state, number).read_bytes())
        for match in re.finditer(b"IEND", data):
            data[match.start() - 30] ^= 8
        file_of(bank, state, number).write_bytes(data)
    with pytest.raises(BankError, match="All pictures of this memory were dropped or are damaged"):
        state.read_frames([0], nearest=True)


def test_a_damaged_picture_is_refused_with_its_number_and_the_cure(bank: Bank, filmed: Filmed):
    state = filmed(bank, 2)
    harm(file_of(bank, state, 1), -40)
    with pytest.raises(DamageError, match="picture of frame 7 is damaged: .*picture 3.*exclude the frame in"):
        state.read_frames([0, 7])


def test_damaged_latents_and_depth_stop_nothing(bank: Bank, move, pictures, caplog):
    latents = np.random.default_rng(0).normal(size=(4, 4, 2, 3)).astype(np.float16)
    depth = np.random.default_rng(1).uniform(1, 5, (4, 6, 10)).astype(np.float16)
    state = bank.append(bank.empty(), frames=pictures(4), trajectory=move("pan", 4), shot=0, latents=latents,
                        latent_space="test", depth=depth)
    path = file_of(bank, state, 0)
    for values in (latents, depth):
        harm(path, path.read_bytes().find(values.tobytes()) + 5)
    loaded = bank.load()
    assert loaded.read_latents([1]) == [None] and np.isnan(loaded.depth([1])).all()
    assert "The latents of a segment cannot be used" in caplog.text and "The depth of a segment" in caplog.text
    np.testing.assert_array_equal(loaded.read_frames(range(4)), state.read_frames(range(4)))

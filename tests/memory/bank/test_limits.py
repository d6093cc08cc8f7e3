"""A limit never destroys a film: what is taken up again is found whole, and what others made stays."""

from __future__ import annotations

import builtins
import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory import files as storage
from scene_memory.memory import part_files
from scene_memory.memory.bank import pending, writers
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

SEGMENTS = 12
Shoot = Callable[..., tuple[MemoryState, int]]


@pytest.fixture
def shoot(move, pictures) -> Shoot:
    """Films as the segment loop does: what a key leads to is recalled, the rest is made. Gives how many were made."""

    def film(bank: Bank, take: int = 0, segments: int = SEGMENTS, shared: int = 0) -> tuple[MemoryState, int]:
        state, made = bank.empty(), 0
        for i in range(segments):
            seed = 0 if i < shared else take
            key = hashlib.sha256(f"{seed} {state.id}".encode()).hexdigest()
            if bank.knows(key) and (known := bank.recall(state, key)) is not None:
                state = bank.within(known)
                continue
            made += 1
            state = bank.append(
                state, frames=pictures(4, 1000 * seed + i, 48, 80), trajectory=move("pan", 4, 30.0 + i), shot=i // 4,
                key=key,
            )
        return state, made

    return film


def bounded(bank: Bank, share: float, whole_bank: bool = False) -> Bank:
    return Bank.open(bank.root, bank.name, int(share * bank.size_bytes()), whole_bank)


def files(bank: Bank) -> set[str]:
    return {path.name for path in bank.segments_path.iterdir()}


@pytest.mark.parametrize("share", [1.2, 0.99, 0.6, 0.3])
def test_the_same_film_under_a_limit_is_recalled_and_loses_only_what_the_limit_asks(bank: Bank, shoot, share: float):
    whole, made = shoot(bank)
    before, all_files, pixels = bank.size_bytes(), files(bank), whole.read_frames(range(whole.frames))
    assert made == SEGMENTS
    tight = bounded(bank, share)
    state, made = shoot(tight)
    kept = tight.kept(state, range(state.frames))
    assert made == 0 and files(bank) == all_files and state.frames == whole.frames
    assert tight.size_bytes() <= max(share * before, 0.3 * before)
    if share > 1:
        assert state == whole and kept.all()
    else:
        assert (share - 0.11) * state.frames < kept.sum() < min(state.frames, (share + 0.08) * state.frames)
    np.testing.assert_array_equal(state.read_frames(np.flatnonzero(kept)), pixels[kept])
    assert Bank.open(bank.root, "film").load() == state
    for again in (tight, Bank.open(bank.root, "film")):
        assert shoot(again) == (state, 0)
        np.testing.assert_array_equal(again.kept(state, range(state.frames)), kept)


def test_nothing_is_removed_while_a_film_is_recalled(bank: Bank, shoot):
    state, _ = shoot(bank)
    tight = Bank.open(bank.root, "film", 1000, whole_bank=True)
    before = {path: path.read_bytes() for path in bank.segments_path.iterdir()}
    again = tight.empty()
    for _ in range(SEGMENTS - 1):
        key = hashlib.sha256(f"0 {again.id}".encode()).hexdigest()
        again = tight.within(tight.recall(again, key))
    assert {path: path.read_bytes() for path in bank.segments_path.iterdir()} == before
    assert state.id in bank.history() and bank.load(state.id).frames == state.frames


def test_a_limit_of_another_graph_leaves_a_finished_film_as_it_was(bank: Bank, shoot):
    mine, _ = shoot(bank)
    pixels = mine.read_frames(range(mine.frames))
    for shared in (0, 5):
        theirs, made = shoot(Bank.open(bank.root, "film", 1000), take=7, shared=shared)
        assert made == SEGMENTS - shared and theirs.flags(range(theirs.frames)).dropped.any()
        again = bank.load(mine.id)
        np.testing.assert_array_equal(again.read_frames(range(again.frames)), pixels)
    assert shoot(bank) == (mine, 0)


class Kill:
    """Ends a program before its change number ``left`` of the disk, and lets it change nothing from then on."""

    def __init__(self, left: int) -> None:
        self.left = left

    def before(self, change: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments, **named):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return change(*arguments, **named)

        return changed


class Killed(BaseException):
    pass


@pytest.mark.parametrize("share", [0.3, 0.45, 0.78, 0.97, 1.0])
@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_film_killed_anywhere_is_the_same_film(bank: Bank, shoot, tmp_path, monkeypatch, share: float, every: int):
    shoot(bank, segments=7)
    most = int(share * bank.size_bytes())
    whole, _ = shoot(Bank.create(tmp_path / "unkilled", "film", most), segments=7)
    kept = whole.bank.kept(whole, range(whole.frames))
    assert len(whole.edits) > 1 or share > 0.5
    lost, number, ended = [], 0, False
    while not ended:
        folder, kill = tmp_path / str(number), Kill(number)
        Bank.create(folder, "film")
        with monkeypatch.context() as patch:
            for name in ("link", "open", "rename", "replace", "unlink"):
                patch.setattr(os, name, kill.before(getattr(os, name)))
            try:
                shoot(Bank.open(folder, "film", most), segments=7)
                ended = True
            except Killed:
                pass
        again, _ = shoot(Bank.open(folder, "film", most), segments=7)
        if again != whole or not np.array_equal(again.bank.kept(again, range(again.frames)), kept):
            lost.append(number)
        number += every
    assert lost == [] and number > 40


def test_a_limit_that_is_taken_away_or_changed_makes_nothing_anew(bank: Bank, shoot):
    shoot(bank)
    size = bank.size_bytes()
    last = bank.load()
    for share in (0.8, None, 0.5, 0.9, None):
        state, made = shoot(Bank.open(bank.root, "film", share and int(share * size)))
        assert made == 0 and state.frames == last.frames
        assert set(last.edits) <= set(state.edits), "it goes on from what was dropped before"
        last = state


def test_a_shot_is_filmed_again_though_an_older_take_lost_pictures(bank: Bank, shoot):
    """The next shot begins from the last frame of the one before: that frame stays."""
    shoot(bank)
    state, made = shoot(bounded(bank, 0.2))
    assert made == 0
    shots = state.shot_ids
    assert state.bank.kept(state, np.flatnonzero(np.diff(shots, append=shots[-1] + 1))).all()
    other, made = shoot(state.bank, take=3, shared=8)
    assert made == SEGMENTS - 8 and other.frames == state.frames
    other.read_frames(range(other.frames), nearest=True)


def test_old_takes_go_first_when_the_limit_covers_the_whole_bank(bank: Bank, shoot):
    kept = [shoot(bank, take=take, shared=8)[0] for take in range(1, 9)]
    size = bank.size_bytes()
    one = size // (8 + 8 * 4)
    tight = Bank.open(bank.root, "film", size - 6 * one, whole_bank=True)
    state, made = shoot(tight, take=9, shared=8)
    assert made == 4 and not state.edits and tight.size_bytes() <= size - 6 * one
    left = [take for take in kept if take.id in bank.history()]
    assert left == kept[-len(left) :] and 4 <= len(left) <= 6
    for take in left:
        assert bank.load(take.id).read_frames(range(take.frames)).shape[0] == take.frames
    gone = kept[0]
    assert not {gone.segments[i].id for i in range(8, SEGMENTS)} & {name.split(".")[0] for name in files(bank)}
    assert shoot(bank, take=9, shared=8) == (state, 0)


def test_what_only_a_key_leads_to_stays_until_the_whole_bank_is_covered(bank: Bank, shoot):
    lost, _ = shoot(bank, take=1, segments=3)
    mine, _ = shoot(bank, take=2, segments=3)
    (bank.history_path / f"{lost.id}.json").unlink()
    limit = bank.size_bytes() - 1
    assert Bank.open(bank.root, "film", limit).within(mine) == mine
    assert shoot(bank, take=1, segments=3) == (lost, 0)
    shoot(bank, take=2, segments=3)
    (bank.history_path / f"{lost.id}.json").unlink()
    assert Bank.open(bank.root, "film", limit, whole_bank=True).within(mine) == mine
    assert lost.id not in {name.split(".")[0] for name in files(bank)} and bank.load() == mine


def test_what_a_head_under_another_name_leads_to_stays(bank: Bank, move, pictures):
    """As the sound rest of a damaged film has: it stands under the id of its first segment."""
    films = []
    for seed in (1, 2):
        state = bank.empty()
        for i in range(3):
            state = bank.append(state, frames=pictures(4, 10 * seed + i, 48, 80), trajectory=move("pan", 4), shot=0)
        films.append(state)
    (head,) = bank.history_path.iterdir()
    head.rename(head.with_name(f"{'f' * 64}.json"))
    before = files(bank)
    less = Bank.open(bank.root, "film", bank.size_bytes() // 4).within(films[1])
    assert files(bank) == before and less.flags(range(12)).dropped.any()
    np.testing.assert_array_equal(bank.load("f" * 64).read_frames(range(12)), films[0].read_frames(range(12)))


def test_pruning_with_many_takes_is_quick(bank: Bank, move, pictures):
    """99 takes of a film of 200 segments: each append with a limit used to load every one of them, for seconds."""
    trunk = bank.empty()
    for i in range(200):
        trunk = bank.append(trunk, frames=pictures(1, i), trajectory=move("pan", 2)[:1], shot=0)
    for i in range(99):
        state = bank.append(trunk, frames=pictures(1, 1000 + i), trajectory=move("pan", 2)[:1], shot=1)
    tight = Bank.open(bank.root, "film", bank.size_bytes() // 2)
    state = tight.append(state, frames=pictures(1, 5000), trajectory=move("pan", 2)[:1], shot=1)
    begun = time.process_time()
    tight.append(state, frames=pictures(1, 5001), trajectory=move("pan", 2)[:1], shot=1)
    assert time.process_time() - begun < 1.5 and len(bank.history()) == 98


class SmallDisk:
    """Refuses what does not fit beside the files that are in ``folder``."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room = folder, room

    def open(self, path, mode="r", *more, **named):
        file = builtins.open(path, mode, *more, **named)
        if "x" not in mode:
            return file
        disk = self

        class Part:
            def __enter__(self):
                return self

            def __exit__(self, *problem):
                file.close()

            def writelines(self, data):
                if storage.bytes_in(disk.folder) + sum(len(one) for one in data) > disk.room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                file.writelines(data)

            def __getattr__(self, name):
                return getattr(file, name)

        return Part()


def test_on_a_full_disk_a_limit_that_is_passed_frees_room(bank: Bank, shoot, monkeypatch, caplog):
    whole, _ = shoot(bank)
    size = bank.size_bytes()
    disk = SmallDisk(bank.path, size + size // SEGMENTS // 2)
    monkeypatch.setattr(storage, "open", disk.open, raising=False)
    with pytest.raises(BankError, match="Free some space"):
        shoot(bank, segments=SEGMENTS + 1)
    tight = Bank.open(bank.root, "film", size // 3)
    monkeypatch.setattr(type(tight), "within", lambda self, state: state)
    monkeypatch.setattr(pending, "keep_within", lambda folder, state, limit: state)
    state, made = shoot(tight, segments=SEGMENTS + 1)
    assert made == 1 and state.frames == whole.frames + 4 and "The disk is full" in caplog.text
    gone = ~bank.kept(state, range(state.frames))
    assert gone.any() and (state.flags(range(state.frames)).dropped == gone).all()
    assert bank.load() == state and shoot(bank, segments=SEGMENTS + 1) == (state, 0)


def test_who_writes_to_a_bank_is_noted_and_what_ended_is_cleared(bank: Bank, shoot):
    state, _ = shoot(bank, segments=2)
    folder = bank.path / writers.FOLDER
    (mine,) = folder.iterdir()
    assert mine.read_text() == state.id and writers.others(bank.path) == set()
    machine, _, run = mine.stem.split("-")
    parent, ended = f"{machine}-{os.getppid()}-{run}", f"{machine}-{2**22 + 1}-{run}"
    words = {parent: "1", ended: "2", f"{machine}-{os.getpid()}-00000000": "3", "elsewhere": "4", "long ago": "5"}
    for name, word in words.items():
        (folder / f"{name}.txt").write_text(word * 64)
    os.utime(folder / "long ago.txt", (time.time() - 2 * part_files.STALE_SECONDS,) * 2)
    assert writers.others(bank.path) == {"1" * 64, "4" * 64}
    assert {path.stem for path in folder.iterdir()} == {mine.stem, parent, "elsewhere"}


def test_what_another_running_program_films_stays_also_when_the_whole_bank_is_covered(bank: Bank, shoot):
    theirs, _ = shoot(bank, take=5)
    word = bank.path / writers.FOLDER / "them.txt"
    mine, _ = shoot(bank, take=6)
    # They have begun their film again: the rest of it is what their keys lead to.
    word.write_text(theirs.segments[0].id)
    tight = Bank.open(bank.root, "film", 1000, whole_bank=True)
    less = tight.within(mine)
    assert less.flags(range(less.frames)).dropped.any()
    np.testing.assert_array_equal(
        bank.load(theirs.id).read_frames(range(theirs.frames)), theirs.read_frames(range(theirs.frames))
    )
    word.unlink()
    assert tight.within(less) == less and bank.history() == []


def test_readers_do_with_the_pictures_that_are_left(bank: Bank, shoot):
    from scene_memory.memory.pictures.picture_of_bank import bank_picture

    older, _ = shoot(bank)
    tight = bounded(bank, 0.3)
    shoot(tight)
    assert not older.edits and not tight.kept(older, range(older.frames)).all()
    assert bank_picture(older, 1, thumbnails=40).shape[2] == 3


def test_a_pinned_frame_is_never_dropped_and_edits_remove_nothing(bank: Bank, shoot):
    state, _ = shoot(bank)
    tight = Bank.open(bank.root, "film", 1000)
    state = tight.edit(state, Edit("pin", ((9, 11),)))
    assert tight.kept(state, range(state.frames)).all()
    less = tight.within(state)
    assert tight.kept(less, [0, 9, 10]).all() and not tight.kept(less, range(less.frames)).all()

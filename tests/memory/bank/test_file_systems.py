"""File systems that cannot do all: what they can do is used, and every promise that can be kept is."""

from __future__ import annotations

import errno
import logging
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory import files as storage
from scene_memory.memory.bank import names, writers
from scene_memory.memory.bank.archive import ENDING, export_bank, import_bank
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.names import bank_names
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said once in a process is said once in each test."""
    monkeypatch.setattr(storage, "_said", set())


def no_folder_flush(monkeypatch: pytest.MonkeyPatch, code: int, at: str = "fsync") -> None:
    """``os.fsync`` (or ``os.open``) of a folder fails, that of a file does not."""
    real = getattr(os, at)

    def call(what, *more, **named):
        is_folder = stat.S_ISDIR(os.fstat(what).st_mode) if at == "fsync" else os.path.isdir(what)
        if is_folder and "dir_fd" not in named:
            raise OSError(code, os.strerror(code))
        return real(what, *more, **named)

    monkeypatch.setattr(os, at, call)


def film_and_back(root: Path, filmed: Filmed) -> MemoryState:
    """Makes a bank, films, edits, starts anew, saves and loads: everything that writes."""
    bank = Bank.create(root, "film")
    state = bank.edit(filmed(bank), Edit("pin", ((0, 1),)))
    assert Bank.open(root, "film").load() == state
    copy = import_bank(root, "copy", export_bank(state, root / "film")).load()
    np.testing.assert_array_equal(copy.read_frames(range(12)), state.read_frames(range(12)))
    assert not list(root.rglob("*.part"))
    return state


@pytest.mark.parametrize(
    ("code", "at"),
    [(errno.EINVAL, "fsync"), (errno.ENOTSUP, "fsync"), (errno.ENOSYS, "fsync"), (errno.EACCES, "open"),
     (errno.EISDIR, "open"), (errno.EBADF, "fsync")],
)
def test_a_folder_that_cannot_be_flushed_is_nothing(tmp_path, filmed, monkeypatch, caplog, code: int, at: str):
    no_folder_flush(monkeypatch, code, at)
    with caplog.at_level(logging.WARNING):
        film_and_back(tmp_path, filmed)
    assert caplog.text.count("folders cannot be flushed to the disk") == 1


def test_a_folder_on_a_failing_disk_is_told(tmp_path: Path, monkeypatch):
    no_folder_flush(monkeypatch, errno.EIO)
    with pytest.raises(BankError, match="could not be written.*Input/output error"):
        Bank.create(tmp_path, "film")


def test_the_flush_of_a_file_still_counts(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EINVAL, "Invalid argument")))
    with pytest.raises(BankError, match="could not be written"):
        Bank.create(tmp_path, "film")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.skipif(writers.fcntl is None, reason="Windows has locks of another kind")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_files_that_cannot_be_locked_are_written_all_the_same(tmp_path, filmed, monkeypatch, caplog, code: int):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writers.fcntl, "flock", refuse)
    with caplog.at_level(logging.WARNING):
        film_and_back(tmp_path, filmed)
        filmed(Bank.open(tmp_path, "film"), 1, seed=3)
    said = [line for line in caplog.text.splitlines() if "where files cannot be locked" in line]
    assert sum(str(tmp_path / "film") in line for line in said) == 1


def test_what_filelock_says_of_a_file_system_counts_as_well(tmp_path, filmed, monkeypatch, caplog):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writers.filelock.FileLock, "acquire", refuse)
    with caplog.at_level(logging.WARNING):
        state = filmed(Bank.create(tmp_path, "film"))
    assert Bank.open(tmp_path, "film").load() == state and caplog.text.count("cannot be locked") == 1


def test_a_lock_file_that_may_not_be_written_is_named(bank: Bank, filmed: Filmed, monkeypatch):
    real = os.open

    def refuse(path, flags, *more, **named):
        if str(path).endswith("head.lock"):
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BankError, match="cannot be written: Permission denied. Allow writing there"):
        filmed(bank)


def test_a_file_that_is_held_on_windows_is_replaced_a_moment_later(tmp_path: Path, monkeypatch):
    left, real = [5], os.replace

    def held(*paths: object) -> None:
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Access is denied")
        real(*paths)

    class Windows:
        name, replace = "nt", staticmethod(held)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(storage, "os", Windows())
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)
    storage.write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new" and left == [0]


@pytest.mark.parametrize("name", ["café", "Möbel für Åsa", "がぎぐ"])
def test_a_bank_folder_from_a_mac_is_the_bank_of_that_name(tmp_path: Path, filmed: Filmed, name: str, move, pictures):
    state = filmed(Bank.create(tmp_path, name))
    folder = tmp_path / unicodedata.normalize("NFD", name)
    (tmp_path / name).rename(folder)
    assert bank_names(tmp_path) == [name] and Bank.exists(tmp_path, name)
    for given in (name, folder.name):
        bank = Bank.open(tmp_path, given)
        assert bank.name == name and bank.load() == state
    with pytest.raises(BankError, match="already"):
        Bank.create(tmp_path, name)
    longer = bank.append(bank.load(), frames=pictures(4, 7), trajectory=move("tilt", 4), shot=2)
    assert Bank.open(tmp_path, name).load() == longer
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "a second folder was made"
    saved = export_bank(longer, tmp_path / "x")
    assert import_bank(tmp_path, name, saved).path == folder


def test_a_folder_of_a_name_that_is_not_allowed_is_not_offered(bank: Bank, filmed: Filmed):
    filmed(bank, 1)
    for name in (" film 2", "film?", "a..b", "x" * 70):
        (bank.root / name).mkdir()
        (bank.root / name / "head.json").write_bytes(bank.head_path.read_bytes())
    assert bank_names(bank.root) == ["film"] and names.name_of("con") is None
    with pytest.raises(BankError, match="Banks that exist: film. Choose one"):
        Bank.open(bank.root, "other")


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(6 << 30)


def device(path: Path) -> None:
    """A pipe that nobody writes to: reading it never ends."""
    os.mkfifo(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files in folders")
@pytest.mark.parametrize("make", [sparse, device])
@pytest.mark.parametrize("part", ["segments", "edits", "packs", "keys", "history", "head.json"])
def test_pipes_and_huge_files_in_a_bank_are_never_read(bank, filmed, pictures, move, monkeypatch, make, part):
    """Everything that reads a bank, with such a file in the place of a real one."""
    from scene_memory.memory.bank import packs

    monkeypatch.setattr(packs, "SMALL", 3)
    state = bank.edit(filmed(bank, 4), Edit("drop", ((1, 2),)))
    more = {"frames": pictures(4, 50), "trajectory": move("tilt", 4), "shot": 9, "key": "ab" * 32}
    longer = bank.append(state, **more)
    bank.append(state, frames=pictures(4, 51), trajectory=move("tilt", 4), shot=9)
    files = {
        "segments": bank.segments_path / f"{longer.segments[2].id}.safetensors",
        "edits": bank.path / "edits" / f"{longer.edit_entries[0].id}.json",
        "packs": next((bank.path / "packs").iterdir()),
        "keys": bank.path / "keys" / f"{'ab' * 32}.json",
        "history": bank.history_path / f"{longer.id}.json",
        "head.json": bank.head_path,
    }
    files[part].unlink()
    make(files[part])
    limited = Bank.open(bank.root, "film", bank.size_bytes() if part != "segments" else None)
    for use in (
        limited.load,
        lambda: limited.recall(state, "ab" * 32),
        lambda: limited.load(longer.id),
        lambda: limited.edit(state, Edit("drop", ((1, 2),))),
        lambda: limited.append(state, **more),
        lambda: longer.read_frames(range(16), nearest=True),
        lambda: export_bank(longer, bank.root / "film"),
    ):
        try:
            use()
        except BankError as refused:
            assert str(refused)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files in folders")
def test_a_pipe_in_place_of_an_archive_is_not_waited_for(tmp_path: Path):
    device(tmp_path / f"film{ENDING}")
    with pytest.raises(BankError, match="cannot be read"):
        import_bank(tmp_path / "banks", "film", tmp_path / f"film{ENDING}")


def test_a_picture_of_many_gigabytes_is_not_read(bank: Bank, filmed: Filmed):
    """Where the pictures lie is no part of what an id vouches for: a hole in the file may be called one of them."""
    from safetensors.numpy import load_file

    state = filmed(bank, 1)
    path = bank.segments_path / f"{state.id}.safetensors"
    tensors, data = load_file(str(path)), bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].decode()
    blob = len(tensors["frames"])
    end = len(data) - 8 - size
    grown = header.replace(f'"shape":[{blob}]', f'"shape":[{blob + (5 << 30)}]').replace(
        f"{end}]", f"{end + (5 << 30)}]").strip()
    grown += " " * (-len(grown) % 8)
    offsets = tensors["offsets"].astype("<i8").tobytes()
    changed = bytes(data[8 + size :]).replace(offsets, offsets[:-8] + (blob + (5 << 30)).to_bytes(8, "little"))
    with open(path, "wb") as file:
        file.write(len(grown).to_bytes(8, "little") + grown.encode() + changed)
        file.truncate(8 + len(grown) + end + (5 << 30))
    loaded = bank.load()
    np.testing.assert_array_equal(loaded.read_frames(range(4)), state.read_frames(range(4)))


def test_a_bank_that_was_deleted_and_made_anew_is_not_appended_to(bank, filmed, pictures, move):
    import shutil

    state = filmed(bank, 3)
    more = {"frames": pictures(4, 9), "trajectory": move("tilt", 4), "shot": 2, "key": "cd" * 32}
    ready = bank.prepare(state, **more)
    for anew in (False, True):
        shutil.rmtree(bank.path, ignore_errors=True)
        if anew:
            filmed(Bank.create(bank.root, "film"), 1, seed=7)
        for use in (ready.write, lambda: bank.append(state, **more), lambda: bank.edit(state, Edit("pin", ((0, 1),))),
                    lambda: bank.recall(state, "cd" * 32)):
            with pytest.raises(BankError, match="was deleted, or made anew, while this film was in use: the 12 frames"):
                use()
    there = Bank.open(bank.root, "film").load()
    assert there.frames == 4 and len(list(bank.segments_path.iterdir())) == 1


def test_damage_of_reading_says_file_and_cause(bank: Bank, filmed: Filmed):
    state = filmed(bank, 1)
    (bank.segments_path / f"{state.id}.safetensors").unlink()
    with pytest.raises(DamageError, match=f"{state.id}.safetensors is missing from"):
        state.read_frames([0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files in folders")
@pytest.mark.parametrize(("make", "message"), [(device, "it is not a file"), (sparse, "is larger than")])
def test_a_pipe_or_a_huge_file_in_place_of_a_story_is_not_read(tmp_path: Path, make, message: str):
    from scene_memory.memory.story.script import read_story

    make(tmp_path / "story.json")
    with pytest.raises(ValueError, match=message):
        read_story(tmp_path / "story.json")

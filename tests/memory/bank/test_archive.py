"""One file for a memory: what goes in comes out, and nothing from a hostile file gets anywhere."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from scene_memory.memory.bank import archive as archive_module
from scene_memory.memory.bank.archive import ENDING, archive_memory, export_bank, import_bank
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.names import bank_names
from scene_memory.memory.bank.pixels import drop_pixels
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]
Rewrite = Callable[..., Path]


@pytest.fixture
def edited(bank: Bank, filmed: Filmed) -> MemoryState:
    """A memory of three segments with a pinned frame, and one that was superseded."""
    state = bank.edit(filmed(bank), Edit("pin", ((2, 3),)))
    return bank.edit(state, Edit("supersede", ((4, 6),), by=8))


@pytest.fixture
def saved(edited: MemoryState, tmp_path: Path) -> Path:
    return export_bank(edited, tmp_path / "film")


@pytest.fixture
def rewritten(saved: Path, tmp_path: Path) -> Rewrite:
    """The archive again, entry by entry, after a change to the list of (ZipInfo, data)."""
    def make(change: Callable[[list], object]) -> Path:
        with zipfile.ZipFile(saved) as source:
            entries = [(entry, source.read(entry)) for entry in source.infolist()]
        change(entries)
        path = tmp_path / f"hostile{ENDING}"
        with zipfile.ZipFile(path, "w") as target:
            for entry, data in entries:
                info = zipfile.ZipInfo(entry.filename, entry.date_time)
                info.external_attr, info.compress_type = entry.external_attr, entry.compress_type
                target.writestr(info, data)
        return path
    return make


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_memory_comes_back_bit_for_bit_under_any_name(edited: MemoryState, saved: Path, tmp_path: Path):
    assert saved.name == "film.scenememory.zip"
    state = import_bank(tmp_path / "elsewhere", "copy", saved).load()
    assert state == edited and state.edits == edited.edits and list(state.segments) == list(edited.segments)
    np.testing.assert_array_equal(state.poses, edited.poses)
    np.testing.assert_array_equal(state.read_frames(range(12)), edited.read_frames(range(12)))


def test_the_copy_goes_on_exactly_as_the_memory_would(edited, saved, tmp_path, move, pictures):
    copy = import_bank(tmp_path, "copy", saved)
    more = {"frames": pictures(4, 9), "trajectory": move("tilt", 4), "shot": 3}
    assert copy.append(copy.load(), **more) == edited.bank.append(edited, **more)


def test_the_file_can_be_read_without_this_pack(edited: MemoryState, saved: Path, tmp_path: Path):
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "by hand" / "film")
    with safe_open(tmp_path / "by hand/film/segments" / f"{edited.segments[0].id}.safetensors", "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("poses"), edited.poses[:4, :3])
    assert Bank.open(tmp_path / "by hand", "film").load() == edited


def test_the_same_memory_gives_the_same_file_and_only_its_own_travels(bank, edited, saved, move, pictures, tmp_path):
    before = saved.read_bytes()
    bank.append(edited, frames=pictures(4, 40), trajectory=move("pan", 4), shot=2, key="ab" * 32)
    other = bank.append(bank.empty(), frames=pictures(2, 41), trajectory=move("pan", 2), shot=0)
    assert export_bank(edited, saved).read_bytes() == before
    with zipfile.ZipFile(saved) as archive:
        names = archive.namelist()
    assert names[0] == "head.json" and not any(name.startswith(("keys", "history")) for name in names)
    assert sum(name.startswith("segments/") for name in names) == 3
    assert import_bank(tmp_path, "other", export_bank(other, tmp_path / "o")).load() == other


def test_a_long_memory_with_packs_travels(tmp_path: Path, bank: Bank, filmed: Filmed):
    state = filmed(bank, 70)
    copy = import_bank(tmp_path, "copy", export_bank(state, tmp_path / "long")).load()
    assert copy == state and copy.packs == state.packs
    np.testing.assert_array_equal(copy.read_frames([0, 279]), state.read_frames([0, 279]))


def test_frames_that_were_dropped_stay_dropped(bank: Bank, edited: MemoryState, tmp_path: Path):
    state = bank.edit(edited, Edit("drop", ((5, 7),)))
    drop_pixels(bank.path, state, [5, 6])
    copy = import_bank(tmp_path, "copy", export_bank(state, tmp_path / "dropped"))
    assert copy.load() == state
    assert copy.kept(copy.load(), range(12)).tolist() == [True] * 5 + [False] * 2 + [True] * 5


def test_latents_and_depth_travel(bank: Bank, tmp_path: Path, move, pictures):
    latents = np.random.default_rng(0).normal(size=(4, 4, 2, 3)).astype(np.float16)
    depth = np.random.default_rng(1).uniform(1, 5, (4, 6, 10)).astype(np.float32)
    state = bank.append(bank.empty(), frames=pictures(4), trajectory=move("pan", 4), shot=0, latents=latents,
                        latent_space="test", depth=depth)
    copy = import_bank(tmp_path, "copy", export_bank(state, tmp_path / "film")).load()
    np.testing.assert_array_equal(copy.depth(range(4)), state.depth(range(4)))
    np.testing.assert_array_equal(np.stack(copy.read_latents(range(4))), np.stack(state.read_latents(range(4))))


def test_a_taken_name_is_refused_unless_it_is_the_very_same_memory(edited, saved, bank, filmed, tmp_path):
    assert import_bank(bank.root, "film", saved).load() == edited
    filmed(Bank.create(bank.root, "other"), 1, seed=5)
    before = everything(bank.root)
    with pytest.raises(BankError, match="name 'other' is taken by another memory bank. Choose another name"):
        import_bank(bank.root, "other", saved)
    (bank.root / "notes").mkdir()
    with pytest.raises(BankError, match="'notes' is taken"):
        import_bank(bank.root, "notes", saved)
    assert everything(bank.root) == before


def test_two_that_import_the_same_file_at_the_same_time_have_one_bank(edited, saved, tmp_path, monkeypatch):
    """Both see a free name; the second finds it taken by the very same memory."""
    monkeypatch.setattr(archive_module.os.path, "lexists", lambda path: False)
    with ThreadPoolExecutor(4) as pool:
        banks = list(pool.map(lambda _: import_bank(tmp_path / "new", "copy", saved), range(4)))
    assert [bank.load() for bank in banks] == [edited] * 4
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["copy"]


@pytest.mark.parametrize("name", ["../up", "/etc", "con", "", ".hidden"])
def test_the_name_of_the_new_bank_is_checked_like_any_other(saved: Path, tmp_path: Path, name: str):
    with pytest.raises(BankError, match="bank name"):
        import_bank(tmp_path / "new", name, saved)
    assert not (tmp_path / "new").exists()


def test_progress_runs_from_nothing_to_all(edited: MemoryState, saved: Path, tmp_path: Path):
    for run in (lambda seen: export_bank(edited, saved, lambda *a: seen.append(a)),
                lambda seen: import_bank(tmp_path, "copy", saved, lambda *a: seen.append(a))):
        seen: list[tuple[int, int]] = []
        run(seen)
        done = [one for one, _ in seen]
        assert done == sorted(done) and done[-1] == seen[-1][1] and len({total for _, total in seen}) == 1


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 6])
def test_stopping_at_any_step_leaves_nothing_half_made(edited, saved, tmp_path, steps):
    class Stop(Exception):
        pass

    def stopper() -> Callable[[int, int], None]:
        left = [steps]

        def report(done: int, total: int) -> None:
            if not left[0]:
                raise Stop
            left[0] -= 1
        return report

    root, target = tmp_path / "new", tmp_path / "out"
    target.mkdir()
    with pytest.raises(Stop):
        import_bank(root, "copy", saved, stopper())
    assert list(root.iterdir()) == [] and bank_names(root) == []
    if steps < 5:
        with pytest.raises(Stop):
            export_bank(edited, target / "film", stopper())
        assert list(target.iterdir()) == []


def test_an_interrupted_import_of_long_ago_is_cleared_away(saved: Path, tmp_path: Path):
    old, fresh = tmp_path / ".old.part", tmp_path / ".fresh.part"
    for folder in (old, fresh):
        (folder / "film").mkdir(parents=True)
    os.utime(old, (1, 1))
    import_bank(tmp_path, "copy", saved)
    assert not old.exists() and fresh.exists()


def test_an_old_file_is_replaced_whole_or_not_at_all(edited: MemoryState, saved: Path, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(archive_module.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(BankError, match="could not be written.* No space left. Free some space"):
        export_bank(edited, saved)
    assert saved.read_bytes() == before and not list(saved.parent.glob("*.part"))


def test_a_memory_without_pictures_is_not_saved(bank, edited, tmp_path, remembered, move):
    for empty in (bank.empty(), remembered(move())):
        with pytest.raises(BankError, match="no pictures on the disk to save"):
            export_bank(empty, tmp_path / "x")
    shutil.rmtree(bank.segments_path)
    with pytest.raises(DamageError, match=f"No picture of this memory can be read. .*{edited.segments[0].id}"):
        export_bank(edited, tmp_path / "x")
    assert not list(tmp_path.glob("*.zip"))


def named(name: str) -> Callable[[list], object]:
    return lambda entries: entries.append((zipfile.ZipInfo(name), b"x"))


def compressed(entries: list) -> None:
    for entry, _ in entries:
        entry.compress_type = zipfile.ZIP_DEFLATED


def linked(entries: list) -> None:
    entries[2][0].external_attr = (stat.S_IFLNK | 0o777) << 16


def changed(place: int) -> Callable[[list], None]:
    def change(entries: list) -> None:
        entry, data = entries[-1]
        entries[-1] = (entry, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    return change


def swapped(entries: list) -> None:
    (a, one), (b, two) = entries[-2:]
    entries[-2:] = [(a, two), (b, one)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (named("../evil.json"), "holds '../evil.json', which is no part"),
        (named("/etc/passwd"), "holds '/etc/passwd'"),
        (named("segments/../../evil"), "no part of a memory"),
        (named("C:\\evil"), "no part of a memory"),
        (named("segments/" + "A" * 64 + ".safetensors"), "no part of a memory"),
        (named("head.json/" + "a" * 300), "no part of a memory"),
        (named("segments/"), "no part of a memory"),
        (named("segments/" + "a" * 64 + ".safetensors"), "which its memory does not use"),
        (lambda entries: entries.append(entries[1]), "twice"),
        (lambda entries: entries.pop(0), "no head.json"),
        (compressed, "packed again, compressed or with a password. Unpack it"),
        (linked, "is a link"),
        (lambda entries: entries.__delitem__(slice(3, None)), "is missing|first segment is damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_archive_is_refused_and_leaves_nothing(rewritten: Rewrite, tmp_path: Path, change, message: str):
    path, root = rewritten(change), tmp_path / "new"
    with pytest.raises(BankError, match=message):
        import_bank(root, "copy", path)
    assert not root.exists() or list(root.iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("change", "frames", "lost", "message"),
    [
        (lambda entries: entries.pop(), 8, [], "only 8 frames can be used"),
        (lambda entries: entries.pop(1), 12, [], "only 12 frames can be used"),
        (swapped, 4, [], "only 4 frames can be used"),
        (changed(-40), 12, [11], r"pictures of 1 frames \(11\) are damaged and were left out"),
        (changed(40), 8, [], "only 8 frames can be used"),
        (lambda entries: entries.__setitem__(0, (entries[0][0], b"{}")), 12, [], "only 12 frames can be used"),
    ],
)
def test_of_a_damaged_archive_what_is_sound_is_taken_and_the_rest_is_told(
    edited: MemoryState, rewritten: Rewrite, tmp_path: Path, change, frames: int, lost: list[int], message: str
):
    told: list[str] = []
    state = import_bank(tmp_path / "new", "copy", rewritten(change), warn=told.append).load()
    assert state.frames == frames and state.poses.tobytes() == edited.poses[:frames].tobytes()
    assert state.flags(range(frames)).dropped.nonzero()[0].tolist() == lost
    kept = [frame for frame in range(frames) if frame not in lost]
    np.testing.assert_array_equal(state.read_frames(kept), edited.read_frames(kept))
    assert re.search(message, " ".join(told))


def test_a_bit_that_fell_over_in_an_archive_costs_one_picture(edited: MemoryState, saved: Path, tmp_path: Path):
    """Zip's own checksum is wrong then as well; and the same file gives the same memory again."""
    data = bytearray(saved.read_bytes())
    data[data.rfind(b"IEND") - 30] ^= 4
    saved.write_bytes(data)
    told: list[str] = []
    state = import_bank(tmp_path / "new", "copy", saved, warn=told.append).load()
    assert "(11) are damaged" in told[0] and state.frames == 12
    np.testing.assert_array_equal(state.read_frames(range(11)), edited.read_frames(range(11)))
    bank = Bank.open(tmp_path / "new", "copy")
    assert bank.load(archive_memory(saved)) == state


def test_an_archive_whose_first_segment_is_damaged_gives_the_others_as_a_film(bank, filmed, tmp_path):
    state = filmed(bank, 4)
    saved = export_bank(state, tmp_path / "film")
    data = bytearray(saved.read_bytes())
    data[data.find(b"scene-memory segment") + 3] ^= 1
    saved.write_bytes(data)
    told: list[str] = []
    copy = import_bank(tmp_path / "new", "copy", saved, warn=told.append)
    film = copy.load()
    assert film.frames == 12 and "Its beginning is lost" in told[0]
    np.testing.assert_array_equal(film.read_frames(range(12)), state.read_frames(range(4, 16)))
    assert film.poses.tobytes() == state.poses[4:].tobytes() and copy.load(archive_memory(saved)) == film


def harm(path: Path, place: int, bits: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= bits
    path.write_bytes(data)


def test_a_damaged_picture_is_told_and_left_out_of_the_saved_file(bank, edited, tmp_path, caplog):
    path = bank.segments_path / f"{edited.segments[1].id}.safetensors"
    harm(path, -40)
    before = everything(bank.path)
    saved = export_bank(edited, tmp_path / "film")
    assert "The pictures of 1 frames (7) are damaged and were left out" in caplog.text
    assert everything(bank.path) == before, "saving changed the bank"
    told: list[str] = []
    copy = import_bank(tmp_path / "new", "copy", saved, warn=told.append).load()
    assert told == [] and copy.edits[:2] == edited.edits and copy.edits[2] == Edit("drop", ((7, 8),))
    kept = [frame for frame in range(12) if frame != 7]
    np.testing.assert_array_equal(copy.read_frames(kept), edited.read_frames(kept))


@pytest.mark.parametrize("harmed", ["missing", "metadata", "empty", "cut"])
def test_a_segment_file_that_is_lost_keeps_its_place_in_the_saved_file(bank, edited, tmp_path, caplog, harmed):
    path = bank.segments_path / f"{edited.segments[0].id}.safetensors"
    if harmed == "missing":
        path.unlink()
    elif harmed == "metadata":
        harm(path, path.read_bytes().find(b"parent"))
    else:
        path.write_bytes(path.read_bytes()[: 0 if harmed == "empty" else 700])
    saved = export_bank(edited, tmp_path / "film")
    assert "The pictures of 4 frames (0-3) are damaged and were left out; their cameras are kept" in caplog.text
    copy = import_bank(tmp_path / "new", "copy", saved).load()
    assert copy.poses.tobytes() == edited.poses.tobytes() and copy.flags(range(12)).dropped.sum() == 4
    np.testing.assert_array_equal(copy.read_frames(range(4, 12)), edited.read_frames(range(4, 12)))
    np.testing.assert_array_equal(copy.read_frames([0], nearest=True), edited.read_frames([4]))


def test_damaged_latents_and_depth_are_left_out_of_the_saved_file(bank, move, pictures, tmp_path, caplog):
    latents = np.random.default_rng(0).normal(size=(4, 4, 2, 3)).astype(np.float16)
    depth = np.random.default_rng(1).uniform(1, 5, (4, 6, 10)).astype(np.float16)
    state = bank.append(bank.empty(), frames=pictures(4), trajectory=move("pan", 4), shot=0, latents=latents,
                        latent_space="test", depth=depth)
    path = bank.segments_path / f"{state.id}.safetensors"
    for values in (latents, depth):
        harm(path, path.read_bytes().find(values.tobytes()) + 5)
    saved = export_bank(state, tmp_path / "film")
    assert "The latents of 1 segments are damaged" in caplog.text and "The depth of 1 segments" in caplog.text
    copy = import_bank(tmp_path / "new", "copy", saved).load()
    np.testing.assert_array_equal(copy.read_frames(range(4)), state.read_frames(range(4)))
    assert copy == state and copy.read_latents([0]) == [None] and np.isnan(copy.depth([0])).all()


def test_looks_at_cancel_come_often_while_pictures_are_checked(bank, pictures, move, tmp_path):
    """One segment of 60 frames: the time between two looks is that of a few pictures."""
    frames = pictures(60, 3, height=360, width=640)
    state = bank.append(bank.empty(), frames=frames, trajectory=move("pan", 60), shot=0)
    for work in (lambda report: export_bank(state, tmp_path / "film", report),
                 lambda report: import_bank(tmp_path / "new", "copy", tmp_path / f"film{ENDING}", report)):
        looks: list[int] = []
        work(lambda done, total, looks=looks: looks.append(done))
        assert len(looks) > 15 and looks == sorted(looks)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path, saved: Path):
    with pytest.raises(BankError, match="no file none.zip in"):
        import_bank(tmp_path / "new", "copy", tmp_path / "none.zip")
    for data in (b"", b"PK", os.urandom(5000), saved.read_bytes()[:-9], saved.read_bytes()[1000:]):
        path = tmp_path / "broken.zip"
        path.write_bytes(data)
        with pytest.raises(BankError, match="broken.zip|only a part"):
            import_bank(tmp_path / "new", "copy", path)
        assert not list((tmp_path / "new").glob("*"))


def test_an_archive_that_claims_more_than_it_has_is_refused_before_anything_is_unpacked(saved, tmp_path):
    """Entries that overlap, as in a zip bomb: two names for the same bytes."""
    data = bytearray(saved.read_bytes())
    first = data.find(b"PK\1\2")
    for at in (20, 24):
        struct.pack_into("<I", data, first + at, len(data) - 200)
    path = tmp_path / "bomb.zip"
    path.write_bytes(data)
    with pytest.raises(BankError, match="claims"):
        import_bank(tmp_path / "new", "copy", path)
    assert not (tmp_path / "new").exists()


def test_a_name_with_a_zero_byte_in_it_is_seen_whole(edited: MemoryState, saved: Path, tmp_path: Path):
    name = f"segments/{edited.segments[0].id}.safetensors".encode()
    path = tmp_path / "zero.zip"
    path.write_bytes(saved.read_bytes().replace(name, b"head.json\x00" + name[10:]))
    with pytest.raises(BankError, match="no part of a memory"):
        import_bank(tmp_path / "new", "copy", path)


def test_an_archive_with_very_many_entries_is_refused_before_they_are_read(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 3)
    with pytest.raises(BankError, match="a memory has at most 3"):
        import_bank(tmp_path / "new", "copy", saved)


def test_a_place_that_cannot_be_written_is_named(edited: MemoryState, saved: Path, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BankError, match="could not be written"):
        export_bank(edited, tmp_path / "file" / "film")
    with pytest.raises(BankError, match="could not be unpacked"):
        import_bank(tmp_path / "file", "copy", saved)

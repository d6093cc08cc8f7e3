"""A bank of format version 1, made by release 0.1.0 and kept: read bit for bit, continued, never rewritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scene_memory.memory.bank import segment_file
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.pixels import drop_pixels
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.edits import Edit

KEPT = Path(__file__).parent.parent / "fixtures" / "bank_v1"


@pytest.fixture
def old(tmp_path: Path) -> Bank:
    shutil.copytree(KEPT / "film", tmp_path / "film")
    return Bank.open(tmp_path, "film")


@pytest.fixture
def ids() -> dict:
    return json.loads((KEPT / "expected.json").read_text())


def files(bank: Bank) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bank.path.rglob("*") if path.is_file()}


def test_the_memory_and_the_earlier_one_are_as_version_1_had_them(old: Bank, ids: dict, pictures: Callable):
    before, expected = files(old), np.load(KEPT / "expected.npz")
    branch, film = old.load(), old.load(ids["film"])
    assert (branch.id, film.id, old.history()) == (ids["branch"], ids["film"], [ids["film"]])
    assert [record.id for record in film.segments] == ids["segments"]
    for name, column in (("poses", film.poses), ("intrinsics", film.intrinsics), ("times", film.times),
                         ("shots", film.shot_ids), ("branch_poses", branch.poses)):
        assert column.tobytes() == expected[name].tobytes(), name
    np.testing.assert_array_equal(film.read_frames(range(12)), np.concatenate([pictures(4, i) for i in range(3)]))
    np.testing.assert_array_equal(branch.read_frames(range(4, 8)), pictures(4, 9))
    assert branch.segments[1].prompt == "Grüße" and film.segments[2].info == {"seed": 2, "context": [0, 1]}
    assert files(old) == before


def test_it_is_continued_in_version_2_and_its_segments_stay_as_they_are(old: Bank, move: Callable, pictures: Callable):
    state, before = old.load(), files(old)
    more = old.append(state, frames=pictures(4, 30), trajectory=move("tilt", 4), shot=2, depth=np.ones((4, 3, 5)))
    more = old.edit(more, Edit("pin", ((0, 1),)))
    assert json.loads(old.head_path.read_text())["version"] == 2
    assert all(files(old)[name] == data for name, data in before.items() if name != "head.json")
    loaded = Bank.open(old.root, "film").load()
    assert loaded == more and loaded.poses.tobytes() == more.poses.tobytes()
    np.testing.assert_array_equal(loaded.read_frames([3, 8]), [pictures(4, 0)[3], pictures(4, 30)[0]])
    assert np.isnan(loaded.depth([0, 7])).all() and (loaded.depth([9]) == 1.0).all()
    assert loaded.read_latents([0, 8]) == [None, None]


def test_packs_hold_segments_of_version_1_too(old: Bank, move: Callable, pictures: Callable, monkeypatch):
    from scene_memory.memory.bank import packs

    monkeypatch.setattr(packs, "SMALL", 3)
    state = old.append(old.load(), frames=pictures(4, 30), trajectory=move("tilt", 4), shot=2)
    assert len(state.packs) == 1
    loaded = Bank.open(old.root, "film").load()
    assert loaded == state and loaded.packs == state.packs and loaded.times.tobytes() == state.times.tobytes()


def test_damage_to_a_segment_of_version_1_is_found_in_cameras_at_once_and_in_pictures_when_read(old: Bank, ids: dict):
    state = old.load(ids["film"])
    path = old.segments_path / f"{ids['segments'][1]}.safetensors"
    data, shown = path.read_bytes(), state.read_frames([5, 6])
    found = {"opening": 0, "reading": 0, "nothing": 0}
    for place in range(8, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        # Writes within one tick of the file system's clock look alike to it.
        segment_file._check_pictures.cache_clear()
        loaded = old.load(ids["film"])
        if loaded.frames == 4:
            found["opening"] += 1
            continue
        try:
            np.testing.assert_array_equal(loaded.read_frames([5, 6]), shown)
            found["nothing"] += 1
        except DamageError as error:
            assert path.name in str(error)
            found["reading"] += 1
    # What may change unseen carries nothing: the padding of the header, the last rows of the poses, and the times,
    # which follow from the frames before.
    assert found["nothing"] <= (8 + 4 * 32 + 4 * 8) // 7 + 2 and found["opening"] > 100 and found["reading"] > 50


def test_pictures_of_version_1_are_not_dropped_one_by_one(old: Bank, ids: dict):
    state = old.load(ids["film"])
    with pytest.raises(BankError, match="from version 1 of the format"):
        drop_pixels(old.path, state, [1])
    assert old.kept(state, range(12)).all()

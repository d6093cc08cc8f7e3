"""A damaged bank: the damage is named, the good part is used, and nothing outside the bank is touched."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.document import FORMAT_VERSION, canonical, parse
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]


def file_of(bank: Bank, state: MemoryState, segment: int) -> Path:
    return bank.segments_path / f"{state.segments[segment].id}.safetensors"


def rewrite(path: Path, change: Callable[[dict, dict], None]) -> str:
    """Rewrites a segment with honest hashes after ``change(metadata, tensors)``: what a clever forger could make."""
    with safe_open(str(path), framework="numpy") as file:
        outside = file.metadata()
        metadata = json.loads(outside["scene_memory"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    change(metadata, tensors)
    outside["coding"] = metadata.pop("coding", outside["coding"])
    for name in metadata.get("tensors", {}):
        value = tensors.get(name, np.empty(0))
        metadata["tensors"][name] = {"shape": list(value.shape), "sha256": hashlib.sha256(value.tobytes()).hexdigest()}
    text = canonical(metadata)
    new = hashlib.sha256(text.encode()).hexdigest()
    path.with_name(f"{new}.safetensors").write_bytes(save(tensors, metadata={**outside, "scene_memory": text}))
    return new


def point_head_at(bank: Bank, ids: list[str]) -> None:
    head = json.loads(bank.head_path.read_text())
    head.update(segments=len(ids), recent=ids, id=ids[-1])
    bank.head_path.write_text(json.dumps(head))


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "noise"])
def test_the_good_segments_before_a_damaged_one_are_used_and_it_is_named(bank, filmed, pictures, caplog, harm):
    path = file_of(bank, state := filmed(bank, 4), 2)
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "noise": os.urandom(len(data))}[harm])
    with caplog.at_level(logging.WARNING):
        loaded = bank.load()
    assert loaded.frames == 8 and loaded.id == state.segments[1].id
    assert path.name in caplog.text and "the 2 before it are used" in caplog.text
    np.testing.assert_array_equal(loaded.read_frames(range(4)), pictures(4, 0))


def test_going_on_from_the_good_part_keeps_the_old_head(bank, filmed, move, pictures):
    state = filmed(bank, 3)
    path = file_of(bank, state, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    bank.append(bank.load(), frames=pictures(4, 9), trajectory=move("tilt", 4), shot=1)
    path.write_bytes(whole)
    assert bank.load(state.id) == state and bank.load().frames == 8


def test_a_damaged_first_segment_is_an_error_that_names_it(bank: Bank, filmed: Filmed):
    path = file_of(bank, filmed(bank), 0)
    path.unlink()
    with pytest.raises(DamageError, match=f"first segment is damaged. {path.name} is missing"):
        bank.load()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_any_flipped_bit_of_a_segment_is_found(bank: Bank, filmed: Filmed, data: st.DataObject):
    state = bank.load() if bank.load().frames else filmed(bank, 2)
    path = file_of(bank, state, 1)
    whole, shown = path.read_bytes(), state.read_frames(range(8))
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(whole)
    broken[place] ^= 1 << bit
    path.write_bytes(broken)
    try:
        loaded = bank.load()
        # Cameras are checked when a bank is opened, pictures when they are read. Only bytes that carry nothing, such
        # as spaces that pad the header, may change unseen.
        if loaded.frames == 8:
            try:
                assert loaded == state and np.array_equal(loaded.read_frames(range(8)), shown)
            except DamageError as error:
                assert path.name in str(error)
        else:
            assert loaded.frames == 4
    finally:
        path.write_bytes(whole)
    assert bank.load() == state


def swap_order(metadata: dict, tensors: dict) -> None:
    tensors["offsets"] = tensors["offsets"][::-1].copy()


def offsets_outside(metadata: dict, tensors: dict) -> None:
    tensors["offsets"][-1] += 10**6


def mirror(metadata: dict, tensors: dict) -> None:
    tensors["poses"][1, :3, :3] *= -1.0


def too_few_poses(metadata: dict, tensors: dict) -> None:
    tensors["poses"] = tensors["poses"][:2].copy()


def wrong_type(metadata: dict, tensors: dict) -> None:
    tensors["poses"] = tensors["poses"].astype(np.float32)


def nan_lens(metadata: dict, tensors: dict) -> None:
    tensors["intrinsics"][0] = np.nan


def nan_place(metadata: dict, tensors: dict) -> None:
    tensors["poses"][0, 0, 3] = np.nan


def other_time(metadata: dict, tensors: dict) -> None:
    metadata["time"] = 9.0


def no_poses(metadata: dict, tensors: dict) -> None:
    del tensors["poses"]


def no_hashes(metadata: dict, tensors: dict) -> None:
    del metadata["tensors"]["hashes"]


def tensors_of_nothing(metadata: dict, tensors: dict) -> None:
    metadata["tensors"] = {"poses": []}


def huge_depth(metadata: dict, tensors: dict) -> None:
    metadata["tensors"]["depth"] = {}
    tensors["depth"] = np.zeros((4, 65, 1), np.float16)


def deep_info(metadata: dict, tensors: dict) -> None:
    for _ in range(900):
        metadata["info"] = {"a": metadata["info"]}
    metadata["info"] = []


def huge_size(metadata: dict, tensors: dict) -> None:
    metadata.update(height=10**9, width=10**9)


def shot_is_true(metadata: dict, tensors: dict) -> None:
    metadata["shot"] = True


def negative_frames(metadata: dict, tensors: dict) -> None:
    metadata["frames"] = -1


def other_parent(metadata: dict, tensors: dict) -> None:
    metadata["parent"] = "e" * 64


def other_kind(metadata: dict, tensors: dict) -> None:
    metadata["format"] = "something else"


def no_version(metadata: dict, tensors: dict) -> None:
    del metadata["version"]


def version_zero(metadata: dict, tensors: dict) -> None:
    metadata["version"] = 0


def other_fps(metadata: dict, tensors: dict) -> None:
    metadata["fps"] = 24.0


FORGERIES = [
    swap_order, offsets_outside, mirror, too_few_poses, wrong_type, nan_lens, nan_place, other_time, no_poses,
    no_hashes, tensors_of_nothing, huge_depth, deep_info, huge_size, shot_is_true, negative_frames, other_parent,
    other_kind, no_version, version_zero, other_fps,
]


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.__name__)
def test_a_forged_segment_with_honest_hashes_is_not_used(bank: Bank, filmed: Filmed, caplog, forgery):
    state = filmed(bank, 2)
    new = rewrite(file_of(bank, state, 1), forgery)
    point_head_at(bank, [state.segments[0].id, new])
    with caplog.at_level(logging.WARNING):
        assert bank.load().frames == 4
    assert new in caplog.text


def test_a_picture_larger_than_stated_is_refused_before_it_is_decoded(bank, filmed, pictures):
    def grow(metadata: dict, tensors: dict) -> None:
        from scene_memory.memory.bank.codec import encode_frame

        coded = [encode_frame(frame, "png") for frame in pictures(4, 1, height=600, width=1000)]
        metadata["coding"] = "png"
        tensors["frames"] = np.frombuffer(b"".join(coded), np.uint8)
        tensors["offsets"] = np.cumsum([0, *map(len, coded)])

    state = filmed(bank, 2)
    point_head_at(bank, [state.segments[0].id, rewrite(file_of(bank, state, 1), grow)])
    with pytest.raises(DamageError, match="picture 0, is a picture of 1000 x 600, expected 10 x 6"):
        bank.load().read_frames([4])


def test_a_segment_under_another_name_is_not_used(bank: Bank, filmed: Filmed, caplog):
    state = filmed(bank, 2)
    file_of(bank, state, 1).write_bytes(file_of(bank, state, 0).read_bytes())
    assert bank.load().frames == 4
    assert "does not hold what its name says" in caplog.text


def test_a_segment_of_a_newer_version_is_refused_with_the_cure(bank: Bank, filmed: Filmed):
    state = filmed(bank, 2)
    new = rewrite(file_of(bank, state, 1), lambda metadata, tensors: metadata.update(version=FORMAT_VERSION + 1))
    point_head_at(bank, [state.segments[0].id, new])
    with pytest.raises(BankError, match="Update ComfyUI-SceneMemory"):
        bank.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", 'is not a "scene-memory bank" document'),
        ('{"format":"scene-memory bank"}', "no format version"),
        ('{"format":"scene-memory bank","version":3}', "Update ComfyUI-SceneMemory"),
        ('{"format":"scene-memory bank","version":2,"recent":{}}', "segments by their ids"),
        ('{"format":"scene-memory bank","version":2,"recent":[],"pack":"../a"}', "its pack by an id"),
        ('{"format":"scene-memory bank","version":2,"recent":[],"segments":-1,"edits":0}', "how many segments"),
        ('{"format":"scene-memory bank","version":2,"recent":[],"segments":1,"edits":0,"id":7}', "does not end with"),
        ('{"format":"scene-memory bank","version":1,"segments":["../../secret"]}', "segments by their ids"),
        ('{"format":"scene-memory bank","version":1,"segments":"x"}', "segments by their ids"),
        ('{"format":"scene-memory bank","version":1,"segments":[],"id":"1"}', "does not end with"),
    ],
)
def test_a_damaged_head_is_named(bank: Bank, text: str, message: str):
    bank.head_path.write_text(text)
    with pytest.raises(BankError, match=message) as refused:
        Bank.open(bank.root, "film").load()
    assert "head.json of the memory bank 'film'" in str(refused.value)


def test_a_bank_that_lost_its_head_is_not_started_anew_over_its_segments(bank: Bank, filmed: Filmed):
    filmed(bank)
    bank.head_path.unlink()
    with pytest.raises(BankError, match="There is a memory bank 'film' already"):
        Bank.create(bank.root, "film")


def test_a_bank_whose_making_was_interrupted_can_be_made(tmp_path: Path):
    (tmp_path / "film" / "segments").mkdir(parents=True)
    assert Bank.create(tmp_path, "film").load().frames == 0


def link(path: Path, target: Path) -> None:
    path.symlink_to(target, target_is_directory=target.is_dir())


@pytest.mark.parametrize("part", ["", "segments", "history", "head.json"])
def test_a_link_that_leads_out_of_the_bank_is_refused(bank: Bank, filmed: Filmed, tmp_path: Path, part: str):
    filmed(bank)
    here, there = bank.path / part, tmp_path / "elsewhere"
    if here.exists():
        here.rename(there)
    else:
        there.mkdir()
    link(here, there)
    with pytest.raises(BankError, match="a link that leads out"):
        Bank.open(bank.root, "film")


def test_a_segment_that_links_out_is_refused(bank: Bank, filmed: Filmed, tmp_path: Path):
    path = file_of(bank, state := filmed(bank, 2), 1)
    path.rename(tmp_path / "secret")
    link(path, tmp_path / "secret")
    with pytest.raises(BankError, match="a link that leads out"):
        bank.load()
    with pytest.raises(BankError, match="a link that leads out"):
        state.read_frames([5])


def test_a_new_bank_is_not_made_through_a_link(tmp_path: Path):
    (tmp_path / "banks").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link(tmp_path / "banks" / "film", tmp_path / "elsewhere")
    with pytest.raises(BankError, match="a link that leads out"):
        Bank.create(tmp_path / "banks", "film")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_file_where_the_bank_should_be_is_named(tmp_path: Path):
    (tmp_path / "film").write_text("not a folder")
    with pytest.raises(BankError, match="cannot be made"):
        Bank.create(tmp_path, "film")


def test_older_documents_are_migrated_step_by_step():
    steps = {
        0: lambda document: {**document, "version": 1, "b": document["a"] + 1},
        1: lambda document: {**document, "version": 2, "c": document["b"] + 1},
    }
    document = parse('{"format":"x","version":0,"a":1}', "x", "The file", steps)
    assert (document["version"], document["c"]) == (FORMAT_VERSION, 3)


def test_canonical_text_does_not_depend_on_the_order_of_keys():
    assert canonical({"b": 1, "a": "é"}) == canonical({"a": "é", "b": 1}) == '{"a":"\\u00e9","b":1}'

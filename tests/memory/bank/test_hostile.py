"""Files made to harm: refused by name, soon and in little memory, and nothing outside the bank is touched."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from scene_memory.memory.bank import packs
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.tensor_file import encode_tensors, open_tensors
from scene_memory.memory.errors import BankError, DamageError
from scene_memory.memory.state.edits import Edit
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]
KEY = "c" * 64


def header(text: bytes, length: int | None = None, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: object) -> bytes:
    return json.dumps({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], **changes}}).encode()


HOSTILE = {
    "empty": b"",
    "short": b"\x01\x02",
    "huge header": header(b"{}", 2**63),
    "header behind the end": header(b"{}", 100),
    "no header": header(b"", 0),
    "not json": header(b"{" * 100),
    "deep": header(b"[" * 3_000_000),
    "deep objects": header(b'{"a":' * 600_000),
    "a list": header(b"[]"),
    "many small objects": header(b'{"a":[' + b"{}," * 1_300_000 + b"{}]}"),
    "metadata of numbers": header(b'{"__metadata__":{"a":1}}'),
    "not an object": header(b'{"a":1}'),
    "unknown type": header(one(dtype="Q99"), data=b"1234"),
    "negative place": header(one(data_offsets=[-4, 0]), data=b"1234"),
    "place behind the end": header(one(data_offsets=[0, 10**12], shape=[10**12]), data=b"1234"),
    "place backwards": header(one(data_offsets=[4, 0]), data=b"1234"),
    "three places": header(one(data_offsets=[0, 4, 4]), data=b"1234"),
    "huge shape": header(one(shape=[2**62, 2**62]), data=b"1234"),
    "shape of truths": header(one(shape=[True]), data=b"1234"),
    "other shape": header(one(shape=[5]), data=b"1234"),
    "many sides": header(one(shape=[1] * 1000), data=b"1234"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_refused_quickly_and_by_name(tmp_path: Path, data: bytes):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)

    def refused() -> None:
        with pytest.raises(DamageError, match="bad.safetensors"):
            with open_tensors(path):
                pass

    begin = time.process_time()
    refused()
    assert time.process_time() - begin < 2
    tracemalloc.start()
    try:
        refused()
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()


def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused_and_not_waited_for(bank: Bank, filmed: Filmed):
    state = filmed(bank, 2)
    path = bank.segments_path / f"{state.segments[1].id}.safetensors"
    for make in (Path.mkdir, getattr(os, "mkfifo", Path.mkdir)):
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        assert bank.load().frames == 4
    bank.head_path.unlink()
    getattr(os, "mkfifo", Path.mkdir)(bank.head_path)
    assert bank.load().frames == 4, "the head was not made again"


def test_what_is_written_can_be_read_by_the_safetensors_library(tmp_path: Path):
    random = np.random.default_rng(0)
    tensors = {
        "a": random.random((3, 3, 4)), "b": np.arange(5), "c": random.random((2, 3)).astype(np.float32),
        "d": random.random(7).astype(np.float16), "e": np.arange(3, dtype=np.uint8), "f": np.empty((0, 4)),
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"".join(encode_tensors({**tensors, "g": [b"ab", b"", b"c"]}, {"note": 'é"\\'})))
    read = load_file(str(path))
    for name, value in tensors.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)
    assert read["g"].tobytes() == b"abc"
    with open_tensors(path) as file:
        assert file.metadata == {"note": 'é"\\'}
        np.testing.assert_array_equal(file.read("c", "F32", (2, 3)), tensors["c"])
        with pytest.raises(DamageError, match="'a' is F64"):
            file.read("a", "F32", (3, 3, 4))
        with pytest.raises(DamageError, match="no tensor 'z'"):
            file.read("z", "F32", ())


@pytest.fixture(scope="module")
def whole_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bank with packs of both kinds, edits, keys, a history, latents and depth."""
    from scene_memory.memory.cameras.presets import make_preset

    root, random = tmp_path_factory.mktemp("whole"), np.random.default_rng(0)
    small, large, packs.SMALL, packs.LARGE = packs.SMALL, packs.LARGE, 3, 9
    try:
        bank = Bank.create(root, "film")
        state, trunk = bank.load(), bank.load()
        for i in range(8):
            state = bank.append(
                state, frames=random.integers(0, 256, (3, 6, 10, 3), dtype=np.uint8), shot=i // 3, prompt=f"number {i}",
                trajectory=make_preset("pan", frames=3, fps=8.0, amount=30.0, fov=60.0, aspect=1.6), key=f"{i:064x}",
                latents=random.random((2, 3, 2, 3)).astype(np.float16), depth=random.random((3, 4, 5)),
            )
            if i % 3 == 1:
                state = bank.edit(state, Edit("pin", ((i, i + 1),)))
            trunk = state if i == 4 else trunk
        bank.edit(trunk, Edit("exclude", ((1, 2),)))
        bank.edit(state, Edit("exclude", ((2, 3),)))
    finally:
        packs.SMALL, packs.LARGE = small, large
    return root


def mutated(data: bytes, draw: st.DataObject) -> bytes:
    kind = draw.draw(st.sampled_from(["flip", "cut", "zero", "length", "swap", "digit", "grow"]))
    place = draw.draw(st.integers(0, max(0, len(data) - 1)))
    if kind == "cut":
        return data[:place]
    if kind == "grow":
        return data + bytes(draw.draw(st.integers(1, 5000)))
    if kind == "length":
        return struct.pack("<Q", draw.draw(st.integers(0, 2**64 - 1))) + data[8:]
    changed = bytearray(data)
    if kind == "flip" and data:
        changed[place] ^= 1 << draw.draw(st.integers(0, 7))
    elif kind == "zero":
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    elif kind == "swap":
        other = draw.draw(st.integers(0, max(0, len(data) - 1)))
        changed[place : place + 32], changed[other : other + 32] = data[other : other + 32], data[place : place + 32]
    elif kind == "digit":
        digits = [at for at in range(len(data)) if data[at : at + 1].isdigit()]
        if digits:
            changed[digits[place % len(digits)]] = ord(draw.draw(st.sampled_from("0123456789-")))
    return bytes(changed)


@settings(max_examples=50)
@given(data=st.data())
def test_a_mutated_file_gives_a_named_error_or_a_good_memory(whole_bank: Path, data: st.DataObject):
    harm_one_file(whole_bank, data)


@pytest.mark.slow
@settings(max_examples=10_000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_ten_thousand_mutated_files_give_named_errors_or_good_memories(whole_bank: Path, data: st.DataObject):
    harm_one_file(whole_bank, data)


def harm_one_file(whole_bank: Path, data: st.DataObject) -> None:
    """Whatever happens to one file of a bank: words, or frames that are bit for bit those that were stored."""
    bank = Bank.open(whole_bank, "film")
    files = sorted(path for path in bank.path.rglob("*.*") if path.suffix in (".json", ".safetensors"))
    path = data.draw(st.sampled_from(files))
    state = bank.load()
    shown = state.read_frames(range(state.frames))
    saved = path.read_bytes()
    begin = time.process_time()
    try:
        path.write_bytes(mutated(saved, data))
        loaded = bank.load()
        assert loaded.poses.tobytes() == state.poses[: loaded.frames].tobytes()
        np.testing.assert_array_equal(loaded.read_frames(range(loaded.frames)), shown[: loaded.frames])
        for head in bank.history():
            bank.load(head).read_frames([0])
        bank.segment_latents(loaded, 0)
    except BankError as error:
        assert str(error)
    finally:
        path.write_bytes(saved)
    assert time.process_time() - begin < 2
    assert bank.load() == state


@pytest.mark.parametrize("part", ["edits", "packs", "keys", "head.lock"])
def test_a_link_in_place_of_any_part_is_refused(bank: Bank, filmed: Filmed, tmp_path: Path, part: str):
    filmed(bank, 1)
    there = tmp_path / "elsewhere"
    there.write_text("precious") if part == "head.lock" else there.mkdir()
    here = bank.path / part
    if here.exists():
        shutil.rmtree(here) if here.is_dir() else here.unlink()
    here.symlink_to(there)
    with pytest.raises(BankError, match="a link that leads out"):
        Bank.open(bank.root, "film")
    assert part != "head.lock" or there.read_text() == "precious"

"""Keys: a segment that was made once is found again, and made again if it was damaged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.errors import BankError
from scene_memory.memory.state.state import MemoryState

Filmed = Callable[..., MemoryState]
KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def made(move: Callable, pictures: Callable) -> Callable[..., MemoryState]:
    def make(bank: Bank, state: MemoryState, key: str = KEY, seed: int = 50) -> MemoryState:
        return bank.append(
            state, frames=pictures(4, seed), trajectory=move("tilt", 4), shot=5, key=key, latent_space="test",
            latents=np.full((2, 4, 3, 5), seed, np.float16), depth=np.full((4, 6, 10), 2.0),
        )

    return make


def test_a_segment_is_found_again_by_its_key_and_becomes_the_memory(bank: Bank, filmed: Filmed, made: Callable):
    trunk = filmed(bank, 2)
    first = made(bank, trunk)
    second = made(bank, trunk, OTHER, 60)
    bank = Bank.open(bank.root, "film")
    assert bank.load() == second and bank.history() == [first.id]
    recalled = bank.recall(trunk, KEY)
    assert recalled == first and recalled.poses.tobytes() == first.poses.tobytes()
    assert bank.load() == first and bank.history() == [second.id]
    np.testing.assert_array_equal(recalled.read_frames(range(12)), first.read_frames(range(12)))


def test_a_key_holds_for_exactly_the_memory_it_was_made_after(bank: Bank, filmed: Filmed, made: Callable):
    trunk = filmed(bank, 2)
    made(bank, trunk)
    before = bank.head_path.read_bytes()
    assert bank.recall(bank.empty(), KEY) is None
    assert bank.recall(trunk, OTHER) is None
    assert bank.head_path.read_bytes() == before


def test_recalling_writes_no_segment(bank: Bank, filmed: Filmed, made: Callable):
    trunk = filmed(bank, 1)
    made(bank, trunk)
    files = {path: path.stat().st_mtime_ns for path in bank.segments_path.iterdir()}
    bank.recall(trunk, KEY)
    assert {path: path.stat().st_mtime_ns for path in bank.segments_path.iterdir()} == files


@pytest.mark.parametrize("harm", ["missing", "cut", "cameras", "picture", "key", "key of another"])
def test_a_damaged_segment_is_not_recalled_but_made_again(bank, filmed, made, caplog, harm: str):
    trunk = filmed(bank, 1)
    state = made(bank, trunk)
    path, key = bank.segments_path / f"{state.id}.safetensors", bank.path / "keys" / f"{KEY}.json"
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "key":
        key.write_text("{")
    elif harm == "key of another":
        key.write_text(key.read_text().replace(KEY, OTHER))
    else:
        place = {"cut": len(data), "picture": len(data) - 200, "cameras": data.index(np.float64(1.0).tobytes())}[harm]
        path.write_bytes(data[:place - 1] if harm == "cut" else data[:place] + b"\xff" + data[place + 1 :])
    assert bank.recall(trunk, KEY) is None
    assert "made before is made again" in caplog.text
    assert made(bank, trunk) == state and path.read_bytes() == data
    assert bank.recall(trunk, KEY) == state


def test_a_key_is_hex_digits_and_nothing_else(bank: Bank, filmed: Filmed, made: Callable):
    trunk = filmed(bank, 1)
    for key in ("", "../head", "A" * 64, "a" * 15, "a" * 129, "a" * 63 + "\n"):
        with pytest.raises(BankError, match="expected 16 to 128 hex digits"):
            made(bank, trunk, key)
    assert bank.load() == trunk and not (bank.path / "keys").exists()


def test_latents_and_depth_are_kept_beside_the_pictures(bank: Bank, filmed: Filmed, made: Callable, move, pictures):
    state = made(bank, filmed(bank, 1))
    state = bank.append(state, frames=pictures(5, 9), trajectory=move("pan", 5), shot=6,
                        latents=np.arange(2 * 2 * 3 * 5, dtype=np.float32).reshape(2, 2, 3, 5), latent_space="wan")
    loaded = Bank.open(bank.root, "film").load()
    assert loaded.has_depth and loaded.depth_size == (6, 10)
    latents = loaded.read_latents([0, 5, 9])
    assert latents[0] is None and latents[2] is None
    np.testing.assert_array_equal(latents[1], np.full((2, 3, 5), 50, np.float16))
    whole = bank.segment_latents(loaded, 2)
    assert whole is not None and whole.dtype == np.float32 and whole.shape == (2, 2, 3, 5)
    depth = loaded.depth([4, 0, 8])
    assert (depth[0] == 2.0).all() and np.isnan(depth[1:]).all() and depth.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": np.zeros((2, 3, 4))}, "expected float16 or float32"),
        ({"latents": np.zeros((2, 3, 4, 5))}, "Latents are float64"),
        ({"depth": np.zeros((3, 4, 5))}, r"expected numbers \(2, height"),
        ({"prompt": "x" * 2**20}, "at most 1048576 fit"),
        ({"info": {"a": "x" * 2**20}}, "Shorten them"),
    ],
)
def test_what_cannot_be_kept_is_refused(bank: Bank, move: Callable, pictures: Callable, change: dict, message: str):
    with pytest.raises(BankError, match=message):
        bank.append(bank.empty(), **{"frames": pictures(2), "trajectory": move("pan", 2), "shot": 0, **change})
    assert not list(bank.segments_path.iterdir())

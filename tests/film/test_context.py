"""Which past frames a segment is given, and how often their pixels are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.retrieval.settings import RetrievalSettings
from scene_memory.memory.state.state import MemoryState

FRAMES = 24
PATH = make_preset("turn away and come back", frames=FRAMES, fps=8.0, amount=60.0, fov=70.0, aspect=1.6)


@pytest.fixture
def state(tmp_path: Path) -> MemoryState:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 6, 10, 3), dtype=np.uint8)
    bank = Bank.create(tmp_path, "film")
    state = bank.empty()
    for start in range(0, FRAMES, 8):
        part = slice(start, start + 8)
        state = bank.append(state, frames=frames[part], trajectory=PATH[part], shot=0)
    return state


@pytest.fixture
def adapter(comfy: Path) -> Any:
    from scene_memory.models.world.adapter import WorldAdapter

    return WorldAdapter()


def read_counted(state: MemoryState, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    plain = MemoryState.read_frames

    def counted(self: MemoryState, indices: Any, **named: Any) -> Any:
        asked.extend(int(index) for index in indices)
        return plain(self, indices, **named)

    monkeypatch.setattr(MemoryState, "read_frames", counted)
    return asked


def test_the_model_gets_no_more_frames_than_it_was_trained_with(state: MemoryState, adapter: Any) -> None:
    from scene_memory.film.context import ContextReader, choose_context

    adapter.most_context = 3
    settings = RetrievalSettings(strategy="recent", k=10)
    found = choose_context(state, PATH[:8], settings, adapter.most_context, ContextReader())
    assert found is not None and len(found.indices) == len(found.reasons) == 3
    assert found.indices[0] == FRAMES - 1
    assert state.bank is not None
    assert choose_context(state.bank.empty(), PATH[:8], settings, adapter.most_context, ContextReader()) is None


def test_frames_whose_pixels_are_gone_are_replaced_by_others(
    state: MemoryState, adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scene_memory.film.context import ContextReader, choose_context

    settings = RetrievalSettings(strategy="recent", k=5)
    monkeypatch.setattr(Bank, "kept", lambda self, state, indices: ~np.isin(indices, [20, 21, 19]))
    found = choose_context(state, PATH[:8], settings, adapter.most_context, ContextReader())
    assert found is not None and found.indices.tolist() == [23, 22, 18, 17, 16]


def test_without_any_pixels_the_search_ends(state: MemoryState, adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.film.context import ContextReader, choose_context

    monkeypatch.setattr(Bank, "kept", lambda self, state, indices: np.zeros(len(indices), dtype=bool))
    found = choose_context(state, PATH[:8], RetrievalSettings(k=3), adapter.most_context, ContextReader())
    assert found is not None and len(found.indices) == len(found.reasons) == 0


def test_a_frame_is_read_from_the_disk_once(state: MemoryState, comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.film.context import ContextReader

    expected = state.read_frames(range(FRAMES))
    asked = read_counted(state, monkeypatch)
    reader = ContextReader()
    assert np.array_equal(reader.pixels(state, [3, 1, 3]), expected[[3, 1, 3]])
    assert np.array_equal(reader.pixels(state, np.array([1, 2])), expected[[1, 2]])
    reader.made(FRAMES - 2, expected[-2:])
    assert np.array_equal(reader.pixels(state, [FRAMES - 1, 2]), expected[[FRAMES - 1, 2]])
    assert sorted(set(asked)) == [1, 2, 3]


def test_what_is_kept_decoded_is_bounded(state: MemoryState, comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.film import context

    monkeypatch.setattr(context, "CACHE_BYTES", 4 * 6 * 10 * 3)
    expected = state.read_frames(range(FRAMES))
    asked = read_counted(state, monkeypatch)
    reader = context.ContextReader()
    for _ in range(2):
        for index in range(FRAMES):
            assert np.array_equal(reader.pixels(state, [index])[0], expected[index])
    reader.made(0, expected[:8])
    assert reader._bytes <= context.CACHE_BYTES and len(asked) == 2 * FRAMES


def test_runs_of_frames(comfy: Path) -> None:
    from scene_memory.film.context import runs_of

    assert runs_of(np.array([5, 1, 2, 2, 9])) == ((1, 3), (5, 6), (9, 10))

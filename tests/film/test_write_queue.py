"""Writing while the next segment is made: in order, one at a time, nothing reported before it is on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank import pending
from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

SEGMENTS, SEGMENT = 4, 4
PATH = make_preset("pan", frames=SEGMENTS * SEGMENT, fps=8.0, amount=60.0, fov=70.0, aspect=48 / 36)


@pytest.fixture
def plan(world_plan: Any) -> Any:
    """A shot of four small segments with the bundled model."""
    return world_plan(PATH, SEGMENT)


@pytest.fixture
def shoot(comfy: Path) -> Callable[..., Any]:
    @torch.inference_mode()
    def run(state: Any, plan: Any, **callbacks: Any) -> list[Any]:
        from scene_memory.film.loop import generate_shot
        from scene_memory.models.registry import adapter_for

        return list(generate_shot(state, plan, adapter_for(plan.model), **callbacks))

    return run


def test_what_is_reported_is_on_the_disk(plan: Any, comfy: Path, tmp_path: Path) -> None:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    bank = Bank.create(tmp_path, "film")
    with torch.inference_mode():
        for number, done in enumerate(generate_shot(bank.empty(), plan, adapter_for(plan.model))):
            assert (done.index, done.made, done.state.frames) == (number, True, SEGMENT * (number + 1))
            there = Bank.open(tmp_path, "film").load()
            assert there.frames >= done.state.frames
            assert there.segments[number].id == done.state.id
            done.state.read_frames(range(done.state.frames))
    assert number == SEGMENTS - 1


def test_a_film_is_the_same_however_slowly_it_is_written(
    plan: Any, shoot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = shoot(Bank.create(tmp_path, "quick").empty(), plan)
    plain = pending.commit

    def slow(folder: Path, state: Any) -> Any:
        assert threading.current_thread().name.startswith("scene memory writer")
        time.sleep(0.3)
        return plain(folder, state)

    monkeypatch.setattr(pending, "commit", slow)
    slowly = shoot(Bank.create(tmp_path, "slow").empty(), plan)
    assert [done.state.id for done in slowly] == [done.state.id for done in quick]


def test_an_error_of_the_disk_ends_the_shot_and_what_was_reported_stays(
    plan: Any, comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    bank, plain = Bank.create(tmp_path, "film"), pending.commit

    def full(folder: Path, state: Any) -> Any:
        if state.frames > 2 * SEGMENT:
            raise OSError(28, "No space left on device")
        return plain(folder, state)

    monkeypatch.setattr(pending, "commit", full)
    reported = []
    with torch.inference_mode(), pytest.raises(OSError, match="No space left"):
        for done in generate_shot(bank.empty(), plan, adapter_for(plan.model)):
            reported.append(done.index)
    assert reported == [0, 1] and Bank.open(tmp_path, "film").load().frames == 2 * SEGMENT


def test_a_shot_that_is_left_in_the_middle_keeps_what_was_made(plan: Any, comfy: Path, tmp_path: Path) -> None:
    """As when somebody presses cancel: the error comes while the third segment is sampled."""
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    def cancel(segment: int, step: int, x0: torch.Tensor) -> None:
        if segment == 2:
            raise KeyboardInterrupt

    bank = Bank.create(tmp_path, "film")
    with torch.inference_mode(), pytest.raises(KeyboardInterrupt):
        list(generate_shot(bank.empty(), plan, adapter_for(plan.model), on_step=cancel))
    assert Bank.open(tmp_path, "film").load().frames == 2 * SEGMENT
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scene memory writer")]


def test_a_shot_goes_on_where_the_bank_ends_and_makes_the_rest_only(plan: Any, shoot: Any, tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    first = shoot(bank.empty(), replace(plan, trajectory=PATH[: 2 * SEGMENT]))
    steps: list[int] = []
    rest = shoot(bank.empty(), plan, on_step=lambda segment, step, x0: steps.append(segment))
    assert [done.made for done in rest] == [False, False, True, True] and steps == [2, 3]
    assert rest[1].state.id == first[1].state.id
    again = shoot(bank.empty(), plan)
    assert [done.made for done in again] == [False] * SEGMENTS and again[-1].state.id == rest[-1].state.id


def test_a_segment_whose_file_is_gone_is_made_again_with_the_same_bytes(plan: Any, shoot: Any, tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    whole = shoot(bank.empty(), plan)[-1].state
    path = bank.segments_path / f"{whole.segments[1].id}.safetensors"
    before = path.read_bytes()
    path.unlink()
    again = shoot(bank.empty(), plan)
    assert [done.made for done in again] == [False, True, False, False]
    assert path.read_bytes() == before and again[-1].state.id == whole.id


def test_depth_is_kept_with_its_frames_and_counts_for_what_is_chosen(plan: Any, shoot: Any, tmp_path: Path) -> None:
    bank = Bank.create(tmp_path, "film")
    depth = np.linspace(1, 5, SEGMENTS * SEGMENT, dtype=np.float32)[:, None, None] * np.ones((36, 48), np.float32)
    state = shoot(bank.empty(), replace(plan, depth=depth))[-1].state
    assert state.has_depth and state.depth([0, 9]).shape[0] == 2
    assert np.allclose(np.nanmean(state.depth(range(state.frames)), axis=(1, 2)), depth[:, 0, 0], rtol=1e-3)
    assert all(not done.made for done in shoot(bank.empty(), replace(plan, depth=depth.copy())))
    other = shoot(bank.empty(), replace(plan, depth=depth + 1))
    assert not other[0].made, "pictures hang on the depth only by the frames that are chosen, and here there are none"
    kept = other[-1].state
    assert np.allclose(np.nanmean(kept.depth(range(kept.frames)), axis=(1, 2)), depth[:, 0, 0] + 1, rtol=1e-3)
    with pytest.raises(ValueError, match="3 depth maps for a camera path of 16 frames"):
        shoot(bank.empty(), replace(plan, depth=depth[:3]))


def test_a_bank_with_a_limit_is_written_at_once(plan: Any, shoot: Any, tmp_path: Path) -> None:
    free = shoot(Bank.create(tmp_path, "free").empty(), plan)
    bounded = shoot(Bank.create(tmp_path, "bounded", max_bytes=10**9).empty(), plan)
    assert [done.state.id for done in bounded] == [done.state.id for done in free]


def test_a_film_in_a_full_bank_is_found_again_with_what_was_dropped(plan: Any, shoot: Any, tmp_path: Path) -> None:
    free = Bank.create(tmp_path, "free")
    shoot(free.empty(), plan)
    bank = Bank.create(tmp_path, "bounded", max_bytes=int(0.75 * free.size_bytes()))
    whole = shoot(bank.empty(), plan)[-1].state
    assert whole.flags(range(whole.frames)).dropped.any() and len(whole.edits) >= 1
    part = shoot(bank.empty(), replace(plan, trajectory=PATH[: 2 * SEGMENT]))
    assert [done.made for done in part] == [False, False]
    again = shoot(bank.empty(), plan)
    assert [done.made for done in again] == [False] * SEGMENTS and again[-1].state.id == whole.id
    assert Bank.open(tmp_path, "bounded").load().id == whole.id

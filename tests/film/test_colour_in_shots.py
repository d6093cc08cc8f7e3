"""colour_anchor of a shot: off it changes nothing, not even a key; on, segments follow the frames they were given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

SEGMENT = 4


@pytest.fixture
def plan(world_plan: Any) -> Any:
    path = make_preset("pan", frames=3 * SEGMENT, fps=8.0, amount=20.0, fov=70.0, aspect=48 / 36)
    return world_plan(path, SEGMENT)


@torch.inference_mode()
def film(folder: Path, name: str, plan: Any) -> np.ndarray:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    *_, last = generate_shot(Bank.create(folder, name).empty(), plan, adapter_for(plan.model))
    return last.state.read_frames(range(last.state.frames))


def test_the_keys_change_only_where_colours_are_anchored(plan: Any, comfy: Path, tmp_path: Path) -> None:
    bank, keys = Bank.create(tmp_path, "any"), []
    for anchor in (0.0, 0.5, 1.0):
        keys.append(keys_of(bank.empty(), replace(plan, colour_anchor=anchor)))
    asked, made = zip(*keys, strict=True)
    assert len(set(asked)) == len(set(made)) == 3


def keys_of(state: Any, plan: Any) -> list[str]:
    """The keys of a plan's first segment: what is asked for, and what the model would be given."""
    from scene_memory.film import loop as loop
    from scene_memory.film.recall import Search
    from scene_memory.models.registry import adapter_for

    shot = loop._begin(state, plan, adapter_for(plan.model), (48, 36))
    search = Search(shot, state, plan.trajectory[:SEGMENT], 0, None, lambda retrieval: {})
    assert list(search.ways()) == []
    return search.keys


def test_a_drift_of_the_decoder_is_held(
    plan: Any, comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VAE that tints: what it makes redder, segment by segment, stays near the first segment's colours."""
    from scene_memory.models.host import adapter

    plain, count = adapter.decoded, [0]

    def tinting(vae: Any, latent: Any) -> np.ndarray:
        count[0] += 1
        return (
            (plain(vae, latent).astype(int) + np.array([6 * count[0], 0, -6 * count[0]])).clip(0, 255).astype(np.uint8)
        )

    monkeypatch.setattr(adapter, "decoded", tinting)
    casts = {}
    for anchor in (0.0, 1.0):
        count[0] = 0
        frames = film(tmp_path, f"film {anchor}", replace(plan, colour_anchor=anchor))
        warm = frames[..., 0].mean(axis=(1, 2)) - frames[..., 2].mean(axis=(1, 2))
        casts[anchor] = abs(float(warm[-SEGMENT:].mean() - warm[:SEGMENT].mean()))
    assert casts[0.0] > 15 and casts[1.0] < casts[0.0] / 3


def test_a_strength_outside_0_to_1_is_refused(plan: Any, tmp_path: Path, comfy: Path) -> None:
    with pytest.raises(ValueError, match=r"colour_anchor is 1\.5"):
        film(tmp_path, "refused", replace(plan, colour_anchor=1.5))

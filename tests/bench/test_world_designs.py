"""The designs that world_designs compares: each one learns a little and paints pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scene_memory.dev.bench.world_designs import DESIGNS, Design, measure
from scene_memory.world.scenes import FIRST_TRAINING_SEED
from scene_memory.world.training.dataset import Store, rendered_walk


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    store = Store(folder, 48)
    walks = [rendered_walk(FIRST_TRAINING_SEED + number) for number in range(2)]
    for number in range(48):
        store.add(walks[number % 2])
    return folder


SHOWN = [DESIGNS[0], *(pytest.param(design, marks=pytest.mark.slow) for design in (DESIGNS[2], DESIGNS[5]))]


@pytest.mark.parametrize("design", SHOWN, ids=lambda design: design.name)
def test_a_design_is_trained_and_examined(design: Design, store: Path, tmp_path: Path) -> None:
    row = measure(design, 0.02, store, tmp_path)
    assert row["samples"] > 0 and 3 < row["psnr"] < 60 and torch.isfinite(torch.tensor(row["loss"]))

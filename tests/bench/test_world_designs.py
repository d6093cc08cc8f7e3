"""The designs that world_designs compares: each one learns a little and paints pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scene_memory.dev.bench.world_designs import DESIGNS, Design, measure
from scene_memory.dev.bench.world_model import imagining
from scene_memory.dev.bench.world_model.surface_reader import SurfaceReader
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


def test_ways_to_imagine_are_measured_and_go_on_where_they_were(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(imagining.unseen, "FRAMES", 12)
    monkeypatch.setattr(imagining, "SHEET", (0, 2, 4))
    examination = imagining.Examination(SurfaceReader().eval(), 2, tmp_path / "sheets")
    still, learned = imagining.measured((1, 7), 0.01, tmp_path, store, examination)
    assert still["minutes"] == 0 and learned["samples"] > 0
    assert all(0 <= row["unseen_sharpness"] < 10 for row in (still, learned))
    assert (tmp_path / "sheets" / f"{imagining.WAYS[7].folder}-0.01.png").stat().st_size > 1000
    monkeypatch.setattr(imagining, "Learning", None)
    assert imagining.measured((1, 7), 0.01, tmp_path, store, examination) == [still, learned]

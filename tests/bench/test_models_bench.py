"""bench models: what it says of a family is measured there and then, and can be otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from scene_memory.dev.bench import models
from scene_memory.dev.bench._models.families import FAMILIES
from scene_memory.dev.bench._models.in_diffusers import largest_error
from scene_memory.dev.bench._models.memory import Memory
from scene_memory.dev.bench._models.shots import Studio

T2V = "text to video"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, comfy: Path) -> Path:
    return tmp_path_factory.mktemp("bench models")


def studio_of(folder: Path, name: str, **changed: Any) -> Studio:
    family = replace(FAMILIES[name], size=(64, 64), frames=9, **changed)
    return Studio(folder / f"{name} {len(list(folder.iterdir()))}", family, family.load(folder / "models"))


def test_a_row_has_all_its_figures(folder: Path) -> None:
    family = replace(FAMILIES[T2V], size=(64, 64), frames=9)
    row = models.measured(folder, T2V, family, rounds=1)
    assert row["stock_identical"] is True and 0 < row["diffusers_max_error"] < 1e-4
    assert row["memory_ms"] > row["overhead_ms"] > 0 and 0 < row["overhead_share"] < 1
    assert all(more > before > 0 for before, more in (row["memory_predicted"], row["memory_real"]))
    assert set(models.figures(row)) == {
        "overhead_share", "memory_predicted_over_real", "stock_identical", "diffusers_max_error"
    }  # fmt: skip
    assert T2V in models.line(T2V, row) and " equal" in models.line(T2V, row)
    assert "NOT EQUAL" in models.line(T2V, {**row, "stock_identical": False})


def test_another_latent_of_the_stock_nodes_is_not_called_identical(folder: Path) -> None:
    stock = FAMILIES[T2V].stock
    with torch.inference_mode():
        right = studio_of(folder, T2V)
        wrong = studio_of(folder, T2V, stock=lambda loaded, ask: stock(loaded, replace(ask, seed=ask.seed + 1)))
        assert right.identical() and not wrong.identical()


def test_diffusers_own_vace_agrees_with_references_in_front(folder: Path) -> None:
    with torch.inference_mode():
        assert 0 < largest_error(studio_of(folder, "VACE")) < 1e-4


def test_the_memory_figure_is_growth_over_growth() -> None:
    assert Memory(predicted=(100.0, 150.0), real=(10.0, 15.0)).predicted_over_real == pytest.approx(1.0)
    assert Memory(predicted=(100.0, 150.0), real=(10.0, 20.0)).predicted_over_real == pytest.approx(0.5)


def test_every_kind_of_adapter_has_a_row(folder: Path) -> None:
    from scene_memory.models.registry import ADAPTERS, adapter_for

    served = {type(adapter_for(one.load(folder / "models").model, one.way)) for one in FAMILIES.values()}
    assert served == set(ADAPTERS)

"""A family is one record: refusals and docs/models.md say what the adapters say of themselves."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def about(model: str) -> str:
    """The row of a model in the tables, or its chapter."""
    row = re.search(rf"^\| {re.escape(model)}\b.*safetensors.*$", DOCS, re.M)
    if row is not None:
        return row[0]
    _, _, chapter = DOCS.partition(f"\n## {model}\n")
    return chapter.partition("\n## ")[0]


def test_adapters_are_asked_in_the_order_of_their_turns(comfy: Path) -> None:
    """Of a Wan with a story's options, the story's; the order stands in every refusal, too."""
    from scene_memory.models.registry import ADAPTERS

    assert [adapter.__name__ for adapter in ADAPTERS if adapter.turn < 100] == [
        "WorldAdapter", "StoryMemAdapter", "MementoAdapter", "WanAdapter", "WanCameraAdapter", "WanInpaintAdapter",
        "WanVaceAdapter", "MinimaxH3Adapter", "LtxAdapter",
    ]  # fmt: skip
    assert len({adapter.turn for adapter in ADAPTERS}) == len(ADAPTERS), "each has a turn of its own"


def test_a_model_that_no_adapter_serves_is_told_which_are(comfy: Path) -> None:
    from scene_memory.models.registry import ADAPTERS, adapter_for

    class Unknown:
        diffusion_model = None

    with pytest.raises(ValueError, match=r"model \(Unknown\) yet. Load one that it serves: Wan 2.1 or 2.2") as said:
        adapter_for(SimpleNamespace(model=Unknown(), get_attachment=lambda key: None))
    assert all(name in str(said.value) for adapter in ADAPTERS for name in adapter.listed)
    assert str(said.value).endswith(", or the model of Load World Model.")


def test_the_page_of_models_has_every_model_with_its_files_and_no_other(comfy: Path) -> None:
    from scene_memory.models.registry import ADAPTERS

    known = {model: files for adapter in ADAPTERS for model, files in adapter.files.items()}
    assert len(known) == 16
    for model, files in known.items():
        told = about(model)
        assert [file for file in files if f"`{file}`" not in told] == [], model
    table = DOCS.partition("## Files")[2].partition("\n\nFiles without")[0]
    rows = re.findall(r"^\| ([^|]+) \| `", table, re.M)
    assert len(rows) == 12 and [row for row in rows if not row.startswith(tuple(known))] == []


@pytest.mark.parametrize("name", ["LTX video", "MiniMax H3"])
def test_the_page_of_models_has_the_lengths_and_sizes(comfy: Path, name: str) -> None:
    from scene_memory.models.registry import ADAPTERS

    (adapter,) = (adapter for adapter in ADAPTERS if adapter.name == name)
    (step, rest), (width, height), told = adapter.frame_grid, adapter.default_size, about(name)
    assert f"{step}n + {rest} frames" in told and f"({width} x {height})" in told
    assert f"({adapter.default_segment} by default" in told and f" {adapter.longest_segment}" in told
    assert f"multiples of {adapter.size_multiple}" in told

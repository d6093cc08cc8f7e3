"""The patch that routes attention: it touches what an adapter has described, and passes on everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from scene_memory.kernels import MocLayout, MocSettings, moc_attention


@pytest.fixture
def patch(comfy: Path) -> Any:
    from scene_memory.generation import moc_patch

    return moc_patch


def tensors(queries: int, keys: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randn(1, 2, length, 16, generator=random) for length in (queries, keys, keys))


def backend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, **_: Any) -> str:
    return "backend"


def options(layout: MocLayout | None, **more: Any) -> dict[str, Any]:
    return {"scene_memory_layout": layout, "scene_memory_routable": True, "block_index": 0, **more}


LAYOUT = MocLayout.cross(text=2, context=[4, 4, 4], own=8)


def test_described_attention_is_routed_in_both_layouts_of_tensors(patch: Any) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=1)), None)
    expected = moc_attention(q, k, v, LAYOUT, MocSettings(top_k=1)).transpose(1, 2).flatten(2)
    split = override(backend, q, k, v, 2, skip_reshape=True, transformer_options=options(LAYOUT))
    assert torch.equal(split, expected)
    flat = [part.transpose(1, 2).flatten(2) for part in (q, k, v)]
    assert torch.equal(override(backend, *flat, 2, transformer_options=options(LAYOUT)), expected)
    kept = override(
        backend, q, k, v, 2, skip_reshape=True, skip_output_reshape=True, transformer_options=options(LAYOUT)
    )
    assert torch.equal(kept.transpose(1, 2).flatten(2), expected)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"transformer_options": {}},
        {"transformer_options": {"scene_memory_layout": LAYOUT}},
        {"transformer_options": options(None)},
        {"transformer_options": options(LAYOUT), "mask": torch.zeros(8, 22)},
    ],
    ids=["no options", "no layout", "not routable", "empty layout", "a mask"],
)
def test_any_other_attention_goes_to_the_backend(patch: Any, given: dict[str, Any]) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=1)), None)
    assert override(backend, q, k, v, 2, skip_reshape=True, **given) == "backend"


def test_the_first_layers_stay_dense_and_an_override_that_was_there_is_kept_for_them(patch: Any) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(
        patch.RoutingOptions(MocSettings(top_k=1), dense_layers=2), lambda func, *args, **kwargs: "earlier override"
    )
    found = [
        override(backend, q, k, v, 2, skip_reshape=True, transformer_options=options(LAYOUT, block_index=layer))
        for layer in range(3)
    ]
    assert found[:2] == ["earlier override"] * 2 and torch.is_tensor(found[2])


def test_when_everything_would_be_chosen_the_backend_does_it(patch: Any) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=3)), None)
    assert override(backend, q, k, v, 2, skip_reshape=True, transformer_options=options(LAYOUT)) == "backend"

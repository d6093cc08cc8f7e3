"""The patch that routes attention: it touches what an adapter has described, and passes on everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from scene_memory.kernels import MocLayout, MocSettings, moc_attention


@pytest.fixture
def patch(comfy: Path) -> Any:
    from scene_memory.models.moc import patch as moc_patch

    return moc_patch


def tensors(queries: int, keys: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randn(1, 2, length, 16, generator=random) for length in (queries, keys, keys))


def backend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, *_: Any, **__: Any) -> str:
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


def routes(patch: Any, options_: Any, layout: MocLayout = LAYOUT, **more: Any) -> bool:
    q, k, v = tensors(layout.queries, layout.keys)
    override = patch.routing_override(options_, None)
    given = options(layout, **more)
    return torch.is_tensor(override(backend, q, k, v, 2, skip_reshape=True, transformer_options=given))


def test_attention_of_another_length_than_described_goes_to_the_backend(patch: Any) -> None:
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=1)), None)
    for q, k, v in (tensors(8, 21), tensors(7, 22)):
        assert override(backend, q, k, v, 2, skip_reshape=True, transformer_options=options(LAYOUT)) == "backend"


def test_arguments_by_place_and_by_name_are_understood_alike(patch: Any) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=1)), None)
    by_place = override(backend, q, k, v, 2, None, None, True, True, transformer_options=options(LAYOUT))
    by_name = override(
        backend, q, k, v, heads=2, skip_reshape=True, skip_output_reshape=True, transformer_options=options(LAYOUT)
    )
    assert by_place.shape == (1, 2, 8, 16) and torch.equal(by_place, by_name)
    mask = torch.zeros(8, 22)
    assert override(backend, q, k, v, 2, mask, None, True, transformer_options=options(LAYOUT)) == "backend"


def test_a_scale_of_the_model_is_kept(patch: Any) -> None:
    q, k, v = tensors(8, 22)
    override = patch.routing_override(patch.RoutingOptions(MocSettings(top_k=1)), None)
    given = {"skip_reshape": True, "skip_output_reshape": True, "transformer_options": options(LAYOUT)}
    expected = moc_attention(q, k, v, LAYOUT, MocSettings(top_k=1), scale=0.9)
    assert torch.equal(override(backend, q, k, v, 2, scale=0.9, **given), expected)


def test_switch_on_counts_keys_and_automatic_routes_only_what_is_expected_to_be_faster(patch: Any) -> None:
    def switched(switch_on: int, layout: MocLayout = LAYOUT) -> bool:
        return routes(patch, patch.RoutingOptions(MocSettings(top_k=1), switch_on=switch_on), layout)

    assert switched(1) and switched(22) and not switched(23)
    assert not switched(patch.AUTOMATIC)
    assert switched(patch.AUTOMATIC, MocLayout.cross(0, [500] * 40, 2500))


def test_the_first_steps_stay_dense(patch: Any) -> None:
    levels = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
    for dense_steps, first_routed in ((0, 0), (1, 1), (3, 3)):
        options_ = patch.RoutingOptions(MocSettings(top_k=1), dense_steps=dense_steps)
        found = [routes(patch, options_, sigmas=levels[step : step + 1], sample_sigmas=levels) for step in range(4)]
        assert found == [step >= first_routed for step in range(4)]
    assert routes(patch, patch.RoutingOptions(MocSettings(top_k=1), dense_steps=3)), "a model that tells no step"


def test_anchor_frames_are_the_oldest_and_chunks_take_the_size_asked_for(patch: Any) -> None:
    made = patch.chunked_layout(LAYOUT, patch.RoutingOptions(MocSettings(top_k=1), anchor_frames=1))
    assert made.chunk_anchor == (True, True, False, False, False)
    made = patch.chunked_layout(LAYOUT, patch.RoutingOptions(MocSettings(top_k=1), chunk_tokens=2))
    assert made.key_starts == (0, 2, 4, 6, 8, 10, 12, 14, 22)
    assert patch.chunked_layout(LAYOUT, patch.RoutingOptions(MocSettings(top_k=1))) is LAYOUT

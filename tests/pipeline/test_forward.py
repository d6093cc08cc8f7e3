"""Identities that hold exactly: no context is diffusers' own Wan, order does not matter, hidden context is none."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

FRAMES, CONTEXT = 3, 5


@pytest.fixture(scope="module")
def stock() -> Any:
    from diffusers import WanTransformer3DModel

    torch.manual_seed(0)
    small = {"num_attention_heads": 2, "attention_head_dim": 24, "freq_dim": 32, "ffn_dim": 64, "num_layers": 2}
    return WanTransformer3DModel(**small, text_dim=32).eval()


@pytest.fixture(scope="module")
def network(stock: Any) -> Any:
    from scene_memory.pipeline import with_memory

    return with_memory(copy.deepcopy(stock))


def given(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    latents = torch.randn(2, 16, FRAMES, 6, 8, generator=random)
    return latents, torch.tensor([700.0, 300.0]), torch.randn(2, 7, 32, generator=random)


def context(positions: tuple[float, ...] = (-40.5, -12.0, -7.25, -2.0, -1.0), times: str = "clean") -> Any:
    from scene_memory.models.wan.timesteps import frame_noise
    from scene_memory.pipeline.forward import Context

    latents = torch.randn(1, 16, len(positions), 6, 8, generator=torch.Generator().manual_seed(9))
    return Context(latents, positions, times, frame_noise(latents, tuple(range(len(positions)))))


def run(network: Any, **more: Any) -> torch.Tensor:
    from scene_memory.pipeline.forward import predict

    with torch.inference_mode():
        return predict(network, *given(), **more)


def test_with_no_context_it_is_the_stock_transformer_to_the_bit(stock: Any, network: Any) -> None:
    from scene_memory.pipeline import Routing

    latents, time, text = given()
    with torch.inference_mode():
        theirs = stock(latents, time, text, return_dict=False)[0]
        per_token = stock(latents, time[:, None].expand(2, FRAMES * 12), text, return_dict=False)[0]
    assert torch.equal(run(network), theirs)
    assert torch.equal(run(network, routing=Routing()), theirs)
    from scene_memory.pipeline.forward import predict

    with torch.inference_mode():
        ours = predict(network, latents, time[:, None].expand(2, FRAMES), text)
    assert torch.equal(ours, per_token)
    assert network.state_dict().keys() == stock.state_dict().keys()


def test_places_that_count_up_are_the_stock_rope_to_the_bit(stock: Any) -> None:
    from scene_memory.pipeline.rope import Axes, turns

    cos, sin = stock.rope(torch.zeros(1, 16, 9, 6, 8))
    axes = Axes(stock.rope.t_dim, stock.rope.h_dim, stock.rope.w_dim)
    ours = turns(axes, [float(place) for place in range(9)], 3, 4, torch.device("cpu"))
    assert torch.equal(ours[0], cos) and torch.equal(ours[1], sin)


def test_places_far_back_are_told_apart_and_stay_exact_where_bfloat16_has_no_such_numbers() -> None:
    from scene_memory.pipeline.rope import Axes, turns

    cos, _ = turns(Axes(8, 4, 4), [-300.0, -301.0, -4000.25, -4000.5], 1, 1, torch.device("cpu"))
    assert cos.dtype == torch.float32
    assert (cos[:, 0] - cos[:, 1]).abs().max() > 0.1 and (cos[:, 2] - cos[:, 3]).abs().max() > 0.1


@pytest.mark.parametrize("times", ["clean", "same as the segment", "noised like the segment"])
def test_context_in_another_order_with_its_places_gives_the_same(network: Any, times: str) -> None:
    first = context(times=times)
    order = [3, 0, 4, 1, 2]
    positions = tuple(first.positions[index] for index in order)
    shuffled = replace(first, latents=first.latents[:, :, order], positions=positions, noise=first.noise[:, :, order])
    ours = run(network, context=first, level=0.7)
    assert torch.allclose(run(network, context=shuffled, level=0.7), ours, atol=2e-5)
    assert (run(network, context=replace(shuffled, positions=first.positions), level=0.7) - ours).abs().max() > 1e-3
    assert (run(network) - ours).abs().max() > 1e-2


def test_clean_frames_before_the_segment_are_a_longer_video_whose_first_frames_are_at_time_0(
    stock: Any, network: Any
) -> None:
    """By another way: one video through the stock transformer, whose positions only differ by a shift."""
    latents, time, text = given()
    seen = context(tuple(float(place) for place in range(-CONTEXT, 0)))
    whole = torch.cat([seen.latents.expand(2, -1, -1, -1, -1), latents], dim=2)
    times = torch.cat([torch.zeros(2, CONTEXT), time[:, None].expand(2, FRAMES)], dim=1).repeat_interleave(12, dim=1)
    with torch.inference_mode():
        theirs = stock(whole, times, text, return_dict=False)[0][:, :, CONTEXT:]
    assert torch.allclose(run(network, context=seen), theirs, atol=2e-5)


def test_routing_that_chooses_all_is_a_mask_and_one_that_chooses_few_is_something_else(network: Any) -> None:
    """With as many chunks as there are nothing is routed; fewer change the picture, in the reference the same way."""
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import Routing

    dense = run(network, context=context())
    assert torch.equal(run(network, context=context(), routing=Routing(MocSettings(top_k=CONTEXT))), dense)
    few = run(network, context=context(), routing=Routing(MocSettings(top_k=2)))
    slow = run(network, context=context(), routing=Routing(MocSettings(top_k=2), implementation="reference"))
    assert (few - dense).abs().max() > 1e-3
    assert torch.allclose(few, slow, atol=2e-5)


def test_the_gradient_is_the_same_when_blocks_are_computed_again_with_drops_and_all(network: Any) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import Routing
    from scene_memory.pipeline.forward import predict

    routing = Routing(MocSettings(top_k=2, drop_off=0.6, drop_in=1.0))
    found = []
    for again in (False, True):
        trained = copy.deepcopy(network)
        if again:
            trained.enable_gradient_checkpointing()
        predict(trained, *given(), context=context(), routing=routing, seed=4).square().mean().backward()
        found.append([weight.grad for weight in trained.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_what_does_not_fit_is_refused_in_words(stock: Any, network: Any) -> None:
    from scene_memory.pipeline import MemoryOptions, with_memory
    from scene_memory.pipeline.forward import predict

    with pytest.raises(ValueError, match="Call with_memory"):
        run(stock, context=context())
    with pytest.raises(ValueError, match="Latents are 7 x 6.*multiples of 16"):
        predict(network, torch.zeros(1, 16, 1, 6, 7), torch.zeros(1), torch.zeros(1, 1, 32))
    with pytest.raises(ValueError, match="times is 'now'.*Use auto"):
        MemoryOptions(times="now")
    with pytest.raises(ValueError, match="Linear cannot be given a memory"):
        with_memory(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="5 positions|1 positions"):
        replace(context(), positions=(1.0,))

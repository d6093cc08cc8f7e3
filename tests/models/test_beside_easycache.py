"""EasyCache, ComfyUI's own node, beside a memory: what it keeps of a step and gives again is the segment's alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

T2V, A14B = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"
TI2V = "wan2.2_ti2v_5B_fp16.safetensors"
LEVELS = (0.98, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.0)
OWN = 3
"""Latent frames of a segment."""

Wrapper = Callable[..., Any]


def cached(model: Any) -> Any:
    from comfy_extras.nodes_easycache import EasyCacheNode

    return EasyCacheNode.execute(model, reuse_threshold=2.0, start_percent=0.0, end_percent=1.0, verbose=False).result[
        0
    ]


def around(model: Any, outside: Wrapper | None = None, inside: Wrapper | None = None) -> Any:
    """A copy of a MODEL with a wrapper around all others of its network, and one inside of them."""
    import comfy.patcher_extension

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    copy = model.clone()
    copy.wrappers[kind] = {
        "outside": [outside] * (outside is not None),
        **copy.wrappers.get(kind, {}),
        "inside": [inside] * (inside is not None),
    }
    return copy


def sampled(wan: Any, model: Any, ready: Any) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """The latent, and of every step what came in, what went out, and whether the network was computed for it."""
    steps: list[dict[str, Any]] = []
    computed: list[int] = []

    def outside(executor: Any, x: Any, *rest: Any, **more: Any) -> Any:
        given, before = x.clone(), len(computed)
        result = executor(x, *rest, **more)
        steps.append({"x": given, "out": result.clone(), "computed": len(computed) > before})
        return result

    def inside(executor: Any, *given: Any, **more: Any) -> Any:
        computed.append(1)
        return executor(*given, **more)

    watched = around(ready.model or model, outside, inside)
    return wan.step(model, replace(ready, model=watched), 1.0, LEVELS), steps


@pytest.mark.parametrize("name", [T2V, A14B, TI2V])
def test_a_step_that_is_not_computed_gives_the_change_of_the_last_that_was(wan: Any, name: str) -> None:
    """EasyCache's own rule (what came out less what came in, added again), on the segment's frames and channels."""
    model = cached(wan.model(name))
    latent, steps = sampled(wan, model, wan.prepared(model, wan.segment(model, begins=name != T2V)))
    plain = wan.model(name)
    whole, all_steps = sampled(wan, plain, wan.prepared(plain, wan.segment(plain, begins=name != T2V)))
    made = [step["computed"] for step in steps]
    assert len(made) == len(LEVELS) - 1 and made[0] and 0 < sum(made) < len(made), made
    assert all(step["computed"] for step in all_steps)
    kept = None
    for step in steps:
        channels = step["out"].shape[1]
        assert step["out"].shape[2] == step["x"].shape[2] == OWN
        if step["computed"]:
            kept = step["out"] - step["x"][:, :channels]
        else:
            assert torch.allclose(step["out"], step["x"][:, :channels] + kept, atol=1e-5)
    assert torch.equal(steps[0]["out"], all_steps[0]["out"])
    assert latent.shape == whole.shape and bool(torch.isfinite(latent).all()) and not torch.equal(latent, whole)


def test_with_a_memory_that_nothing_sees_it_skips_the_steps_that_it_skips_without_one(wan: Any) -> None:
    """So that what differs with a memory is what the memory shows, and not how EasyCache takes it."""
    model = cached(wan.model(T2V))
    plain, without = sampled(wan, model, wan.prepared(model, wan.segment(model, context=0)))
    ready = wan.prepared(model, wan.segment(model))
    tokens = OWN * (plain.shape[-2] // 2) * (plain.shape[-1] // 2)

    def blind(backend: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *rest: Any, **more: Any) -> Any:
        if k.shape[1] == q.shape[1] > tokens:
            k, v = k[:, :tokens], v[:, :tokens]
        return backend(q, k, v, *rest, **more)

    hidden = ready.model.clone()
    options = hidden.model_options["transformer_options"]
    hidden.model_options["transformer_options"] = {**options, "optimized_attention_override": blind}
    latent, unseen = sampled(wan, model, replace(ready, model=hidden))
    assert [step["computed"] for step in unseen] == [step["computed"] for step in without]
    assert torch.allclose(latent, plain, atol=1e-4)
    seen, _ = sampled(wan, model, ready)
    assert (seen - plain).abs().max() > 1e-3


def test_nothing_of_a_segment_is_left_for_the_next(wan: Any) -> None:
    model = cached(wan.model(T2V))
    first, second = (wan.prepared(model, wan.segment(model, context=count)) for count in (2, 3))
    alone, _ = sampled(wan, model, second)
    sampled(wan, model, first)
    after, _ = sampled(wan, model, second)
    assert torch.equal(after, alone)

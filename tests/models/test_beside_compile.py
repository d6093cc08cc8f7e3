"""torch.compile by ComfyUI's own node, beside a memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

T2V, A14B = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"
TI2V, CAMERA = "wan2.2_ti2v_5B_fp16.safetensors", "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors"


@pytest.fixture(autouse=True)
def compiled_anew() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(model: Any, backend: str) -> Any:
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    return TorchCompileModel.execute(model, backend).result[0]


def frames_compiled() -> int:
    return int(torch._dynamo.utils.counters["stats"].get("calls_captured", 0))


def segments(wan: Any, model: Any) -> list[Any]:
    """Segments of one film as they come: without a past, with one, and with another of as many frames."""
    first, some = (wan.segment(model, context=count) for count in (0, 2))
    numbers = tuple(number + 1 for number in some.context.numbers)
    other = replace(some, context=replace(some.context, latents=some.context.latents.flip(2), numbers=numbers))
    return [first, some, other]


@pytest.mark.slow
@pytest.mark.parametrize("name", [T2V, A14B, TI2V, CAMERA])
def test_a_compiled_model_makes_the_same_film_segment_for_segment(wan: Any, name: str) -> None:
    """What changes from segment to segment (number of frames, their places, their noise) reaches the compiled network:
    the node's guards look at none of the options that carry it."""
    from scene_memory.models.wan.options import WanOptions, with_options

    model = with_options(wan.model(name), WanOptions(positions="true time"))
    fast = compiled(model, "eager")
    made = []
    for segment in segments(wan, model):
        expected = wan.step(model, wan.prepared(model, segment))
        made.append(wan.step(fast, wan.prepared(fast, segment)))
        assert torch.allclose(made[-1], expected, atol=2e-5)
    assert frames_compiled() > 0
    assert all((one - other).abs().max() > 1e-3 for one, other in zip(made, made[1:], strict=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", [T2V, A14B])
def test_inductor_s_own_code_makes_the_same(wan: Any, name: str) -> None:
    model = wan.model(name)
    fast = compiled(model, "inductor")
    for segment in segments(wan, model):
        expected = wan.step(model, wan.prepared(model, segment))
        assert torch.allclose(wan.step(fast, wan.prepared(fast, segment)), expected, atol=1e-4)
    assert frames_compiled() > 0


def as_memento(model: Any) -> Any:
    from scene_memory.models.story.options import StoryOptions, with_story

    random = torch.Generator().manual_seed(8)
    subject, none = (torch.randn(1, 4, 256, generator=random) for _ in range(2))
    return with_story(model, StoryOptions("Memento", subject=subject, no_subject=none))


def routed(model: Any) -> Any:
    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model

    return routed_model(model, RoutingOptions(MocSettings(top_k=1)))


@pytest.mark.parametrize("patched", [pytest.param(as_memento, marks=pytest.mark.slow), routed])
def test_attention_that_we_replace_is_the_same_compiled(wan: Any, patched: Any, backend: str = "eager") -> None:
    """The first attention of a block is told from the second by a mark that is used up: nothing that a trace may keep.
    Two levels of noise and two segments, so that what was traced once is used again."""
    plain = wan.model(A14B)
    model = patched(plain)
    fast = compiled(model, backend)
    begins = wan.segment(model, context=0, begins=True).begins_with
    for given in segments(wan, model)[1:]:
        segment = replace(given, begins_with=begins)
        usual, expected, made = (
            wan.step(one, wan.prepared(one, segment), steps=(0.9, 0.7, 0.4)) for one in (plain, model, fast)
        )
        assert (usual - expected).abs().max() > 0.05
        assert torch.allclose(made, expected, atol=1e-4)
    assert frames_compiled() > 0


@pytest.mark.slow
@pytest.mark.parametrize("patched", [as_memento, routed])
def test_attention_that_we_replace_is_the_same_with_inductor(wan: Any, patched: Any) -> None:
    test_attention_that_we_replace_is_the_same_compiled(wan, patched, "inductor")

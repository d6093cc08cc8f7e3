"""The same tiny Wan weights in diffusers and in ComfyUI: two implementations that know nothing of each other agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

T2V, I2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"
A14B, TI2V = "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
FAMILIES = (T2V, I2V, A14B, TI2V)
TIMES = ("clean", "same as the segment", "noised like the segment")
PLACES = ("before the segment", "after the segment", "true time")
CLOSE = 1e-4
STRIDE = 4


def with_options(model: Any, **options: Any) -> Any:
    from scene_memory.models.wan.options import WanOptions, with_options

    return with_options(model, WanOptions(**options))


def calls_of(wan: Any, model: Any, ready: Any, **sampled: Any) -> list[dict[str, Any]]:
    """What ComfyUI's network was asked before our wrapper saw it, and what came out, for each call of a short run."""
    import comfy.patcher_extension

    seen: list[dict[str, Any]] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, clip: Any, concat: Any, options: Any, **more: Any) -> Any:
        level = float(options["sigmas"].flatten()[0])
        given = {"x": x.clone(), "t": t.clone(), "text": text.clone(), "clip": clip, "level": level}
        result = executor(x, t, text, clip, concat, options, **more)
        seen.append({**given, "out": result.clone()})
        return result

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    watched = (ready.model or model).clone()
    watched.wrappers[kind] = {"before": [watch], **watched.wrappers.get(kind, {})}
    wan.step(model, replace(ready, model=watched), **sampled)
    return seen


def context_of(model: Any, segment: Any, times: str, kind: str) -> Any:
    from scene_memory.models.wan.options import ContextPositions
    from scene_memory.models.wan.timesteps import frame_noise
    from scene_memory.pipeline.forward import Context

    seen = segment.context
    latents = model.model.process_latent_in(seen.latents)
    ago = tuple((segment.first_frame - number) / STRIDE for number in seen.numbers)
    own = (len(segment) - 1) // STRIDE + 1
    positions = tuple(ContextPositions(kind, ago).at(own))
    return Context(latents, positions, times, frame_noise(latents, seen.numbers))


def worst(transformer: Any, calls: list[dict[str, Any]], **ours: Any) -> float:
    from scene_memory.pipeline.forward import predict

    errors = []
    for call in calls:
        with torch.inference_mode():
            shared = {"image": call["clip"], "level": call["level"], **ours}
            made = predict(transformer, call["x"], call["t"], call["text"], **shared)
        errors.append(float((made - call["out"]).abs().max()))
    assert errors
    return max(errors)


@pytest.mark.parametrize("name", FAMILIES)
def test_without_a_context_both_say_the_same(wan: Any, ours: Any, name: str) -> None:
    model = wan.model(name)
    ready = wan.prepared(model, wan.segment(model, context=0, begins=name != T2V))
    assert worst(ours(name), calls_of(wan, model, ready)) < CLOSE


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("kind", PLACES)
def test_with_context_frames_both_say_the_same_in_every_mode(
    wan: Any, ours: Any, name: str, times: str, kind: str
) -> None:
    model = with_options(wan.model(name), times=times, positions=kind)
    segment = wan.segment(model, begins=name != T2V)
    calls = calls_of(wan, model, wan.prepared(model, segment))
    assert worst(ours(name), calls, context=context_of(model, segment, times, kind)) < CLOSE
    others = [other for other in PLACES if other != kind]
    assert worst(ours(name), calls, context=context_of(model, segment, times, others[0])) > CLOSE


@pytest.mark.parametrize("name", [T2V, A14B, TI2V])
@pytest.mark.parametrize("more", [{}, {"dense_layers": 1}, {"anchor_frames": 1}, {"chunk_tokens": 8}])
def test_with_routing_on_both_say_the_same(wan: Any, ours: Any, name: str, more: dict[str, int]) -> None:
    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model
    from scene_memory.pipeline.attention import Routing

    settings = MocSettings(top_k=2)
    model = with_options(wan.model(name), times="clean", positions="true time")
    segment = wan.segment(model, context=6)
    routed = routed_model(model, RoutingOptions(settings, **more))
    context = context_of(model, segment, "clean", "true time")
    calls = calls_of(wan, routed, wan.prepared(routed, segment))
    assert worst(ours(name), calls, context=context, routing=Routing(settings, **more)) < CLOSE
    assert worst(ours(name), calls, context=context) > CLOSE


@pytest.mark.parametrize(("name", "times"), [(T2V, "same as the segment"), (A14B, "noised like the segment")])
def test_a_whole_run_with_guidance_ends_in_the_same_latent(wan: Any, ours: Any, name: str, times: str) -> None:
    """Noise, steps, two prompts and context: ComfyUI's sampler against the plain formula of Euler's."""
    import comfy.sample

    from scene_memory.pipeline.forward import predict

    levels = (0.9, 0.6, 0.25, 0.0)
    model = with_options(wan.model(name), times=times, positions="after the segment")
    segment = wan.segment(model, begins=name != T2V)
    ready = wan.prepared(model, segment)
    theirs = wan.step(model, ready, 3.0, levels)
    known = calls_of(wan, model, ready, cfg=1.0, steps=levels)[0]["x"][:, 16:]
    context = context_of(model, segment, times, "after the segment")
    latent = levels[0] * comfy.sample.prepare_noise(ready.latent, 11)
    for now, then in zip(levels, levels[1:], strict=False):
        given = torch.cat([latent, known.expand(len(latent), -1, -1, -1, -1)], dim=1)
        time = torch.tensor([now * 1000])
        with torch.inference_mode():
            yes, no = (
                predict(ours(name), given, time, text[0][0], context=context, level=now)
                for text in (wan.positive, wan.negative)
            )
        latent = latent + (then - now) * (no + 3.0 * (yes - no))
    assert torch.allclose(model.model.process_latent_out(latent), theirs, atol=5e-4)


@pytest.mark.parametrize("subject", [False, True])
def test_mementos_pass_is_the_same_with_the_subject_and_without(wan: Any, ours: Any, subject: bool) -> None:
    from scene_memory.models.story.options import StoryOptions, with_story
    from scene_memory.models.wan.timesteps import frame_noise
    from scene_memory.pipeline.forward import Context, Subject, predict_story, story_positions

    words = torch.randn(1, 512, 256, generator=torch.Generator().manual_seed(8)) if subject else None
    model = with_story(wan.model(A14B), StoryOptions("Memento", subject=words, no_subject=words))
    segment = wan.segment(model, begins=True)
    call = calls_of(wan, model, wan.prepared(model, segment))[0]
    clean, numbers = model.model.process_latent_in(segment.context.latents), segment.context.numbers
    first, front = int(subject), int(subject) + len(numbers)
    positions = story_positions(numbers, segment.first_frame + 1, STRIDE)
    memory = Context(clean, positions, "noised like the segment", frame_noise(clean, numbers))
    rebuilt = Subject(call["x"][:, :16, :1], words, call["x"][:, 20:, :1]) if words is not None else None
    with torch.inference_mode():
        shot, made = predict_story(
            ours(A14B), call["x"][:, :, front:], call["t"], call["text"], memory, call["level"], rebuilt
        )
    assert (shot - call["out"][:, :, front:]).abs().max() < CLOSE
    assert (made is None) == (not subject)
    if made is not None:
        assert (made - call["out"][:, :, :first]).abs().max() < CLOSE

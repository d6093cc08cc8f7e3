"""Remembered frames in a Wan: identities that hold exactly, with tiny models through the host's loaders and sampler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

T2V, I2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"
A14B, TI2V = "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_ti2v_5B_fp16.safetensors"
CAMERA21 = "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors"
CAMERA22 = "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors"
FAMILIES = (T2V, I2V, A14B, TI2V, CAMERA21, CAMERA22)
FRAMES = 3  # latent frames of 9 pictures


def with_options(model: Any, **options: Any) -> Any:
    from scene_memory.models.wan.options import WanOptions, with_options

    return with_options(model, WanOptions(**options))


def hiding_context(model: Any, own: int) -> Any:
    """A copy in which no token sees the keys of context frames."""

    def override(backend: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *rest: Any, **more: Any) -> Any:
        if k.shape[1] == q.shape[1] > own:
            k, v = k[:, :own], v[:, :own]
        return backend(q, k, v, *rest, **more)

    hidden = model.clone()
    options = hidden.model_options["transformer_options"]
    hidden.model_options["transformer_options"] = {**options, "optimized_attention_override": override}
    return hidden


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("times", ["clean", "same as the segment", "noised like the segment"])
def test_a_context_that_nothing_sees_is_no_context_and_one_that_is_seen_matters(
    wan: Any, name: str, times: str
) -> None:
    model = with_options(wan.model(name), times=times)
    plain = wan.step(model, wan.prepared(model, wan.segment(model, context=0)))
    ready = wan.prepared(model, wan.segment(model))
    seen = wan.step(model, ready)
    tokens = FRAMES * (plain.shape[-2] // 2) * (plain.shape[-1] // 2)
    hidden = wan.step(model, replace(ready, model=hiding_context(ready.model, tokens)))
    assert plain.shape == seen.shape == hidden.shape
    assert torch.allclose(hidden, plain, atol=2e-5)
    assert (seen - plain).abs().max() > 1e-3


@pytest.mark.parametrize("name", [T2V, A14B, TI2V, CAMERA22])
def test_context_in_another_order_with_its_places_gives_the_same(wan: Any, name: str) -> None:
    model = with_options(wan.model(name), positions="true time")
    segment = wan.segment(model, context=4)
    order = [2, 0, 3, 1]
    context = segment.context
    shuffled = replace(
        context,
        pixels=context.pixels[order],
        poses=context.poses[order],
        intrinsics=context.intrinsics[order],
        latents=context.latents[:, :, order],
        numbers=tuple(context.numbers[place] for place in order),
    )
    first = wan.step(model, wan.prepared(model, segment))
    second = wan.step(model, wan.prepared(model, replace(segment, context=shuffled)))
    misplaced = wan.step(
        model, wan.prepared(model, replace(segment, context=replace(shuffled, numbers=context.numbers)))
    )
    assert torch.allclose(first, second, atol=2e-5)
    assert (first - misplaced).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "times", "positions"),
    [
        (T2V, "noised like the segment", "before the segment"),
        (A14B, "noised like the segment", "before the segment"),
        (TI2V, "clean", "before the segment"),
        (CAMERA22, "noised like the segment", "before the segment"),
    ],
)
def test_auto_is_what_each_family_has_seen_and_the_artist_overrides_it(
    wan: Any, name: str, times: str, positions: str
) -> None:
    from scene_memory.models.wan.adapter import resolved

    model = wan.model(name)
    family = wan.adapter(model).family
    found = resolved(model, family)
    assert (found.times, found.positions) == (times, positions)
    told = resolved(with_options(model, positions="true time"), family)
    assert (told.times, told.positions) == (times, "true time")
    segment = wan.segment(model)
    told = with_options(model, times=times, positions=positions)
    assert torch.equal(wan.step(model, wan.prepared(model, segment)), wan.step(told, wan.prepared(told, segment)))


def test_auto_for_echo_memory_is_what_it_was_trained_with(wan: Any) -> None:
    from scene_memory.models.wan.adapter import resolved
    from scene_memory.models.wan.camera_layers import ATTACHMENT

    model = wan.model(T2V).clone()
    model.set_attachments(ATTACHMENT, "layers")
    found = resolved(model, wan.adapter(model).family)
    assert (found.times, found.positions) == ("same as the segment", "after the segment")


def test_after_the_segment_at_its_time_is_what_the_stock_phantom_node_does(wan: Any) -> None:
    """The newest frame stands first behind the segment."""
    import node_helpers

    model = with_options(wan.model(T2V), times="same as the segment", positions="after the segment")
    segment = wan.segment(model)
    ready = wan.prepared(model, segment)
    newest_first = segment.context.latents.flip(2)
    stock = {"time_dim_concat": newest_first}
    theirs = replace(
        wan.prepared(model, wan.segment(model, context=0)),
        positive=node_helpers.conditioning_set_values(wan.positive, stock),
        negative=node_helpers.conditioning_set_values(wan.negative, stock),
    )
    assert torch.allclose(wan.step(model, ready, 3.0), wan.step(model, theirs, 3.0), atol=2e-5)


@pytest.mark.parametrize("name", [T2V, TI2V])
def test_clean_frames_before_the_segment_are_a_longer_video_whose_first_frames_are_at_time_0(
    wan: Any, name: str
) -> None:
    """The same sum by another way: the network is given one video, shifted in time, with a time for each frame."""
    model = with_options(wan.model(name), times="clean", positions="before the segment")
    segment = wan.segment(model)
    ready = wan.prepared(model, segment)
    made: list[tuple[Any, ...]] = []

    def watch(executor: Any, x: Any, t: Any, context: Any, clip: Any, concat: Any, options: Any, **more: Any) -> Any:
        result = executor(x, t, context, clip, concat, options, **more)
        made.append((x.clone(), t.clone(), context.clone(), result.clone()))
        return result

    import comfy.patcher_extension

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    watched = ready.model.clone()
    watched.wrappers[kind] = {"before": [watch], **watched.wrappers[kind]}
    wan.step(model, replace(ready, model=watched))
    (x, t, text, ours), network = made[0], model.model.diffusion_model
    clean = model.model.process_latent_in(segment.context.latents)
    count = clean.shape[2]
    times = torch.cat([torch.zeros(1, count), t[:, None].expand(1, FRAMES)], dim=1)
    with torch.inference_mode():
        options = {"rope_options": {"shift_t": -count}}
        whole = network._forward(torch.cat([clean, x], dim=2), times, text, transformer_options=options)
    assert torch.allclose(ours, whole[:, :, count:], atol=2e-5)


@pytest.mark.parametrize("name", [T2V, A14B, TI2V, CAMERA21])
def test_guidance_is_the_same_whether_both_prompts_are_computed_together_or_apart(wan: Any, name: str) -> None:
    model = wan.model(name)
    ready = wan.prepared(model, wan.segment(model, begins=name != T2V))
    together = wan.step(model, ready, 3.0)
    positive = wan.step(model, replace(ready, negative=None))
    negative = wan.step(model, replace(ready, positive=ready.negative, negative=None))
    assert torch.allclose(together, negative + 3.0 * (positive - negative), atol=1e-4)
    assert (positive - negative).abs().max() > 1e-3


def test_a_blank_negative_sees_zeros_where_the_positive_sees_the_memory(wan: Any) -> None:
    model = wan.model(T2V)
    segment = wan.segment(model)
    ready = wan.prepared(with_options(model, blank_negative=True), segment)
    same = wan.prepared(model, segment)
    zeros = model.model.process_latent_out(torch.zeros_like(segment.context.latents))
    blank = wan.prepared(model, replace(segment, context=replace(segment.context, latents=zeros)))
    positive, negative = replace(same, negative=None), replace(blank, positive=blank.negative, negative=None)
    expected = wan.step(model, negative) + 3.0 * (wan.step(model, positive) - wan.step(model, negative))
    assert torch.allclose(wan.step(model, ready, 3.0), expected, atol=1e-4)


def test_places_far_back_are_told_apart_in_half_precision(wan: Any) -> None:
    from scene_memory.models.blocks import rotary

    network = wan.model(T2V).model.diffusion_model
    like = torch.zeros(1, 1, 1, 4, 4, dtype=torch.bfloat16)
    turns = rotary(network, like, {}, 2, behind=[-300.0, -301.0, -4000.25, -4000.5]).unflatten(1, (6, 4))
    for one, other in ((2, 3), (4, 5)):
        assert (turns[:, one] - turns[:, other]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("before the segment", [-3.0, -2.0, -1.0]),
        ("after the segment", [7.0, 6.0, 5.0]),
        ("true time", [-9.0, -2.5, -1.0]),
    ],
)
def test_where_frames_stand(comfy: Any, kind: str, places: list[float]) -> None:
    from scene_memory.models.wan.options import ContextPositions

    assert ContextPositions(kind, (9.0, 2.5, 1.0)).at(5) == places


@pytest.mark.parametrize("name", FAMILIES)
def test_the_host_reckons_as_much_memory_as_for_a_segment_longer_by_the_context(wan: Any, name: str) -> None:
    import comfy.sampler_helpers

    model = wan.model(name)
    ready = wan.prepared(model, wan.segment(model, context=3))
    asked: list[Any] = []

    def measure(given: Any, noise_shape: Any, conds: Any, **more: Any) -> Any:
        asked.append(comfy.sampler_helpers.estimate_memory(given, noise_shape, conds))

    from scene_memory.models.wan.context import FACTOR_CONDS, reckon_context

    shape = list(ready.latent.shape)
    conds = {"positive": comfy.sampler_helpers.convert_cond(ready.positive)}
    reckon_context(measure, model, shape, conds)
    longer = [*shape[:2], shape[2] + 3, *shape[3:]]
    # Camera rays, 24 numbers a pixel: those of 3 context frames, and of all 6 once more.
    rays = 24 * wan.SIDE**2 * (3 + 6) if name in (CAMERA21, CAMERA22) else 0
    activations = 15 * 64 * (shape[-1] // 2) * (shape[-2] // 2)
    room = [*longer[:2], longer[2] + round(rays / activations), *longer[3:]]
    assert asked[0] == comfy.sampler_helpers.estimate_memory(model, room, {})
    counted = {"scene_memory_context": [conds["positive"][0]["model_conds"]["scene_memory_context"].size()]}
    patched = ready.model.get_model_object(FACTOR_CONDS)
    assert patched[-1] == "scene_memory_context" and FACTOR_CONDS not in model.object_patches
    before, model.model.memory_usage_factor_conds = model.model.memory_usage_factor_conds, patched
    try:
        assert model.model.memory_required(shape, counted) == model.model.memory_required(longer)
    finally:
        model.model.memory_usage_factor_conds = before


@pytest.mark.parametrize("name", [CAMERA21, CAMERA22])
def test_fun_camera_is_given_the_rays_of_the_segment_and_of_every_context_frame(wan: Any, name: str) -> None:
    from scene_memory.memory.cameras.trajectory import Trajectory
    from scene_memory.models.wan.plucker import wan_camera_embedding

    model = with_options(wan.model(name), camera_scale=2.0)
    segment = wan.segment(model)
    ready = wan.prepared(model, segment)
    values = ready.positive[0][1]
    path = segment.trajectory.scaled(2.0)
    assert torch.equal(values["camera_conditions"], wan_camera_embedding(path, 64, 64))
    rays = values["model_conds"]["scene_memory_context"].cond[2]
    context = segment.context
    for place in range(len(context)):
        both = Trajectory(
            np.stack([segment.trajectory.poses[0], *[context.poses[place]] * 4]), context.intrinsics[0], 16.0
        )
        assert torch.equal(rays[:, :, place], wan_camera_embedding(both.scaled(2.0), 64, 64)[:, :, 1])
    turned = replace(segment, trajectory=replace(segment.trajectory, poses=segment.trajectory.poses[::-1]))
    assert (wan.step(model, ready) - wan.step(model, wan.prepared(model, turned))).abs().max() > 1e-3

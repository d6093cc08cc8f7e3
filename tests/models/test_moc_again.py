"""Sampling that is watched gives the latent of sampling that is not, and a record of what it looked into."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def prepared(world: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """A sampling of the bundled model with a routed MODEL, and a pass of 4 frames that looks back at 5."""
    import comfy.samplers

    from scene_memory.film.segment import ContextFrames, Segment
    from scene_memory.kernels import MocSettings
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.models.moc.again import Sampling
    from scene_memory.models.moc.patch import RoutingOptions, routed_model
    from scene_memory.models.registry import adapter_for

    model, clip, _ = world
    path = make_preset("pan", frames=9, fps=8.0, amount=20.0, fov=70.0, aspect=1.6, easing="even")
    pixels = np.random.default_rng(0).integers(0, 255, (5, 60, 96, 3)).astype(np.uint8)
    segment = Segment(path[5:], 96, 60, ContextFrames(pixels, path.poses[:5], path.intrinsics[:5]))
    words = clip.encode_from_tokens_scheduled(clip.tokenize("a bright room"))
    routed = routed_model(model, RoutingOptions(MocSettings(2), switch_on=1))
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 2)
    sampling = Sampling(routed, words, None, comfy.samplers.sampler_object("euler"), sigmas)
    return sampling, adapter_for(model).prepare(routed, words, None, segment)


@torch.inference_mode()
def test_watching_changes_nothing_and_sees_every_layer_and_step(prepared: tuple[Any, Any]) -> None:
    from scene_memory.models.host.sampling import sample
    from scene_memory.models.moc.again import watch
    from scene_memory.models.moc.record import RECORD_KEY

    sampling, given = prepared
    steps: list[int] = []
    record, made = watch(sampling, given, seed=7, cfg=1.0, on_step=steps.append)
    plain = sample(
        sampling.model, given, sampling.sampler, sampling.sigmas, cfg=1.0, seed=7, on_step=lambda step, x0: None
    )
    assert torch.equal(made, plain) and steps == [0, 1]
    assert record.steps == [0, 1] and record.layers == list(range(len(sampling.model.model.diffusion_model.blocks)))
    assert record.shares().shape == (4, 5)
    assert record.shares().sum(axis=1) == pytest.approx([2.0] * 4)
    assert record.kept < record.total
    assert RECORD_KEY not in sampling.model.model_options["transformer_options"], "the MODEL stays as it was"


def test_a_model_that_is_not_routed_and_guidance_without_a_negative_are_refused(
    prepared: tuple[Any, Any], world: tuple[Any, Any, Any]
) -> None:
    from dataclasses import replace

    from scene_memory.models.moc.again import watch

    sampling, given = prepared
    plain = replace(given, model=None)
    with pytest.raises(ValueError, match="is not routed"):
        watch(replace(sampling, model=world[0]), plain, seed=7, cfg=1.0)
    with pytest.raises(ValueError, match="cfg.*is 3, but nothing is connected to 'negative'"):
        watch(sampling, given, seed=7, cfg=3.0)


@pytest.fixture
def film(world: tuple[Any, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, list[Any]]:
    """A film of three segments by an adapter that begins with five known frames, the plan, and what it was given."""
    import comfy.samplers

    from scene_memory.film.loop import generate_shot
    from scene_memory.film.plan import ShotPlan
    from scene_memory.kernels import MocSettings
    from scene_memory.memory.bank.bank import Bank
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.memory.retrieval.settings import RetrievalSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model
    from scene_memory.models.registry import adapter_for
    from scene_memory.models.world.adapter import WorldAdapter

    given: list[Any] = []
    plain = WorldAdapter.prepare

    def listening(self: Any, model: Any, positive: Any, negative: Any, segment: Any, vae: Any = None) -> Any:
        given.append(segment)
        return plain(self, model, positive, negative, segment, vae)

    monkeypatch.setattr(WorldAdapter, "prepare", listening)
    monkeypatch.setattr(WorldAdapter, "overlap", 5)
    monkeypatch.setattr(WorldAdapter, "overlap_after", lambda self, frames: 5 if frames >= 5 else 1)
    model, clip, vae = world
    plan = ShotPlan(
        model=routed_model(model, RoutingOptions(MocSettings(2), switch_on=1)),
        vae=vae,
        positive=clip.encode_from_tokens_scheduled(clip.tokenize("a bright room")),
        negative=None,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=torch.tensor([1.0, 0.0]),
        seed=3,
        cfg=1.0,
        trajectory=make_preset("pan", frames=14, fps=8.0, amount=40.0, fov=70.0, aspect=48 / 36),
        retriever=RetrievalSettings(k=4),
        segment_frames=8,
        width=48,
        height=36,
        colour_anchor=0.5,
    )
    with torch.inference_mode():
        *_, last = generate_shot(Bank.create(tmp_path, "film").empty(), plan, adapter_for(plan.model))
    return last.state, plan, given


def assert_same(ours: Any, theirs: Any) -> None:
    """All that a segment holds, field by field."""
    assert is_dataclass(ours) == is_dataclass(theirs)
    if is_dataclass(ours):
        for field in fields(ours):
            if (type(ours).__name__, field.name) != ("Trajectory", "name"):  # a memory keeps no names of paths
                assert_same(getattr(ours, field.name), getattr(theirs, field.name))
    elif isinstance(ours, (np.ndarray, torch.Tensor)):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    else:
        assert ours == theirs


@torch.inference_mode()
def test_each_segment_is_given_what_the_loop_gave_it(film: tuple[Any, Any, list[Any]]) -> None:
    from scene_memory.models.moc.again import Sampling, find_segment, watch_segment

    state, plan, given = film
    assert [None if one.known is None else len(one.known) for one in given] == [None, 5, 5]
    sampling = Sampling(plan.model, plan.positive, plan.negative, plan.sampler, plan.sigmas)
    made = list(given)
    for number, record in enumerate(state.segments):
        given.clear()
        watch_segment(state, find_segment(state, record.start), sampling, plan.vae)
        assert_same(given[0], made[number])


@torch.inference_mode()
def test_a_segment_whose_pictures_are_gone_is_refused_with_the_cure(film: tuple[Any, Any, list[Any]]) -> None:
    from scene_memory.memory.bank.pixels import drop_pixels
    from scene_memory.models.moc.again import Sampling, find_segment, watch_segment

    state, plan, _ = film
    sampling = Sampling(plan.model, plan.positive, plan.negative, plan.sampler, plan.sigmas)
    again = find_segment(state, -1)
    assert drop_pixels(state.bank.path, state, again.context[:1]) > 0
    with pytest.raises(ValueError, match=f"picture of frame {again.context[0]}.*was dropped.*larger max_size_gb"):
        watch_segment(state, again, sampling, plan.vae)


def test_attention_that_nobody_describes_is_refused_before_anything_is_sampled(wan: Any) -> None:
    """VACE, and Wan with story options: their adapters publish no layout."""
    import comfy.samplers

    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.again import Sampling, watch
    from scene_memory.models.moc.patch import RoutingOptions, routed_model

    model = wan.model("wan2.1_vace_1.3B_fp16.safetensors")
    routed = routed_model(model, RoutingOptions(MocSettings(2), switch_on=1))
    ready = wan.prepared(model, wan.segment(model))
    steps: list[int] = []
    sampling = Sampling(routed, wan.positive, None, comfy.samplers.sampler_object("euler"), torch.tensor([0.7, 0.0]))
    with pytest.raises(ValueError, match="cannot be routed, so there is nothing to see"):
        watch(sampling, ready, seed=7, cfg=1.0, on_step=steps.append)
    assert steps == []


def test_the_adapters_that_say_so_publish_what_their_tokens_are(wan: Any, world: tuple[Any, Any, Any]) -> None:
    """What `describes_tokens` promises, seen in a pass of each kind of tiny Wan."""
    from scene_memory.models.host import LAYOUT_KEY
    from scene_memory.models.moc.patch import OVERRIDE
    from scene_memory.models.registry import can_be_routed

    assert can_be_routed(world[0])
    for name in ("wan2.1_t2v_1.3B_fp16", "wan2.1_fun_camera_v1.1_1.3B_bf16", "wan2.1_vace_1.3B_fp16"):
        model, seen = wan.model(f"{name}.safetensors").clone(), []

        def look(backend: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(LAYOUT_KEY in kwargs["transformer_options"])  # noqa: B023
            return backend(*args, **kwargs)

        model.model_options["transformer_options"] = {**model.model_options["transformer_options"], OVERRIDE: look}
        wan.step(model, wan.prepared(model, wan.segment(model)), steps=(0.7, 0.4))
        assert seen and any(seen) == can_be_routed(model), name

"""Sampling that is watched gives the latent of sampling that is not, and a record of what it looked into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def prepared(world: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """A sampling of the bundled model with a routed MODEL, and a pass of 4 frames that looks back at 5."""
    import comfy.samplers

    from scene_memory.generation.adapters import adapter_for
    from scene_memory.generation.moc_again import Sampling
    from scene_memory.generation.moc_patch import RoutingOptions, routed_model
    from scene_memory.generation.segment import ContextFrames, Segment
    from scene_memory.kernels import MocSettings
    from scene_memory.memory.cameras.presets import make_preset

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
    from scene_memory.generation.moc_again import watch
    from scene_memory.generation.moc_record import RECORD_KEY
    from scene_memory.generation.sampling import sample

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

    from scene_memory.generation.moc_again import watch

    sampling, given = prepared
    plain = replace(given, model=None)
    with pytest.raises(ValueError, match="is not routed"):
        watch(replace(sampling, model=world[0]), plain, seed=7, cfg=1.0)
    with pytest.raises(ValueError, match="cfg.*is 3, but nothing is connected to 'negative'"):
        watch(sampling, given, seed=7, cfg=3.0)

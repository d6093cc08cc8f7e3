"""StoryMem's layout on tiny Wan 2.2 image to video models: remembered frames in front of the shot, cut off after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

HIGH, LOW = (f"wan2.2_i2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
T2V = "wan2.1_t2v_1.3B_fp16.safetensors"
FRAMES, MADE = 9, 3
"""Pictures of a shot, and its latent frames."""


def as_story(model: Any, **options: Any) -> Any:
    from scene_memory.models.story.options import StoryOptions, with_story

    return with_story(model, StoryOptions(**options))


def going_on(wan: Any, model: Any, context: int = 3, known: int = 1) -> Any:
    """A segment that looks back and begins with so many known pictures."""
    segment = wan.segment(model, FRAMES, context, begins=True)
    pictures = np.random.default_rng(9).integers(0, 256, (known, wan.SIDE, wan.SIDE, 3), dtype=np.uint8)
    return replace(segment, begins_with=pictures[0], known=pictures)


def watched(model: Any, seen: list[dict[str, Any]]) -> Any:
    """A copy that notes what reaches the network, behind every other wrapper, and what the blocks are given."""
    import comfy.patcher_extension

    def watch(executor: Any, x: Any, t: Any, text: Any, clip: Any, concat: Any, options: Any, **more: Any) -> Any:
        result = executor(x, t, text, clip, concat, options, **more)
        seen.append({"x": x.clone(), "t": t.clone(), "text": text.clone(), "result": result.clone(), "more": more})
        return result

    copy = model.clone()
    copy.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "watch", watch)
    return copy


def test_only_a_marked_image_to_video_model_is_served_so(wan: Any) -> None:
    plain = wan.model(HIGH)
    assert wan.adapter(plain).name == "Wan image to video"
    adapter = wan.adapter(as_story(plain))
    assert adapter.name == "StoryMem on Wan image to video" and adapter.overlap == 1
    assert wan.adapter(as_story(plain, known=5)).overlap == 5
    assert wan.adapter(as_story(wan.model(T2V))).name == "Wan text to video"


def test_without_memory_the_bits_of_the_family(wan: Any) -> None:
    plain = wan.model(HIGH)
    segment = wan.segment(plain, FRAMES, 0, begins=True)
    story = as_story(plain)
    ours, stock = (wan.step(one, wan.prepared(one, segment), 3.0) for one in (story, plain))
    assert torch.equal(ours, stock)


@pytest.mark.parametrize("method", ["StoryMem", "Memento"])
def test_where_nothing_is_known_the_picture_is_grey_and_the_mask_says_so(wan: Any, method: str) -> None:
    """As in training and in diffusers: a picture of zeros in the latents was never seen."""
    plain = wan.model(HIGH)
    model = as_story(plain, method=method)
    segment = wan.segment(plain, FRAMES, 0)
    ready = wan.prepared(model, segment)
    side = wan.SIDE
    grey = wan.vae(model).encode(torch.full((FRAMES, side, side, 3), 0.5))
    for kind in (ready.positive, ready.negative):
        told = kind[0][1]
        assert torch.equal(told["concat_latent_image"], grey)
        assert bool((told["concat_mask"] == 1).all()), "the host turns it round: 0 is unknown to the network"
    assert (wan.step(model, ready) - wan.step(plain, wan.prepared(plain, segment))).abs().max() > 1e-3


@pytest.mark.parametrize("known", [0, 1, 5])
def test_what_the_network_sees_of_memory_and_known_pictures(wan: Any, known: int) -> None:
    """Channels 16 to 20 are the mask, the rest the pictures; recomputed here with the VAE alone."""
    model = as_story(wan.model(HIGH), known=known or 1)
    segment = going_on(wan, model, 3, known) if known else wan.segment(model, FRAMES, 3)
    ready, seen = wan.prepared(model, segment), []
    assert ready.in_front == 3 and ready.latent.shape[2] == 3 + MADE and ready.mask is None
    made = wan.step(model, replace(ready, model=watched(ready.model or model, seen)))
    assert made.shape[2] == MADE
    x, vae = seen[0]["x"][0], wan.vae(model)
    mask, pictures = x[16:20], x[20:]
    told = {0: 0, 1: 1, 5: 2}[known]
    assert torch.equal(mask[:, : 3 + told], torch.ones_like(mask[:, : 3 + told]))
    assert not mask[:, 3 + told :].any()
    video = torch.full((FRAMES, wan.SIDE, wan.SIDE, 3), 0.5)
    if known:
        video[:known] = torch.from_numpy(segment.known).float() / 255
    expected = torch.cat([segment.context.latents, vae.encode(video)], dim=2)
    assert torch.allclose(pictures, model.model.process_latent_in(expected)[0], atol=1e-5)


def test_it_is_one_longer_video_to_the_network(wan: Any) -> None:
    model = as_story(wan.model(HIGH))
    seen: list[dict[str, Any]] = []
    ready = wan.prepared(model, going_on(wan, model))
    wan.step(model, replace(ready, model=watched(ready.model or model, seen)))
    with torch.inference_mode():
        given = seen[0]
        whole = model.model.diffusion_model._forward(given["x"], given["t"], given["text"])
    assert torch.equal(given["result"], whole) and given["t"].ndim == 1


def test_the_pictures_a_shot_begins_with_are_not_remembered_twice(wan: Any) -> None:
    model = as_story(wan.model(HIGH))
    segment = going_on(wan, model)
    with_newest = replace(segment, first_frame=segment.context.numbers[-1])
    assert wan.prepared(model, with_newest).in_front == 2
    assert wan.prepared(model, replace(with_newest, begins_with=None, known=None)).in_front == 3
    only = replace(with_newest, context=replace(segment.context, numbers=(90, 91, 92)))
    assert wan.prepared(model, only).in_front == 0


@pytest.mark.parametrize("spacing", [1, 5])
def test_places_in_time(wan: Any, spacing: int) -> None:
    """Frames -3s, -2s, -s, then 0, 1, 2: as the network itself, told the places one by one, computes it."""
    model = as_story(wan.model(HIGH), spacing=spacing)
    ready, seen = wan.prepared(model, going_on(wan, model)), []
    wan.step(model, replace(ready, model=watched(ready.model or model, seen)))
    network, given = model.model.diffusion_model, seen[0]
    height, width = given["x"].shape[-2:]
    places = [-3.0 * spacing, -2.0 * spacing, -1.0 * spacing, 0.0, 1.0, 2.0]
    with torch.inference_mode():
        turned = torch.cat([network.rope_encode(1, height, width, t_start=place) for place in places], dim=1)
        frozen = network.rope_encode
        try:
            network.rope_encode = lambda *_, **__: turned
            whole = network._forward(given["x"], given["t"], given["text"])
        finally:
            network.rope_encode = frozen
    assert torch.allclose(given["result"], whole, atol=2e-5)


def test_spacing_matters_and_memory_in_another_order_with_its_places_gives_the_same(wan: Any) -> None:
    from scene_memory.models.story import storymem

    model = as_story(wan.model(HIGH), spacing=5)
    segment = going_on(wan, model)
    ready = wan.prepared(model, segment)
    near = wan.step(model, wan.prepared(as_story(model, spacing=1), segment))
    noise = torch.randn(ready.latent.shape, generator=torch.Generator().manual_seed(2))
    order = [2, 0, 1]

    def sampled(ready: Any, noise: torch.Tensor) -> torch.Tensor:
        import comfy.samplers

        guider = comfy.samplers.CFGGuider(ready.model)
        guider.inner_set_conds({"positive": ready.positive})
        guider.set_cfg(1.0)
        with torch.inference_mode():
            levels = torch.tensor([0.7, 0.4])
            euler = comfy.samplers.sampler_object("euler")
            made = guider.sample(noise, ready.latent, euler, levels, disable_pbar=True, seed=1)
        return made[:, :, ready.in_front :]

    context = segment.context
    shuffled = replace(segment, context=replace(context, latents=context.latents[:, :, order]))
    other = wan.prepared(model, shuffled)
    text, values = other.positive[0]
    places_in_order = tuple(storymem.spaced(3, 5)[place] for place in order)
    conds = {**values["model_conds"], **storymem.conditions(places_in_order)}
    moved = replace(other, positive=[[text, {**values, "model_conds": conds}]])
    noise_in_order = torch.cat([noise[:, :, :3][:, :, order], noise[:, :, 3:]], dim=2)
    first = sampled(ready, noise)
    assert torch.allclose(first, sampled(moved, noise_in_order), atol=2e-5)
    assert (first - sampled(other, noise_in_order)).abs().max() > 1e-4
    assert (wan.step(model, ready) - near).abs().max() > 1e-4


@pytest.mark.parametrize("spacing", [1, 5])
def test_guidance_together_or_apart_and_a_pair(wan: Any, spacing: int) -> None:
    from scene_memory.models.wan.options import WanOptions, with_options

    high = wan.model(HIGH)
    model = as_story(with_options(high, WanOptions(low_noise=wan.model(LOW), boundary=0.5)), spacing=spacing)
    ready = wan.prepared(model, going_on(wan, model))
    alone = replace(ready, low_noise=None)
    together = wan.step(model, alone, 3.0)
    positive = wan.step(model, replace(alone, negative=None))
    negative = wan.step(model, replace(alone, positive=alone.negative, negative=None))
    assert torch.allclose(together, negative + 3.0 * (positive - negative), atol=1e-4)
    pair = wan.step(model, ready, 1.0, (0.9, 0.6, 0.3, 0.1))
    single = wan.step(model, alone, 1.0, (0.9, 0.6, 0.3, 0.1))
    assert pair.shape == single.shape and (pair - single).abs().max() > 1e-3


def test_nothing_that_is_passed_in_is_changed(wan: Any) -> None:
    model = as_story(wan.model(HIGH), spacing=5)
    segment = going_on(wan, model)
    before = wan.positive[0][0].clone(), segment.context.latents.clone(), dict(wan.positive[0][1])
    wan.step(model, wan.prepared(model, segment))
    assert torch.equal(before[0], wan.positive[0][0]) and torch.equal(before[1], segment.context.latents)
    assert wan.positive[0][1] == before[2] and not model.wrappers.get("diffusion_model", {})


def test_the_overlap_is_one_picture_while_there_are_too_few(wan: Any) -> None:
    adapter = wan.adapter(as_story(wan.model(HIGH), known=5))
    assert [adapter.overlap_after(frames) for frames in (1, 4, 5, 81)] == [1, 1, 5, 5]
    assert adapter.segment_lengths(160, 0) == [81, 76, 3] and adapter.made_for(3 + 5) == 9


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"method": "OneStory"}, "method is 'OneStory'"),
        ({"known": 3}, "known_frames is 3"),
        ({"spacing": 0}, "spacing"),
    ],
)
def test_options_that_do_not_exist(comfy: Any, changed: dict[str, Any], says: str) -> None:
    from scene_memory.models.story.options import StoryOptions

    with pytest.raises(ValueError, match=says):
        StoryOptions(**changed)


def test_every_option_counts_for_what_is_made_again(wan: Any) -> None:
    from scene_memory.models.host.identity import shot_key

    model = wan.model(HIGH)

    def key(**options: Any) -> str:
        return shot_key(model=as_story(model, **options)).shared

    text = torch.ones(1, 4, 8)
    kinds: list[dict[str, Any]] = [{}, {"known": 5}, {"spacing": 5}, {"method": "Memento"}]
    kinds += [{"method": "Memento", "subject": part, "no_subject": text} for part in (text, 2 * text)]
    keys = [key(**options) for options in kinds]
    assert len(set(keys)) == len(keys) and [key(**options) for options in kinds] == keys

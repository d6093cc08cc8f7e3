"""Known pixels in Wans: with nothing known the stock graph's result, with the same video and mask the stock nodes', bit
for bit; masks never promise more than a latent holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

SIDE, FRAMES, STEPS, SEED, CFG = 64, 9, 2, 11, 2.0
SIZE = {"width": SIDE, "height": SIDE, "length": FRAMES, "batch_size": 1}
VACE, T2V = "wan2.1_vace_1.3B_fp16.safetensors", "wan2.1_t2v_1.3B_fp16.safetensors"
INPAINT, I2V = "wan2.1_fun_inp_1.3B_bf16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"
HIGH, LOW = (f"wan2.2_fun_inpaint_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
TI2V, CAMERA = "wan2.2_ti2v_5B_fp16.safetensors", "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors"
KNOWN = "known pixels"


def some(share: float = 0.6, frames: int = FRAMES) -> np.ndarray:
    """Where pixels are known: in blobs that are no whole cells, with holes that differ from picture to picture."""
    pick = np.random.default_rng(4)
    blobs = np.kron(pick.random((1, 4, 4)) < share, np.ones((frames, 16, 16))).astype(bool)
    return np.roll(blobs, (3, 5), axis=(1, 2)) & (pick.random(blobs.shape) > 0.0005)


def nothing(frames: int = FRAMES) -> np.ndarray:
    return np.zeros((frames, SIDE, SIDE), bool)


def image(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).float() / 255


def levels(model: Any) -> tuple[float, ...]:
    import comfy.samplers

    found = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    return tuple(found.tolist())


def stock_sample(model: Any, node: Any) -> torch.Tensor:
    """What the stock sampler makes of a stock node's outputs."""
    import comfy.sample

    positive, negative, latent = node.result[:3]
    empty = latent["samples"]
    with torch.inference_mode():
        return comfy.sample.sample(
            model, comfy.sample.prepare_noise(empty, SEED), STEPS, CFG, "euler", "simple", positive, negative, empty,
            seed=SEED, disable_pbar=True,
        )  # fmt: skip


def made(wan: Any, model: Any, segment: Any, way: str = KNOWN) -> torch.Tensor:
    return wan.step(model, wan.prepared(model, segment, way), CFG, levels(model))


class Counted:
    """A VAE that counts what it encodes."""

    def __init__(self, vae: Any) -> None:
        self._vae, self.encodes = vae, 0

    def encode(self, pictures: Any) -> Any:
        self.encodes += 1
        return self._vae.encode(pictures)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)


def same_where_picture_count(known: np.ndarray) -> np.ndarray:
    """(n, H / 8, W / 8) by loops: latent cells of which every pixel of every picture is known."""
    frames, side = len(known), known.shape[1] // 8
    groups = [[0], *([*range(first, first + 4)] for first in range(1, frames, 4))]
    found = np.zeros((len(groups), side, side), bool)
    for number, group in enumerate(groups):
        for y in range(side):
            for x in range(side):
                cell = known[group, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
                found[number, y, x] = cell.all()
    return found


def test_vace_with_nothing_known_is_the_stock_graph_s(wan: Any) -> None:
    from comfy_extras.nodes_wan import WanVaceToVideo

    model = wan.model(VACE)
    node = WanVaceToVideo.execute(wan.positive, wan.negative, wan.vae(model), **SIZE, strength=1.0)
    assert torch.equal(made(wan, model, wan.viewed(model, nothing())), stock_sample(model, node))


@pytest.mark.parametrize("begins", [False, True])
def test_vace_is_the_stock_node_given_the_same_video_and_mask(wan: Any, begins: bool) -> None:
    from comfy_extras.nodes_wan import WanVaceToVideo

    from scene_memory.models.wan.vace import control_of

    model = wan.model(VACE)
    segment = wan.viewed(model, some(), begins=begins)
    control = control_of(segment)
    assert control is not None and 0.05 < float(control.known.float().mean()) < 0.9
    grey, shown = control.video[~control.known], control.video[control.known]
    assert bool((grey == 0.5).all()) and torch.equal(shown, image(segment.view.pictures)[control.known])
    node = WanVaceToVideo.execute(
        wan.positive, wan.negative, wan.vae(model), **SIZE, strength=1.0, control_video=control.video,
        control_masks=control.mask,
    )  # fmt: skip
    ours = made(wan, model, segment)
    assert torch.equal(ours, stock_sample(model, node))
    assert not torch.equal(ours, made(wan, model, wan.viewed(model, nothing(), begins=begins)))


def test_vace_takes_references_first_picture_and_known_pixels_in_one(wan: Any) -> None:
    model = wan.model(VACE)
    segment = wan.viewed(model, some(), begins=True, context=3)
    ready = wan.prepared(model, segment, "both")
    alone = wan.prepared(model, replace(segment, context=None), KNOWN)
    frames, mask = (ready.positive[0][1][name][0] for name in ("vace_frames", "vace_mask"))
    assert ready.in_front == 3 and frames.shape[2] == mask.shape[2] == 6 and not mask[:, :, :3].any()
    assert torch.equal(frames[:, :, 3:], alone.positive[0][1]["vace_frames"][0])
    assert torch.equal(mask[:, :, 3:], alone.positive[0][1]["vace_mask"][0])
    assert torch.equal(frames[:, :16, :3], segment.context.latents)


@given(seed=st.integers(0, 10_000), groups=st.integers(0, 6), share=st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_no_mask_of_vace_promises_more_than_a_latent_holds(
    comfy: Any, seed: int, groups: int, share: float
) -> None:
    from scene_memory.models.wan.known import KnownVideo
    from scene_memory.models.wan.vace import promised_to_vace

    frames, pick = 4 * groups + 1, np.random.default_rng(seed)
    known = np.kron(pick.random((frames, 4, 4)) < share, np.ones((1, 8, 8))).astype(bool)
    known &= pick.random(known.shape) > 0.0005
    control = promised_to_vace(KnownVideo(torch.zeros(*known.shape, 3), torch.from_numpy(known)))
    # As WanVaceToVideo takes its mask to the latent's grid.
    mask = control.mask.view(frames, 4, 8, 4, 8).permute(2, 4, 0, 1, 3).reshape(64, frames, 4, 4)
    mask = torch.nn.functional.interpolate(mask[None], size=(groups + 1, 4, 4), mode="nearest-exact")[0]
    told, true = (mask == 0).any(dim=0).numpy(), same_where_picture_count(known)
    whole = known.all(axis=(1, 2))
    alone = np.array([whole[0], *(whole[first : first + 4].any() for first in range(1, frames, 4))])
    assert not (told & ~true & ~alone[:, None, None]).any()
    assert not (control.known.numpy() & ~known).any()
    if share == 1.0 and known.all():
        assert told.all()


@pytest.mark.parametrize("ends", ["", "start", "end", "start and end"])
def test_fun_inpaint_with_whole_pictures_is_the_stock_node_s(wan: Any, ends: str) -> None:
    from comfy_extras.nodes_wan import WanFunInpaintToVideo

    model, known = wan.model(INPAINT), nothing()
    known[0], known[-1] = "start" in ends, "end" in ends
    segment = wan.viewed(model, known)
    pictures = image(segment.view.pictures)
    node = WanFunInpaintToVideo.execute(
        wan.positive, wan.negative, wan.vae(model), **SIZE,
        start_image=pictures[:1] if "start" in ends else None, end_image=pictures[-1:] if "end" in ends else None,
    )  # fmt: skip
    ready = wan.prepared(model, segment, KNOWN)
    for name in ("concat_latent_image", "concat_mask"):
        assert torch.equal(ready.positive[0][1][name], node.result[0][0][1][name]), name
    assert torch.equal(made(wan, model, segment), stock_sample(model, node))


def test_fun_inpaint_takes_pixels_as_the_stock_node_lays_them_out(wan: Any) -> None:
    from comfy_extras.nodes_wan import WanFunInpaintToVideo

    from scene_memory.models.wan.known import known_video

    model, known = wan.model(INPAINT), some(0.8)
    segment = wan.viewed(model, known, begins=True)
    ready, video = wan.prepared(model, segment, KNOWN), known_video(segment).promised()
    node = WanFunInpaintToVideo.execute(
        wan.positive, wan.negative, wan.vae(model), **SIZE, start_image=video.video
    )
    values, theirs = ready.positive[0][1], node.result[0][0][1]
    assert torch.equal(values["concat_latent_image"], theirs["concat_latent_image"])
    assert values["concat_mask"].shape == theirs["concat_mask"].shape == (1, 4, 3, 8, 8)
    known[0] = True
    true = same_where_picture_count(known)
    assert 0.1 < true.mean() < 0.9
    told = values["concat_mask"][0].numpy() == 0
    assert np.array_equal(told, np.broadcast_to(true, told.shape))
    assert not torch.equal(made(wan, model, segment), stock_sample(model, node))


def test_what_is_known_in_part_goes_through_the_vae_no_more_than_in_the_stock_nodes(wan: Any) -> None:
    for name, most in ((VACE, 2), (INPAINT, 1)):
        model = wan.model(name)
        for held in (False, True):
            vae = Counted(wan.vae(model))
            segment = wan.viewed(model, some(), begins=True, held=held)
            wan.adapter(model, KNOWN).prepare(model, wan.positive, wan.negative, segment, vae)
            assert vae.encodes == most, name


@pytest.mark.parametrize("name", [VACE, INPAINT])
def test_held_pixels_come_out_as_they_went_in_and_others_do_not(wan: Any, name: str) -> None:
    model, known = wan.model(name), nothing()
    known[:, :32] = True
    plain, held = (wan.viewed(model, known, held=held) for held in (False, True))
    ready = wan.prepared(model, held, KNOWN)
    assert ready.mask.shape == (1, 1, 3, 8, 8) and not ready.mask[..., :4, :].any() and ready.mask[..., 4:, :].all()
    free, kept = (made(wan, model, segment) for segment in (plain, held))
    assert torch.allclose(kept[..., :4, :], ready.latent[..., :4, :], atol=1e-5)
    assert not ready.latent[..., 4:, :].any()
    assert (free[..., :4, :] - ready.latent[..., :4, :]).abs().max() > 1e-2
    assert (kept[..., 4:, :] - free[..., 4:, :]).abs().max() > 0


def test_a_pair_cannot_hold_known_pixels_and_says_so(wan: Any) -> None:
    from scene_memory.models.wan.options import WanOptions, with_options

    pair = with_options(wan.model(HIGH), WanOptions(low_noise=wan.model(LOW)))
    wan.prepared(pair, wan.viewed(pair, some()), KNOWN)
    with pytest.raises(ValueError, match="hold_known is on, but the model is a pair.*Switch hold_known off"):
        wan.prepared(pair, wan.viewed(pair, some(), held=True), KNOWN)


@pytest.mark.parametrize("name", [I2V, T2V])
def test_uni3c_is_the_stock_node_given_the_same_video(wan: Any, name: str) -> None:
    from comfy_extras.nodes_hunyuan import EmptyHunyuanLatentVideo
    from comfy_extras.nodes_model_patch import WanUni3CControlnetApply
    from comfy_extras.nodes_wan import WanImageToVideo

    from scene_memory.models.wan.known import known_video
    from scene_memory.models.wan.uni3c import Uni3C, with_uni3c

    bare, begins = wan.model(name), name == I2V
    vae, patch = wan.vae(bare), wan.uni3c()
    model = with_uni3c(bare, Uni3C(patch, 0.7))
    segment = wan.viewed(model, some(), begins=begins)
    if begins:
        first = image(segment.begins_with)[None]
        node = WanImageToVideo.execute(wan.positive, wan.negative, vae, **SIZE, start_image=first)
        unguided = stock_sample(bare, node)
    else:
        (latent,) = EmptyHunyuanLatentVideo.execute(**SIZE).result
        node = type("Outputs", (), {"result": (wan.positive, wan.negative, latent)})
        unguided = stock_sample(bare, node)
    (stock,) = WanUni3CControlnetApply().apply_patch(bare, patch, vae, known_video(segment).video, 0.7, 0.0, 1.0)
    ours = made(wan, model, segment)
    assert torch.equal(ours, stock_sample(stock, node)) and not torch.equal(ours, unguided)
    assert torch.equal(made(wan, model, wan.segment(model, context=0, begins=begins)), unguided)


def test_uni3c_counts_for_what_is_made_again(wan: Any) -> None:
    from scene_memory.models.host.identity import shot_key
    from scene_memory.models.wan.uni3c import Uni3C, with_uni3c

    bare, patch = wan.model(I2V), wan.uni3c()
    keys = [shot_key(model=with_uni3c(bare, Uni3C(patch, strength))).shared for strength in (1.0, 0.5, 1.0)]
    assert keys[0] == keys[2] and len({*keys, shot_key(model=bare).shared}) == 3
    assert shot_key(model=with_uni3c(bare, Uni3C(wan.uni3c(), 1.0))).shared == keys[0]


def test_uni3c_of_another_width_is_refused_by_the_host_s_words(wan: Any) -> None:
    from scene_memory.models.wan.uni3c import Uni3C, with_uni3c

    patch = wan.uni3c()
    patch.model.controlnet_blocks[0].norm1.linear.in_features = 5120
    model = with_uni3c(wan.model(T2V), Uni3C(patch))
    with pytest.raises(ValueError, match="expects a Wan model with dim 5120"):
        wan.prepared(model, wan.viewed(model, some()), KNOWN)


@pytest.mark.parametrize(
    ("name", "way", "adapter"),
    [
        (T2V, "context frames", "WanAdapter"),
        (I2V, "context frames", "WanAdapter"),
        (I2V, KNOWN, "WanInpaintAdapter"),
        (INPAINT, "both", "WanInpaintAdapter"),
        (VACE, KNOWN, "WanVaceAdapter"),
        (VACE, "both", "WanVaceAdapter"),
    ],
)
def test_the_way_of_memory_chooses_the_adapter(wan: Any, name: str, way: str, adapter: str) -> None:
    assert type(wan.adapter(wan.model(name), way)).__name__ == adapter


@pytest.mark.parametrize("way", [KNOWN, "both"])
@pytest.mark.parametrize("name", [T2V, TI2V, CAMERA])
def test_models_without_known_pixels_refuse_them_in_words(wan: Any, name: str, way: str) -> None:
    with pytest.raises(ValueError, match=f"memory_enters_as is {way}, but Wan .* takes context frames only. Use con"):
        wan.adapter(wan.model(name), way)


def test_story_models_and_uni3c_keep_to_their_ways(wan: Any) -> None:
    from scene_memory.models.story.options import StoryOptions, with_story
    from scene_memory.models.wan.uni3c import Uni3C, with_uni3c

    story = with_story(wan.model("wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"), StoryOptions("StoryMem"))
    with pytest.raises(ValueError, match="StoryMem on Wan image to video takes context frames only"):
        wan.adapter(story, KNOWN)
    guided = with_uni3c(wan.model(I2V), Uni3C(wan.uni3c()))
    assert type(wan.adapter(guided, KNOWN)).__name__ == "WanAdapter"
    with pytest.raises(ValueError, match="takes context frames or known pixels only"):
        wan.adapter(guided, "both")

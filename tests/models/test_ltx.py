"""LTX video with memory: guides that stand before the shot, and the host's own conditioning where there are none."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

SIDE, FRAMES = 64, 17
BLOCKS = [["res_x", 1], ["compress_all", 1], ["res_x", 1], ["compress_all", 1], ["res_x", 1], ["compress_all", 1],
          ["res_x", 1]]  # fmt: skip
VAE = {
    "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128,
    "blocks": BLOCKS, "norm_layer": "pixel_norm", "patch_size": 4, "latent_log_var": "uniform", "use_quant_conv": False,
    "causal_decoder": False, "encoder_base_channels": 16, "decoder_base_channels": 16,
}  # fmt: skip


class LtxKit:
    """A tiny LTX video from files through the host's own loaders."""

    def __init__(self, folder: Path) -> None:
        import comfy.ops
        import comfy.sd
        import comfy.utils
        from comfy.ldm.lightricks.model import LTXVModel
        from comfy.ldm.lightricks.vae.causal_video_autoencoder import VideoVAE

        from dev.support.tiny_wan import random_weights

        sizes = {"caption_channels": 64}
        network = LTXVModel(
            in_channels=128, cross_attention_dim=128, attention_head_dim=4, num_attention_heads=32, num_layers=2,
            operations=comfy.ops.disable_weight_init, **sizes,
        )  # fmt: skip
        files = {"model": (network, {"transformer": sizes}), "vae": (VideoVAE(config=VAE), {"vae": VAE})}
        for name, (part, config) in files.items():
            metadata = {"config": json.dumps(config)}
            save_file(random_weights(part, len(name)), folder / f"{name}.safetensors", metadata=metadata)
        self.model = comfy.sd.load_diffusion_model(str(folder / "model.safetensors"))
        weights, told = comfy.utils.load_torch_file(str(folder / "vae.safetensors"), return_metadata=True)
        self.vae = comfy.sd.VAE(sd=weights, metadata=told)
        random = torch.Generator().manual_seed(5)
        self.positive, self.negative = (
            [[torch.randn(1, 6, 64, generator=random), {"attention_mask": torch.ones(1, 6, dtype=torch.long)}]]
            for _ in range(2)
        )

    def prepared(self, segment: Any) -> Any:
        from scene_memory.models.registry import adapter_for

        with torch.inference_mode():
            return adapter_for(self.model).prepare(self.model, self.positive, self.negative, segment, self.vae)

    def sampled(self, ready: Any, cfg: float = 2.0) -> torch.Tensor:
        import comfy.samplers

        from scene_memory.models.host.sampling import sample

        with torch.inference_mode():
            return sample(
                self.model, ready, comfy.samplers.sampler_object("euler"), torch.tensor([0.9, 0.5, 0.0]), cfg=cfg,
                seed=11, on_step=lambda step, x0: None,
            )  # fmt: skip

    def stock(self, positive: Any, negative: Any, latent: dict[str, Any]) -> torch.Tensor:
        """What the host's own guider makes of its own nodes' latent."""
        import comfy.sample
        import comfy.samplers

        with torch.inference_mode():
            guider = comfy.samplers.CFGGuider(self.model)
            guider.set_conds(positive, negative)
            guider.set_cfg(2.0)
            noise, mask = comfy.sample.prepare_noise(latent["samples"], 11), latent.get("noise_mask")
            sampler, levels = comfy.samplers.sampler_object("euler"), torch.tensor([0.9, 0.5, 0.0])
            return guider.sample(noise, latent["samples"], sampler, levels, denoise_mask=mask, seed=11)


@pytest.fixture(scope="module")
def ltx(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> LtxKit:
    return LtxKit(tmp_path_factory.mktemp("ltx"))


def segment(context: int = 0, begins: bool = False) -> Any:
    """A pan that looks back at so many random frames, and perhaps begins with a random picture."""
    from scene_memory.film.segment import ContextFrames, Segment
    from scene_memory.memory.cameras.presets import make_preset

    pick = np.random.default_rng(3)
    path = make_preset("pan", frames=60, fps=25.0, amount=60.0, fov=70.0, aspect=1.0)
    seen, places = None, tuple(range(0, 5 * context, 5))
    if context:
        latents = torch.from_numpy(pick.standard_normal((1, 128, context, 2, 2))).float()
        pixels = pick.integers(0, 256, (context, SIDE, SIDE, 3), dtype=np.uint8)
        seen = ContextFrames(pixels, path.poses[list(places)], path.intrinsics[list(places)], latents, places)
    picture = pick.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) if begins else None
    return Segment(path[20 : 20 + FRAMES], SIDE, SIDE, seen, picture, 20)


def test_without_memory_it_is_the_stock_graph_bit_for_bit(ltx: LtxKit) -> None:
    from comfy_extras.nodes_lt import EmptyLTXVLatentVideo

    made = ltx.sampled(ltx.prepared(segment()))
    (latent,) = EmptyLTXVLatentVideo.execute(SIDE, SIDE, FRAMES).args
    assert torch.equal(made, ltx.stock(ltx.positive, ltx.negative, latent)) and made.std() > 0.1
    assert ltx.vae.decode(made).shape == (1, FRAMES, SIDE, SIDE, 3)


def test_a_segment_that_goes_on_begins_with_the_newest_frame_as_the_stock_node_says(ltx: LtxKit) -> None:
    from comfy_extras.nodes_lt import LTXVImgToVideo

    part = segment(begins=True)
    image = torch.from_numpy(part.begins_with)[None].float() / 255
    with torch.inference_mode():
        positive, negative, latent = LTXVImgToVideo.execute(
            ltx.positive, ltx.negative, image, ltx.vae, SIDE, SIDE, FRAMES, 1, 1.0
        ).args
    made = ltx.sampled(ltx.prepared(part))
    assert torch.equal(made, ltx.stock(positive, negative, latent))
    assert torch.allclose(made[:, :, :1], latent["samples"][:, :, :1], atol=1e-5)


def test_remembered_frames_stand_before_the_shot_stay_clean_and_are_cut_off(ltx: LtxKit) -> None:
    part = segment(3, begins=True)
    ready = ltx.prepared(part)
    for kind in (ready.positive, ready.negative):
        times = kind[0][1]["keyframe_idxs"][0, 0, :, 0].unique().tolist()
        assert times == [-24.0, -16.0, -8.0]
    assert ready.behind == 3 and ready.latent.shape[2] == 3 + 3
    whole = ltx.sampled(replace(ready, behind=0))
    assert torch.allclose(whole[:, :, 3:], part.context.latents, atol=1e-4), "guides are not changed"
    made = ltx.sampled(ready)
    assert torch.equal(made, whole[:, :, :3])
    assert ltx.vae.decode(made).shape == (1, FRAMES, SIDE, SIDE, 3)
    assert "keyframe_idxs" not in ltx.positive[0][1], "what was given is as it was"


def test_what_is_remembered_and_when_changes_what_is_made(ltx: LtxKit) -> None:
    part = segment(3)
    made = ltx.sampled(ltx.prepared(part))
    other = replace(part, context=replace(part.context, latents=-part.context.latents))
    turned = replace(part, context=replace(part.context, latents=part.context.latents.flip(2)))
    for changed in (other, turned, segment()):
        assert float((ltx.sampled(ltx.prepared(changed)) - made).abs().max()) > 1e-3


def test_guides_in_another_order_with_their_times_are_the_same(ltx: LtxKit) -> None:
    from comfy_extras.nodes_lt import LTXVAddGuide

    part = segment(2)
    ready = ltx.prepared(part)
    positive, negative, latent, mask = ltx.positive, ltx.negative, ready.latent[:, :, :3], ready.mask[:, :, :3]
    with torch.inference_mode():
        for place, time in ((1, -8), (0, -16)):
            guide = part.context.latents[:, :, place : place + 1]
            positive, negative, latent, mask = LTXVAddGuide.append_keyframe(
                positive, negative, time, latent, mask, guide, 1.0, ltx.vae.downscale_index_formula
            )
    # The order of the guides decides which noise each gets, and being known, they take none of it.
    other = replace(ready, positive=positive, negative=negative, latent=latent, mask=mask)
    assert float((ltx.sampled(other) - ltx.sampled(ready)).abs().max()) < 1e-4


def test_a_newer_host_s_own_node_for_it_is_called_and_says_the_same(
    ltx: LtxKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LTXV Add Latent Guide by its public signature: a latent frame before the shot has a number below 0."""
    import comfy_extras.nodes_lt as host
    from comfy_api.latest import io

    from scene_memory.models.host import calls as host_nodes

    usual = ltx.prepared(segment(3))
    asked: list[int] = []

    class LTXVAddLatentGuide:
        @classmethod
        def execute(cls, positive: Any, negative: Any, vae: Any, latent: Any, guiding_latent: Any, latent_idx: int,
                    strength: float, attention_mask: Any = None) -> Any:  # fmt: skip
            asked.append(latent_idx)
            positive, negative, samples, mask = host.LTXVAddGuide.append_keyframe(
                positive, negative, 8 * latent_idx, latent["samples"], latent["noise_mask"], guiding_latent["samples"],
                strength, vae.downscale_index_formula,
            )  # fmt: skip
            return io.NodeOutput(positive, negative, {**latent, "samples": samples, "noise_mask": mask})

    monkeypatch.setattr(host, "LTXVAddLatentGuide", LTXVAddLatentGuide, raising=False)
    host_nodes._problem.cache_clear()
    try:
        ready = ltx.prepared(segment(3))
    finally:
        host_nodes._problem.cache_clear()
    assert asked == [-3, -2, -1]
    assert torch.equal(ready.latent, usual.latent) and torch.equal(ready.mask, usual.mask)
    told, before = (one.positive[0][1]["keyframe_idxs"] for one in (ready, usual))
    assert torch.equal(told, before)


def test_lengths_and_refusals(ltx: LtxKit, load_wan_vae: Any) -> None:
    from scene_memory.models.registry import adapter_for

    adapter = adapter_for(ltx.model)
    assert adapter.segment_lengths(200, 0) == [97, 96, 7]
    assert [adapter.made_for(frames) for frames in (2, 9, 10)] == [9, 9, 17]
    with pytest.raises(ValueError, match=r"8n\+1.*Use 97"):
        adapter.segment_lengths(200, 100)
    with pytest.raises(ValueError, match="16 channels.*takes 128"):
        adapter.prepare(ltx.model, ltx.positive, None, segment(), load_wan_vae())
    guided = ltx.prepared(segment(1)).positive
    unscaled = copy.copy(ltx.vae)
    unscaled.downscale_index_formula = None
    with pytest.raises(ValueError, match=r"not one of LTX video.*scale in time.*Load the VAE"):
        adapter.prepare(ltx.model, ltx.positive, None, segment(), unscaled)
    with pytest.raises(ValueError, match="LTXV Add Guide"):
        adapter.prepare(ltx.model, guided, None, segment(), ltx.vae)
    wider = [[torch.zeros(1, 6, 65), {}]]
    for kinds in ((wider, None), (ltx.positive, wider)):
        with pytest.raises(ValueError, match=r"65 numbers wide.*takes 64.*Load t5xxl_.* type ltxv in Load CLIP"):
            adapter.prepare(ltx.model, *kinds, segment(), ltx.vae)

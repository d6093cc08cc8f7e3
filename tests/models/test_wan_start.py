"""What each family is told of a known first picture: the numbers of the host's own nodes, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

SIDE, FRAMES = 64, 9
SIZE = {"width": SIDE, "height": SIDE, "length": FRAMES, "batch_size": 1}
FAMILIES = {
    "wan2.1_i2v_480p_14B_fp16.safetensors": "WanImageToVideo",
    "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors": "WanImageToVideo",
    "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors": "WanCameraImageToVideo",
    "wan2.2_fun_camera_low_noise_14B_fp8_scaled.safetensors": "WanCameraImageToVideo",
}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture)[None].float() / 255


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        mine = ours[name]
        if isinstance(value, list):
            assert len(mine) == len(value)
            value, mine = value[0], mine[0]
        equal = torch.equal(mine, value) if isinstance(value, torch.Tensor) else mine == value
        assert equal, f"{name} differs"


@pytest.mark.parametrize("name", FAMILIES)
@torch.inference_mode()
def test_image_to_video_and_fun_camera(wan: Any, picture: np.ndarray, name: str) -> None:
    import comfy_extras.nodes_wan as stock

    from scene_memory.models.wan.family import family_of, start_of

    model = wan.model(name)
    vae, family = wan.vae(model), family_of(model)
    positive, _, latent = getattr(stock, FAMILIES[name]).execute(
        wan.positive, wan.negative, vae, **SIZE, start_image=image(picture)
    )
    ours = start_of(family, vae, FRAMES, SIDE, SIDE, image(picture))
    same(ours.values, positive[0][1])
    assert torch.equal(ours.latent, latent["samples"]) and ours.mask is None
    assert start_of(family, vae, FRAMES, SIDE, SIDE, None).values == {}


@torch.inference_mode()
def test_ti2v_5b(wan: Any, picture: np.ndarray) -> None:
    from comfy_extras.nodes_wan import Wan22ImageToVideoLatent

    from scene_memory.models.wan.family import family_of, start_of

    model = wan.model("wan2.2_ti2v_5B_fp16.safetensors")
    vae, family = wan.vae(model), family_of(model)
    for first in (picture, None):
        (theirs,) = Wan22ImageToVideoLatent.execute(vae, **SIZE, start_image=None if first is None else image(first))
        ours = start_of(family, vae, FRAMES, SIDE, SIDE, None if first is None else image(first))
        assert torch.equal(ours.latent, theirs["samples"]) and ours.values == {}
        assert (ours.mask is None) if first is None else torch.equal(ours.mask, theirs["noise_mask"])


@pytest.mark.parametrize(("first", "reference"), [(False, False), (True, False), (False, True), (True, True)])
@torch.inference_mode()
def test_vace(wan: Any, picture: np.ndarray, first: bool, reference: bool) -> None:
    from comfy_extras.nodes_wan import WanVaceToVideo

    from scene_memory.film.segment import Segment
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.models.wan.vace import control_of, vace_values

    vae = wan.vae(wan.model("wan2.1_vace_1.3B_fp16.safetensors"))
    given: dict[str, Any] = {}
    if first:
        given = {"control_video": image(picture), "control_masks": torch.zeros(1, SIDE, SIDE)}
    other = np.ascontiguousarray(picture[::-1])
    if reference:
        given["reference_image"] = image(other)
    positive, _, latent, trim = WanVaceToVideo.execute(wan.positive, wan.negative, vae, **SIZE, strength=1.0, **given)
    references = vae.encode(image(other)) if reference else None
    path = make_preset("pan", frames=FRAMES, fps=16.0, amount=10.0, fov=70.0, aspect=1.0)
    segment = Segment(path, SIDE, SIDE, begins_with=picture if first else None)
    values, empty = vace_values(vae, FRAMES, SIDE, SIDE, control_of(segment), references)
    same(values, positive[0][1])
    assert torch.equal(empty, latent["samples"])
    assert trim == int(reference) and latent["samples"].shape[2] == 3 + trim


@torch.inference_mode()
def test_vace_takes_several_frames_in_front_and_gives_back_only_its_own(wan: Any) -> None:
    model = wan.model("wan2.1_vace_1.3B_fp16.safetensors")
    segment = wan.segment(model, context=5)
    ready = wan.prepared(model, segment)
    assert ready.latent.shape[2] == 3 + 5 and ready.in_front == 5
    assert ready.positive[0][1]["vace_frames"][0].shape[2] == ready.positive[0][1]["vace_mask"][0].shape[2] == 8
    plain = wan.step(model, wan.prepared(model, wan.segment(model, context=0)))
    seen = wan.step(model, ready)
    assert seen.shape == plain.shape and (seen - plain).abs().max() > 1e-3

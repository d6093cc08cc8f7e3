"""What a model or VAE returns is looked at: NaN, absurd numbers and wrong shapes are refused, never remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.presets import make_preset

SEGMENTS, SEGMENT = 3, 4


@pytest.fixture
def plan(world_plan: Any) -> Any:
    """A shot of three small segments with the bundled model, two steps each."""
    path = make_preset("pan", frames=SEGMENTS * SEGMENT, fps=8.0, amount=40.0, fov=70.0, aspect=48 / 36)
    return world_plan(path, SEGMENT, sigmas=torch.tensor([1.0, 0.5, 0.0]))


@torch.inference_mode()
def film(bank: Bank, plan: Any, **callbacks: Any) -> list[Any]:
    from scene_memory.film.loop import generate_shot
    from scene_memory.models.registry import adapter_for

    return list(generate_shot(bank.empty(), plan, adapter_for(plan.model), **callbacks))


def overflowing(monkeypatch: pytest.MonkeyPatch, broken: int, value: float) -> None:
    """From its ``broken``-th pass on, counted from 0, the model gives some places the value; no key sees it."""
    import comfy.samplers

    plain, count = comfy.samplers.CFGGuider.predict_noise, [0]

    def passing(self: Any, *given: Any, **more: Any) -> Any:
        made = plain(self, *given, **more)
        count[0] += 1
        return torch.where(torch.rand_like(made) < 0.1, value, made) if count[0] > broken else made

    monkeypatch.setattr(comfy.samplers.CFGGuider, "predict_noise", passing)


class BrokenVae:
    """A VAE whose pictures go through ``change`` from its n-th decoding on."""

    def __init__(self, vae: Any, change: Callable[[torch.Tensor], torch.Tensor], first: int = 1) -> None:
        self._vae, self._change, self._left = vae, change, first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        self._left -= 1
        pictures = self._vae.decode(latent)
        return self._change(pictures) if self._left < 0 else pictures


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e9])
@pytest.mark.parametrize("broken", [2, 3], ids=["first step", "last step"])
def test_a_model_that_overflows_is_named_and_the_segment_is_made_right_the_next_time(
    plan: Any, comfy: Path, tmp_path: Path, value: float, broken: int
) -> None:
    whole = film(Bank.create(tmp_path, "healthy"), plan)[-1].state
    bank = Bank.create(tmp_path, "film")
    steps: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        overflowing(patch, broken, value)
        with pytest.raises(ValueError, match=r"the model \(WorldModel\) made holds .*weight_dtype.*--fp32-unet"):
            film(bank, plan, on_step=lambda segment, step, x0: steps.append((segment, step)))
    assert steps == [(0, 0), (0, 1), (1, 0)][:broken], "refused at the step that broke, not at the end"
    assert Bank.open(tmp_path, "film").load().frames == SEGMENT, "what was finished stays"
    again = film(bank, plan)
    assert [done.made for done in again] == [False, True, True]
    assert again[-1].state.id == whole.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: made * float("nan"), r"What the VAE made holds no numbers \(NaN\) in 100.*--fp32-vae"),
        (lambda made: made.masked_fill(made > 0.5, float("nan")), r"What the VAE made holds no numbers \(NaN\)"),
        (lambda made: made.masked_fill(made > 0.5, float("inf")), "What the VAE made holds infinite numbers"),
        (lambda made: made + 1e9, r"What the VAE made holds numbers as large as 1e\+09"),
        (lambda made: made[:, :-1], "gave 3 pictures of 48x36, the segment has 4 of 48x36.*VAE of another model"),
        (lambda made: made.repeat(1, 2, 1, 1, 1), "gave 8 pictures of 48x36"),
        (lambda made: made[:, :, ::2, ::2], "gave 4 pictures of 24x18, the segment has 4 of 48x36"),
        (lambda made: made[..., :1], "1 channels instead of red, green and blue"),
        (lambda made: made[0, 0, 0], r"shape \(48, 3\), no pictures"),
        (lambda made: made[:0], "no numbers at all"),
    ],
)
def test_a_vae_that_gives_no_pictures_is_named(
    plan: Any, comfy: Path, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], words: str
) -> None:
    bank = Bank.create(tmp_path, "film")
    with pytest.raises(ValueError, match=words) as refused:
        film(bank, replace(plan, vae=BrokenVae(plan.vae, change)))
    assert "what was finished before it stays in the bank" in str(refused.value)
    assert Bank.open(tmp_path, "film").load().frames == SEGMENT


def test_colours_a_little_outside_are_cut_as_ever() -> None:
    from scene_memory.memory.pictures.eight_bits import eight_bits

    colours = torch.tensor([[[-0.3, 0.5, 1.4], [0.0, 1.0, 0.25]]])
    assert eight_bits(colours).tolist() == [[[0, 128, 255], [0, 255, 64]]]
    assert eight_bits(colours.half()).tolist() == [[[0, 128, 255], [0, 255, 64]]]


def test_a_broken_text_encoder_and_a_broken_encoding_are_told_from_the_model(wan: Any) -> None:
    from scene_memory.models.host.sampling import check_latent

    model = wan.model("wan2.1_t2v_1.3B_fp16.safetensors")
    ready = wan.prepared(model, wan.segment(model))
    latent = torch.full((1, 16, 3, 8, 8), float("nan"))
    with pytest.raises(ValueError, match=r"the model \(Wan\) made holds no numbers"):
        check_latent(latent, "Wan", ready)
    nowhere = [[text * float("nan"), values] for text, values in ready.positive]
    with pytest.raises(ValueError, match="The prompt holds no numbers.*--fp32-text-enc"):
        check_latent(latent, "Wan", replace(ready, positive=nowhere))
    segment = wan.segment(model)
    blind = replace(segment, context=replace(segment.context, latents=segment.context.latents * float("inf")))
    with pytest.raises(ValueError, match="What the VAE made of a picture that the model is given.*--fp32-vae"):
        check_latent(latent, "Wan", wan.prepared(model, blind))


def test_a_picture_that_is_connected_is_looked_at_too(comfy: Path) -> None:
    from scene_memory.nodes.pictures import to_uint8

    assert np.array_equal(to_uint8(torch.full((1, 2, 2, 4), 1000.0)), np.full((1, 2, 2, 3), 255, np.uint8))
    with pytest.raises(ValueError, match="The picture that is connected holds no numbers"):
        to_uint8(torch.full((1, 2, 2, 3), float("nan")))

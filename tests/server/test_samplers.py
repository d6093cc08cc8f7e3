"""The bundled model and the routed model in stock sampler nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank

OpenBank = Callable[[str], Bank]


def clip_prompt(kit: Any, model: list[Any], name: str) -> dict[str, Any]:
    prompt = kit.place(name)
    prompt["empty"] = kit.node("SceneMemoryEmptyWorldLatent", width=96, height=60, frames=8, batch_size=1)
    settings = {"seed": 3, "steps": 3, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    conditions = {"positive": ["text", 0], "negative": ["text", 0], "latent_image": ["empty", 0]}
    prompt["sampled"] = kit.node("KSampler", model=model, **settings, **conditions)
    prompt["decoded"] = kit.node("VAEDecode", samples=["sampled", 0], vae=["load", 2])
    prompt["saved"] = kit.node("SaveImage", images=["decoded", 0], filename_prefix=name)
    return prompt


def saved_frames(server: HostServer, run: Any) -> np.ndarray:
    pictures = [cv2.imread(str(server.output / file["filename"])) for file in run.outputs["saved"]["images"]]
    return np.stack(pictures).astype(np.float64) / 255


def test_the_stock_ksampler_makes_a_clip_with_the_bundled_model_and_with_the_patched_one(
    server: HostServer, kit: Any
) -> None:
    clips = []
    for name, model in (("stock", ["load", 0]), ("patched", ["moc", 0])):
        run = server.client.queue(clip_prompt(kit, model, name))
        assert run.ok, run.error
        clips.append(saved_frames(server, run))
    assert clips[0].shape == (8, 60, 96, 3)
    assert np.abs(np.diff(clips[0], axis=0)).mean() > 0.001, "the clip does not move"
    assert clips[0].std() > 0.03, "the clip shows nothing"
    # With nothing remembered there is nothing to route: the patch must not change a bit.
    assert np.array_equal(clips[0], clips[1])


def test_a_guidance_above_one_and_a_negative_prompt_are_sampled(server: HostServer, kit: Any) -> None:
    prompt = kit.changed(clip_prompt(kit, ["load", 0], "guided"), "sampled", cfg=2.5, negative=["other", 0])
    prompt["other"] = kit.node("CLIPTextEncode", clip=["load", 1], text="a dim landscape")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    plain = saved_frames(server, server.client.queue(clip_prompt(kit, ["load", 0], "unguided")))
    assert np.abs(saved_frames(server, run) - plain).mean() > 1e-3


def test_sampler_and_sigmas_work_in_the_stock_custom_sampler(server: HostServer, kit: Any) -> None:
    prompt = clip_prompt(kit, ["moc", 0], "custom")
    prompt["sampled"] = kit.node(
        "SamplerCustom",
        model=["moc", 0],
        add_noise=True,
        noise_seed=3,
        cfg=1.0,
        positive=["text", 0],
        negative=["text", 0],
        sampler=["moc", 1],
        sigmas=["moc", 2],
        latent_image=["empty", 0],
    )
    run = server.client.queue(prompt)
    assert run.ok, run.error
    assert saved_frames(server, run).shape == (8, 60, 96, 3)


def test_a_start_picture_goes_through_the_stock_vae_nodes_unharmed(server: HostServer, kit: Any) -> None:
    prompt = kit.place("vae")
    prompt["encoded"] = kit.node("VAEEncode", pixels=["scene", 0], vae=["load", 2])
    prompt["decoded"] = kit.node("VAEDecode", samples=["encoded", 0], vae=["load", 2])
    prompt["saved"] = kit.node("SaveImage", images=["decoded", 0], filename_prefix="through the vae")
    prompt["saved plain"] = kit.node("SaveImage", images=["scene", 0], filename_prefix="plain")
    run = server.client.queue(prompt)
    assert run.ok, run.error
    plain = cv2.imread(str(server.output / run.outputs["saved plain"]["images"][0]["filename"]))
    assert np.abs(saved_frames(server, run)[0] - plain / 255).max() < 1.5 / 255


def test_routing_that_covers_everything_changes_nothing_and_a_narrow_one_does(
    server: HostServer, kit: Any, open_bank: OpenBank
) -> None:
    ids = {}
    for name, inputs in (
        ("dense", {"routing": False}),
        ("all", {"top_k": 100, "switch_on": 1}),
        ("narrow", {"top_k": 1, "switch_on": 1}),
        ("short", {"top_k": 1}),
        ("dense layers", {"top_k": 1, "dense_layers": 100, "switch_on": 1}),
        ("dense steps", {"top_k": 1, "dense_steps": 100, "switch_on": 1}),
    ):
        prompt = kit.changed(kit.film(f"routing {name}", frames=32), "moc", **inputs)
        assert server.client.queue(prompt).ok
        ids[name] = open_bank(f"routing {name}").load().id
    assert ids["dense"] == ids["all"] == ids["dense layers"] == ids["dense steps"] == ids["short"]
    assert ids["narrow"] != ids["dense"]

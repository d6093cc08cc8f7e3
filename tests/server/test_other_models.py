"""Models that are not served: a tiny Wan of another kind with random weights, loaded by the stock loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from dev.support.server import HostServer
from dev.support.tiny_wan import maker


@pytest.fixture
def tiny_wan(server: HostServer, comfy: Path) -> str:
    """The name of a tiny Wan Fun Control for UNETLoader: a Wan that cannot be given a memory."""
    return maker(server.base / "models")("wan2.1_fun_control_1.3B_bf16.safetensors")


def wan_prompt(kit: Any, name: str, routed: bool) -> dict[str, Any]:
    prompt = kit.place(f"wan {routed}")
    prompt["wan"] = kit.node("UNETLoader", unet_name=name, weight_dtype="default")
    prompt["moc"]["inputs"]["model"] = ["wan", 0]
    prompt["empty"] = kit.node("EmptyHunyuanLatentVideo", width=64, height=64, length=9, batch_size=1)
    settings = {"seed": 3, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    conditions = {"positive": ["text", 0], "negative": ["text", 0], "latent_image": ["empty", 0]}
    model = ["moc", 0] if routed else ["wan", 0]
    prompt["sampled"] = kit.node("KSampler", model=model, **settings, **conditions)
    prompt["saved"] = kit.node("SaveLatent", samples=["sampled", 0], filename_prefix=f"wan {routed}")
    return prompt


def test_a_model_that_cannot_be_routed_passes_through_unharmed(server: HostServer, kit: Any, tiny_wan: str) -> None:
    latents = []
    for routed in (False, True):
        run = server.client.queue(wan_prompt(kit, tiny_wan, routed))
        assert run.ok, run.error
        (saved,) = run.outputs["saved"]["latents"]
        latents.append(load_file(server.output / saved["filename"])["latent_tensor"].numpy())
    assert latents[0].std() > 0
    assert np.array_equal(latents[0], latents[1])
    assert "cannot route this model (WAN21 with 48 channels)" in server.log_text()


def test_the_shot_generator_refuses_a_model_that_it_does_not_serve_by_name(
    server: HostServer, kit: Any, tiny_wan: str
) -> None:
    prompt = kit.film("wan film")
    prompt["wan"] = kit.node("UNETLoader", unet_name=tiny_wan, weight_dtype="default")
    prompt["moc"]["inputs"]["model"] = ["wan", 0]
    run = server.client.queue(prompt)
    assert run.error is not None and run.error["node_id"] == "shot"
    said = run.error["exception_message"]
    assert "WAN21" in said and "Load World Model" in said

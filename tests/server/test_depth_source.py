"""Depth Source in the real server: the stock loaders' models read the frames of a film, true depth joins over shots."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dev.support import tiny_depth
from dev.support.server import HostServer
from scene_memory.memory.bank.bank import Bank


@pytest.fixture(scope="module")
def exact(comfy: Path, comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """A ComfyUI with tiny depth models. In half, which it takes for MoGe otherwise, PyTorch on a CPU cannot do it."""
    base = tmp_path_factory.mktemp("depth")
    tiny_depth.make(base / "models")
    with HostServer(Path(sys.executable), comfyui, base=base, arguments=["--fp32-text-enc"]) as server:
        yield server


LOADERS = {
    tiny_depth.DA3: ("LoadDA3Model", {"weight_dtype": "default"}, "da3_model"),
    tiny_depth.DA3_SKY: ("LoadDA3Model", {"weight_dtype": "fp32"}, "da3_model"),
    tiny_depth.MOGE_1: ("LoadMoGeModel", {}, "moge_model"),
    tiny_depth.MOGE_2: ("LoadMoGeModel", {}, "moge_model"),
}


def deep_film(kit: Any, name: str, model: str, fit: str) -> dict[str, Any]:
    """A film of a start picture and two segments, whose depth a model reads."""
    prompt: dict[str, Any] = kit.film(name, frames=16)
    kind, options, place = LOADERS[model]
    prompt["model"] = kit.node(kind, model_name=model, **options)
    prompt["depth"] = kit.node("SceneMemoryDepthSource", keyframes=2, fit=fit, scale=0.0, **{place: ["model", 0]})
    prompt["bank"]["inputs"]["depth_source"] = prompt["shot"]["inputs"]["depth_source"] = ["depth", 0]
    return prompt


@pytest.mark.parametrize("model", LOADERS)
def test_models_of_the_stock_loaders_read_the_frames_of_a_film(exact: HostServer, kit: Any, model: str) -> None:
    prompt = deep_film(kit, f"depth {model.split('.')[0]}", model, "as it is")
    run = exact.client.queue(prompt)
    assert run.ok, run.error
    state = Bank.open(exact.output / "scene_memory", prompt["bank"]["inputs"]["name"]).load()
    notes = [state.segments[number].info["depth"] for number in range(3)]
    name = "Depth Anything 3" if model.startswith("da3") else "MoGe"
    assert [note["source"] for note in notes] == [name] * 3
    assert [note["frames"] for note in notes] == [[0], [0, 7], [0, 7]]
    depth = state.depth(range(state.frames))
    assert np.isfinite(depth[[0, 1, 8, 9, 16]]).any(axis=(1, 2)).all()
    assert "\nDepth of 2 frames is kept." in run.texts("shot")[-1]
    prompt["shot"]["inputs"].update(width=96, height=60)  # the size that it has: the node runs anew, no segment does
    assert exact.client.queue(prompt).texts("shot")[-1].startswith("2 of 2 segments: 0 made, 2 from the bank.")


def test_depth_that_cannot_join_is_said_on_the_node_and_the_film_is_made(exact: HostServer, kit: Any) -> None:
    prompt = deep_film(kit, "depth random", tiny_depth.DA3, "scale and shift")
    prompt["true"] = kit.node(
        "SceneMemoryDepthSource", depth_video=["scene", 2], depth_kind="white is far (linear)", keyframes=1,
        fit="as it is", scale=20.0,
    )  # fmt: skip
    prompt["bank"]["inputs"]["depth_source"] = ["true", 0]
    run = exact.client.queue(prompt)
    assert run.ok, run.error
    said = run.texts("shot")[0]
    state = Bank.open(exact.output / "scene_memory", "depth random").load()
    assert state.frames == 17 and state.segments[1].info["depth"]["left_out"]
    assert " is left out:\n" in said and max(map(len, said.splitlines())) < 45


def test_two_ways_of_giving_depth_are_refused(server: HostServer, kit: Any) -> None:
    prompt = kit.film("depth twice", frames=8)
    prompt["depth"] = kit.node(
        "SceneMemoryDepthSource", keyframes=2, fit="scale", scale=0.0, depth_video=["scene", 2],
        depth_kind="white is far (linear)",
    )  # fmt: skip
    prompt["shot"]["inputs"].update(depth_source=["depth", 0], depth=["scene", 2])
    assert "Both 'depth' and 'depth_source' are connected" in server.client.queue(prompt).error["exception_message"]
    del prompt["shot"]["inputs"]["depth"]
    error = server.client.queue(prompt).error["exception_message"]
    assert "The depth source has 1 depth pictures for a camera path of 8 frames" in error

"""What a film of the pipeline is found by: keys of version 0.4.0 and before stay, and what they never told counts."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.settings import RetrievalSettings

SMALL = {
    "num_attention_heads": 2, "attention_head_dim": 16, "text_dim": 32, "freq_dim": 32, "ffn_dim": 48, "num_layers": 2,
    "in_channels": 16, "out_channels": 16,
}  # fmt: skip
PARENT, NUMBER = "ab" * 32, 1
PLAIN: dict[str, Any] = {
    "steps": 2, "guidance": 3.0, "retrieval": RetrievalSettings("recent", k=3), "segment_frames": 9, "width": 32,
    "height": 32, "prompt": "a room",
}  # fmt: skip


def fixed(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers from -0.5 to 0.5 that follow from whole numbers alone."""
    order = torch.arange(int(np.prod(shape)), dtype=torch.int64)
    return (((order * 2654435761 + zlib.crc32(name.encode())) % 4096 - 2048).double() / 4096).reshape(shape)


@torch.no_grad()
def filled(network: Any) -> Any:
    for name, weight in network.state_dict().items():
        weight.copy_(fixed(name, tuple(weight.shape)))
    return network.eval()


@pytest.fixture(scope="module")
def pipe() -> Any:
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel

    from scene_memory.pipeline import SceneMemoryPipeline

    vae, network = filled(AutoencoderKLWan(base_dim=4)), filled(WanTransformer3DModel(**SMALL))
    return SceneMemoryPipeline(None, None, vae, FlowMatchEulerDiscreteScheduler(shift=3.0), network)


def path() -> Trajectory:
    poses = np.tile(np.eye(4), (8, 1, 1))
    poses[:, 2, 3] = np.arange(8) / 4
    return Trajectory(poses, np.tile([0.75, 0.75, 0.5, 0.5], (8, 1)), 16.0)


def keys(pipe: Any, **asked: Any) -> tuple[str, str]:
    """The key by what is asked for of a segment that follows a memory, and what all segments share of the other."""
    from scene_memory.pipeline import ShotPlan
    from scene_memory.pipeline.model import Prompts, WanModel

    prompts = Prompts(fixed("text", (1, 4, 32)).float(), fixed("no", (1, 4, 32)).float())
    model = WanModel(pipe, ShotPlan(path(), seed=7, **asked), prompts)
    plan = model.plan()
    key = model.shot_key(plan, (32, 32))
    told = (NUMBER, plan.prompt, plan.depth, 1, plan.seed, plan.colour_anchor)
    return key.asked(PARENT, plan.trajectory, plan.retriever, *told), key.shared


def test_films_of_version_0_4_0_are_found_again(pipe: Any) -> None:
    import diffusers

    from scene_memory.kernels import MocSettings
    from scene_memory.pipeline import MemoryOptions, Routing

    if diffusers.__version__ != "0.41.0":
        pytest.skip("configurations count, and another diffusers may have others")
    assert keys(pipe, **PLAIN)[0] == "bfe3f8fd720869133576c4c8ac3befc473cd48c5d02d218804cbdda3e4f6724b"
    more = {"steps": 4, "guidance": 1.0, "guidance_low": 2.0, "shift": 5.0}
    options, routing = MemoryOptions("clean", "true time", True), Routing(MocSettings(top_k=2), dense_steps=1)
    found, _ = keys(pipe, **more, options=options, routing=routing)
    assert found == "06aebbd7bc139c95fd235ac62000de8000bd950e7d7b6b504a1dd5cbd9c4c6a4"


def test_what_determines_pictures_is_told_and_what_does_not_is_not(pipe: Any) -> None:
    asked, shared = keys(pipe, **PLAIN)
    for changed in ({"steps": 3}, {"guidance": 4.0}, {"guidance_low": 2.0}, {"shift": 5.0}):
        other = keys(pipe, **{**PLAIN, **changed})
        assert other[0] != asked and other[1] != shared
    for changed in ({"prompt": "said"}, {"retrieval": RetrievalSettings("recent", k=4)}):
        other = keys(pipe, **{**PLAIN, **changed})
        assert other[0] != asked and other[1] == shared
    for changed in ({"colour_anchor": 0.5}, {"depth": np.ones((8, 2, 2), np.float32)}):
        assert keys(pipe, **PLAIN, **changed)[0] != asked

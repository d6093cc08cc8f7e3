"""Keys that stay: of one shot for each family, on weights that are the same on every machine.

golden_keys.json holds what is expected. A key that changes makes every film of that family anew, hours of an artist's
time, so it is changed on purpose only: together with RECIPE, a version (``Adapter.version``, ``colour.VERSION``,
``moc_patch.VERSION``) or the default of a field that is told, and the change log says so. Then put in what the failed
comparison shows.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.settings import RetrievalSettings

GOLDEN = json.loads(Path(__file__).with_name("golden_keys.json").read_text(encoding="utf-8"))
T2V, I2V = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors"
HIGH, LOW = (f"wan2.2_i2v_{kind}_noise_14B_fp8_scaled.safetensors" for kind in ("high", "low"))
SIDE, BEFORE, NEW = 96, 9, 8


def fixed(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers from -0.5 to 0.5 that follow from whole numbers alone."""
    places = torch.arange(int(np.prod(shape)), dtype=torch.int64)
    return (((places * 2654435761 + zlib.crc32(name.encode())) % 4096 - 2048).double() / 4096).reshape(shape)


@torch.no_grad()
def filled(held: Any) -> Any:
    """A MODEL, VAE or CLIP with such weights."""
    network = held.patcher.model if hasattr(held, "patcher") else held.model.diffusion_model
    for name, weight in network.state_dict().items():
        weight.copy_(fixed(name, tuple(weight.shape)))
    return held


def camera_path() -> Trajectory:
    """A dolly whose numbers are all exact."""
    poses = np.tile(np.eye(4), (BEFORE + NEW, 1, 1))
    poses[:, 2, 3] = np.arange(BEFORE + NEW) / 4
    return Trajectory(poses, np.tile([0.75, 0.75, 0.5, 0.5], (BEFORE + NEW, 1)), 16.0)


def keys_of(folder: Path, model: Any, vae: Any, positive: Any, **changed: Any) -> list[str]:
    """The adapter with its version, and the keys of a segment that follows a memory of 9 frames: by what is asked for,
    and by what the model is given."""
    import comfy.samplers

    from scene_memory.film import loop as loop
    from scene_memory.film.recall import Search
    from scene_memory.models.registry import adapter_for

    path, bank = camera_path(), Bank.create(folder, "film")
    pictures = (np.arange(BEFORE * SIDE * SIDE * 3) * 7919 % 256).astype(np.uint8).reshape(BEFORE, SIDE, SIDE, 3)
    state = bank.append(bank.empty(), frames=pictures, trajectory=path[:BEFORE], shot=0)
    plan = loop.ShotPlan(
        model=model,
        vae=vae,
        positive=positive,
        negative=positive,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=torch.tensor([1.0, 0.5, 0.0]),
        seed=7,
        cfg=3.5,
        trajectory=path[BEFORE:],
        **{"retriever": RetrievalSettings("recent", k=3), **changed},
    )
    adapter = adapter_for(model, plan.memory_enters_as)
    shot = loop._begin(state, plan, adapter, (SIDE, SIDE))
    search = Search(shot, state, plan.trajectory, adapter.overlap_after(state.frames), None, lambda retrieval: {})
    assert list(search.ways()) == []
    return [f"{type(adapter).__name__} {adapter.version}", *search.keys]


def words(width: int, **values: Any) -> Any:
    return [[fixed("text", (1, 4, width)).float(), values]]


Case = Callable[[Any], tuple[Any, Any, Any]]


def wan_case(name: str, change: Callable[[Any, Any], Any] = lambda model, wan: model) -> Case:
    def case(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
        wan = request.getfixturevalue("wan")
        model = filled(wan.model(name))
        return change(model, wan), filled(wan.vae(model)), words(256)

    return case


def world(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    model, _, vae = request.getfixturevalue("world")
    return model, vae, words(model.model.diffusion_model.dim)


def routed(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model

    model, vae, positive = world(request)
    return routed_model(model, RoutingOptions(MocSettings(top_k=4))), vae, positive


def ltx(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    import comfy.sd

    from dev.support import tiny_ltx

    models = request.getfixturevalue("tmp_path_factory").mktemp("ltx")
    tiny_ltx.make(models)
    model, _, vae, *_ = comfy.sd.load_checkpoint_guess_config(
        str(models / "checkpoints" / tiny_ltx.CHECKPOINT), output_clip=False
    )
    return filled(model), filled(vae), words(tiny_ltx.WIDTH)


def h3(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    import comfy.sd

    from dev.support import tiny_h3
    from scene_memory.models.minimax.prompt import PROMPT_KEY, H3Prompt

    models = request.getfixturevalue("tmp_path_factory").mktemp("h3")
    tiny_h3.make(models)
    model = comfy.sd.load_diffusion_model(str(models / "diffusion_models" / tiny_h3.MODEL))
    vae = tiny_h3.load_vae(models / "vae" / tiny_h3.VAE)
    clip = tiny_h3.load_text_encoder(models / "text_encoders" / tiny_h3.TEXT)
    return filled(model), filled(vae), words(8, **{PROMPT_KEY: H3Prompt(filled(clip), "a room", references="always")})


def pair(model: Any, wan: Any) -> Any:
    from scene_memory.models.wan.options import WanOptions, with_options

    return with_options(model, WanOptions(low_noise=filled(wan.model(LOW)), boundary=0.9))


def phantom(model: Any, wan: Any) -> Any:
    from scene_memory.models.wan.options import SAME, WanOptions, with_options

    return with_options(model, WanOptions(times=SAME, blank_negative=True))


def echo(model: Any, wan: Any) -> Any:
    from scene_memory.models.wan.camera_layers import ATTACHMENT, CameraLayer, CameraLayers

    network = model.model.diffusion_model
    layers = CameraLayers(
        [CameraLayer({"action_mlp.proj.weight": fixed("w", (network.dim, 12)).float(),
                      "action_mlp.proj.bias": fixed("b", (network.dim,)).float()},
                     network.num_heads, torch.float32)] * 2
    )  # fmt: skip
    marked = model.clone()
    marked.set_attachments(ATTACHMENT, layers)
    return marked


def story(method: str, subject: bool = False) -> Callable[[Any, Any], Any]:
    def change(model: Any, wan: Any) -> Any:
        from scene_memory.models.story.options import StoryOptions, with_story

        text = fixed("subject", (1, 2, 256)).float() if subject else None
        return with_story(model, StoryOptions(method, subject=text, no_subject=text))

    return change


CASES: dict[str, Case] = {
    "world": world,
    "world, routed": routed,
    "wan text to video": wan_case(T2V),
    "wan image to video": wan_case(I2V),
    "wan image to video, a pair": wan_case(HIGH, pair),
    "wan ti2v": wan_case("wan2.2_ti2v_5B_fp16.safetensors"),
    "wan fun camera": wan_case("wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors"),
    "wan vace": wan_case("wan2.1_vace_1.3B_fp16.safetensors"),
    "wan fun inpaint": wan_case("wan2.1_fun_inp_1.3B_bf16.safetensors"),
    "phantom": wan_case("Phantom-Wan-1_3B_fp16.safetensors", phantom),
    "echo-memory": wan_case(T2V, echo),
    "storymem": wan_case(HIGH, story("StoryMem")),
    "memento": wan_case(HIGH, story("Memento", subject=True)),
    "minimax h3": h3,
    "ltx": ltx,
}


KNOWN_PIXELS: dict[str, dict[str, Any]] = {
    "wan fun inpaint": {
        "memory_enters_as": "known pixels", "retriever": RetrievalSettings("recent", k=3, depth=2.0)
    }
}  # fmt: skip
"""What shots with memory as known pixels ask for. How far things are is said, where it would else be an estimate."""


@pytest.mark.parametrize("name", CASES)
def test_the_keys_of_a_shot_stay(comfy: Path, request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    assert keys_of(tmp_path, *CASES[name](request), **KNOWN_PIXELS.get(name, {})) == GOLDEN["keys"].get(name)


def test_every_adapter_has_a_golden_key(comfy: Path) -> None:
    from scene_memory.models.registry import ADAPTERS

    told = {adapter for adapter, *_ in GOLDEN["keys"].values()}
    assert told == {f"{adapter.__name__} {adapter.version}" for adapter in ADAPTERS}
    assert set(GOLDEN["keys"]) == set(CASES)


def test_the_defaults_of_what_is_told_stay(comfy: Path) -> None:
    """Fields at their default are not told: another default would give an old key to another film."""
    from scene_memory.kernels import MocSettings
    from scene_memory.models.minimax.prompt import H3Prompt
    from scene_memory.models.moc.patch import RoutingOptions
    from scene_memory.models.story.options import StoryOptions
    from scene_memory.models.wan.options import WanOptions

    told = (H3Prompt, MocSettings, RetrievalSettings, RoutingOptions, StoryOptions, WanOptions)
    now = {
        kind.__name__: {
            one.name: one.default for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING
        }
        for kind in told
    }
    assert now == GOLDEN["defaults"]

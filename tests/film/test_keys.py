"""Segment keys: each thing that determines a segment changes its key, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scene_memory.memory.cameras.presets import make_preset
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.memory.retrieval.settings import RetrievalSettings

ROOT = Path(__file__).resolve().parents[2]
PARENT = "a" * 64


@pytest.fixture
def path() -> Trajectory:
    return make_preset("pan", frames=8, fps=8.0, amount=30.0, fov=70.0, aspect=1.6)


@pytest.fixture
def key_of(comfy: Path) -> Callable[..., str]:
    from scene_memory.models.host.identity import shot_key

    return lambda **ingredients: shot_key(**ingredients).shared


def with_lora(model: Any, amount: float = 1.0, strength: float = 1.0) -> Any:
    patched = model.clone()
    name = next(name for name in model.model.state_dict() if name.endswith("weight") and "norm" not in name)
    patched.add_patches({name: ("diff", (amount * torch.ones_like(model.model.state_dict()[name]),))}, strength)
    return patched


def with_option(model: Any, value: Any) -> Any:
    patched = model.clone()
    patched.model_options["transformer_options"]["an option"] = value
    return patched


def with_wrapper(model: Any, amount: float) -> Any:
    import comfy.patcher_extension

    def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(*args, **kwargs) + amount

    patched = model.clone()
    patched.add_wrapper(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, wrapper)
    return patched


def with_shift(model: Any, shift: float) -> Any:
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    return ModelSamplingSD3().patch(model, shift)[0]


def with_routing(model: Any, top_k: int) -> Any:
    from scene_memory.kernels import MocSettings
    from scene_memory.models.moc.patch import RoutingOptions, routed_model

    return routed_model(model, RoutingOptions(MocSettings(top_k=top_k)))


def test_every_change_of_a_model_changes_the_key(key_of: Any, load_wan: Any) -> None:
    model = load_wan(0)
    variants = {
        "as it is": model,
        "other weights": load_wan(1),
        "LoRA": with_lora(model),
        "weaker LoRA": with_lora(model, strength=0.5),
        "other LoRA": with_lora(model, amount=2.0),
        "two LoRAs": with_lora(with_lora(model)),
        "option": with_option(model, 1.0),
        "other option": with_option(model, 2.0),
        "wrapper": with_wrapper(model, 1.0),
        "other wrapper": with_wrapper(model, 2.0),
        "shift": with_shift(model, 3.0),
        "other shift": with_shift(model, 5.0),
        "routing": with_routing(model, 5),
        "other routing": with_routing(model, 4),
    }
    keys = {name: key_of(model=variant) for name, variant in variants.items()}
    assert len(set(keys.values())) == len(keys), keys
    assert key_of(model=model.clone()) == keys["as it is"] == key_of(model=load_wan(0))
    assert key_of(model=with_routing(load_wan(0), 5)) == keys["routing"]


def test_using_a_model_leaves_its_key(key_of: Any, load_wan: Any) -> None:
    """The host writes patches over the weights while a model is loaded, and moves what it keeps of them."""
    import comfy.model_management

    model = load_wan(0)
    patched = with_shift(with_lora(model), 3.0)
    before = key_of(model=model), key_of(model=patched)
    comfy.model_management.load_models_gpu([patched])
    assert (key_of(model=model), key_of(model=patched)) == before
    comfy.model_management.load_models_gpu([model])
    assert (key_of(model=model), key_of(model=patched)) == before


def test_vaes_are_told_apart_and_using_one_leaves_its_key(key_of: Any, load_wan_vae: Any, world: Any) -> None:
    vae = load_wan_vae(0)
    before = key_of(vae=vae)
    vae.decode(vae.encode(torch.rand(1, 32, 32, 3)))
    assert key_of(vae=vae) == before == key_of(vae=load_wan_vae(0))
    assert len({before, key_of(vae=load_wan_vae(1)), key_of(vae=world[2])}) == 3


def test_every_sampler_has_a_key_of_its_own(key_of: Any) -> None:
    import comfy.samplers

    make = comfy.samplers.sampler_object
    names = [name for name in comfy.samplers.SAMPLER_NAMES]
    keys = {name: key_of(sampler=make(name)) for name in names}
    assert len(set(keys.values())) == len(names)
    assert key_of(sampler=make("euler")) == keys["euler"]
    options = [comfy.samplers.ksampler("euler", {"s_churn": churn}) for churn in (0.0, 0.5)]
    assert len({keys["euler"], *(key_of(sampler=sampler) for sampler in options)}) == 3


def test_everything_in_the_conditioning_counts(key_of: Any) -> None:
    text = torch.arange(24.0).reshape(1, 3, 8)
    other = text.clone()
    other[0, 2, 7] += 1e-6 * other[0, 2, 7]
    variants = [
        [[text, {}]],
        [[other, {}]],
        [[text, {"pooled_output": text[0, 0]}]],
        [[text, {"pooled_output": other[0, 2]}]],
        [[text, {"strength": 0.5}]],
        [[text, {"concat_latent_image": torch.zeros(1, 4, 2, 2)}]],
        [[text, {"reference_latents": [torch.zeros(1, 4)]}]],
        [[text, {"start_percent": 0.1}], [text, {}]],
        [[text, {}], [text, {"start_percent": 0.1}]],
    ]
    keys = [key_of(positive=variant) for variant in variants]
    assert len(set(keys)) == len(variants)
    assert key_of(positive=[[text.clone(), {}]]) == keys[0]


def changed(path: Trajectory, **parts: Any) -> Trajectory:
    """The path with one number of each named part a little off."""
    made = {name: getattr(path, name).copy() for name in parts}
    for name, place in parts.items():
        made[name][place] += 1e-9
    return replace(path, **made)


def test_what_is_asked_for_counts_and_the_name_of_the_path_does_not(comfy: Path, path: Trajectory) -> None:
    from scene_memory.models.host.identity import shot_key

    shot, settings = shot_key(seed=1), RetrievalSettings()
    depth = np.ones((8, 4, 6), dtype=np.float16)
    keys = [
        shot.asked(PARENT, path, settings),
        shot.asked("b" * 64, path, settings),
        shot.asked(PARENT, changed(path, poses=(3, 0, 3)), settings),
        shot.asked(PARENT, changed(path, intrinsics=(0, 0)), settings),
        shot.asked(PARENT, replace(path, fps=16.0), settings),
        shot.asked(PARENT, path[:7], settings),
        shot.asked(PARENT, path, replace(settings, k=19)),
        shot.asked(PARENT, path, settings, depth),
        shot.asked(PARENT, path, settings, 2 * depth),
        shot_key(seed=2).asked(PARENT, path, settings),
    ]
    assert len(set(keys)) == len(keys)
    assert shot.asked(PARENT, replace(path, name="another name"), RetrievalSettings()) == keys[0]
    assert shot.asked(PARENT, path, settings, depth.copy()) == keys[7]


def test_what_the_model_is_given_counts(comfy: Path, path: Trajectory) -> None:
    from scene_memory.film.keys import Given, Read
    from scene_memory.models.host.identity import shot_key

    frame = Read(b"p" * 32, "", path.poses[0], path.intrinsics[0])
    given = Given(path, 8, [frame], [frame], 1)
    variants = [
        given,
        replace(given, whole=changed(path, poses=(3, 0, 3))),
        replace(given, whole=changed(path, intrinsics=(0, 0))),
        replace(given, whole=replace(path, fps=16.0)),
        replace(given, new=7),
        replace(given, seed=2),
        replace(given, first_frame=0),
        replace(given, colour=(0.5, 3.0)),
        replace(given, colour=(0.5, 4.0)),
        replace(given, context=[]),
        replace(given, known=[]),
        replace(given, context=[frame, frame], known=[]),
    ]
    others = [
        b"q" * 32,
        "latent",
        changed(path, poses=(0, 0, 3)).poses[0],
        changed(path, intrinsics=(0, 0)).intrinsics[0],
        3,
    ]
    for name, other in zip(("pixels", "latent", "pose", "intrinsics", "number"), others, strict=True):
        variants += [replace(given, context=[replace(frame, **{name: other})])]
        variants += [replace(given, known=[replace(frame, **{name: other})])]
    keys = [shot_key(seed=1).made(variant) for variant in variants]
    assert len(set(keys)) == len(keys)
    assert shot_key(seed=1).made(replace(given, whole=replace(path, name="another name"))) == keys[0]


def test_what_has_no_identity_is_named(key_of: Any) -> None:
    from scene_memory.film.identity import NoIdentity

    with pytest.raises(NoIdentity, match=r"conditioning\.0\.1\.control"):
        key_of(seed=1, conditioning=[[torch.zeros(1), {"control": object()}]])


def test_a_new_process_finds_the_same_keys(comfy: Path) -> None:
    script = """
import sys
sys.path[:0] = [sys.argv[2]]
sys.path.append(sys.argv[1])
from comfy.cli_args import args
args.cpu = True
from dev.support.pack import load_pack
load_pack()
import comfy.samplers
from scene_memory.models.moc.patch import RoutingOptions, routed_model
from scene_memory.models.host.identity import shot_key
from scene_memory.models.world.loader import load_world_model
from scene_memory.kernels import MocSettings
from scene_memory.memory.cameras.presets import make_preset
model, clip, vae = load_world_model()
shot = shot_key(
    model=routed_model(model, RoutingOptions(MocSettings(5))), vae=vae, sampler=comfy.samplers.sampler_object("ddim"),
    positive=clip.encode_from_tokens_scheduled(clip.tokenize("a small room")),
)
print(shot.asked("0" * 64, make_preset("pan", frames=8, fps=8.0, amount=30.0, fov=70.0, aspect=1.6), {"x", "y"}))
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(ROOT), str(comfy)],
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1", "SYSTEMROOT": "C:\\Windows"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    found = {child.communicate()[0].strip().splitlines()[-1] for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert len(found) == 1 and len(found.pop()) == 64

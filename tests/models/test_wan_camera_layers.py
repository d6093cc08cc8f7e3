"""Echo-Memory's Context-as-Memory weights: keys and layers as its own code has them, cameras as it was trained."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from dev.support import tiny_wan
from scene_memory.memory.cameras.presets import make_preset

T2V = "wan2.1_t2v_1.3B_fp16.safetensors"
DIM, HEADS = tiny_wan.DIM, tiny_wan.SIZES["num_heads"]


@pytest.fixture(scope="module")
def echo(wan: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file like epoch-0.safetensors: a Wan 2.1 with action_mlp and self_attn_with_action in every block."""
    folder = tmp_path_factory.mktemp("echo")
    random = torch.Generator().manual_seed(3)
    weights = load_file(tiny_wan.make_model(folder, T2V))
    for block in range(2):
        own = f"blocks.{block}."
        weights[f"{own}action_mlp.proj.weight"] = 0.1 * torch.randn(DIM, 12, generator=random)
        weights[f"{own}action_mlp.proj.bias"] = 0.1 * torch.randn(DIM, generator=random)
        for part in "qkvo":
            weights[f"{own}self_attn_with_action.{part}.weight"] = torch.randn(DIM, DIM, generator=random) / DIM**0.5
            weights[f"{own}self_attn_with_action.{part}.bias"] = 0.1 * torch.randn(DIM, generator=random)
        for part in ("norm_q", "norm_k"):
            weights[f"{own}self_attn_with_action.{part}.weight"] = 1 + 0.1 * torch.randn(DIM, generator=random)
    path = folder / "epoch-0.safetensors"
    save_file(weights, path, metadata={"config": json.dumps({"transformer": tiny_wan.SIZES})})
    return path, weights


def with_layers(path: Path) -> Any:
    import comfy.sd

    from scene_memory.models.wan.camera_layers import ATTACHMENT, read_camera_layers

    model = comfy.sd.load_diffusion_model(str(path))
    model.set_attachments(ATTACHMENT, read_camera_layers(path, model))
    return model


def in_front(weights: dict[str, torch.Tensor], block: int, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """What stands in front of a block in Echo-Memory's code, written from its formula: (B, F x n, dim)."""
    own = f"blocks.{block}."
    frames = rows.shape[1]

    def linear(name: str, value: torch.Tensor) -> torch.Tensor:
        return F.linear(value, weights[f"{own}{name}.weight"], weights[f"{own}{name}.bias"])

    def norm(name: str, value: torch.Tensor) -> torch.Tensor:
        return value * (value.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * weights[f"{own}{name}.weight"]

    result = x.clone()
    told = x.reshape(len(x), frames, -1, DIM) + linear("action_mlp.proj", rows)[:, :, None]
    for place in range(told.shape[2]):
        along = told[:, :, place]
        q = norm("self_attn_with_action.norm_q", linear("self_attn_with_action.q", along))
        k = norm("self_attn_with_action.norm_k", linear("self_attn_with_action.k", along))
        q, k, v = (
            part.reshape(len(x), frames, HEADS, -1).transpose(1, 2)
            for part in (q, k, linear("self_attn_with_action.v", along))
        )
        shares = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        seen = linear("self_attn_with_action.o", (shares @ v).transpose(1, 2).flatten(2))
        result.reshape(len(x), frames, -1, DIM)[:, :, place] += seen
    return result


@pytest.mark.parametrize("context", [0, 3])
def test_the_layers_do_what_echo_memory_s_code_does(wan: Any, echo: Any, context: int) -> None:
    from scene_memory.models.wan.camera_layers import ATTACHMENT
    from scene_memory.models.wan.options import WanOptions, with_options

    path, weights = echo
    model = with_layers(path)
    segment = wan.segment(model, context=context)
    ready = wan.prepared(model, segment)
    ours = wan.step(model, ready, 3.0)
    rows = torch.cat(ready.positive[0][1]["model_conds"]["scene_memory_cameras"].cond, dim=1)
    assert rows.shape == (1, 3 + context, 12)

    plain = model.clone()
    plain.remove_attachments(ATTACHMENT)
    plain = with_options(plain, WanOptions(times="same as the segment", positions="after the segment"))
    hooks = []
    for number, block in enumerate(model.model.diffusion_model.blocks):

        def hook(module: Any, given: Any, number: int = number) -> Any:
            return (in_front(weights, number, given[0], rows.expand(len(given[0]), -1, -1)), *given[1:])

        hooks.append(block.register_forward_pre_hook(hook))
    try:
        expected = wan.step(plain, wan.prepared(plain, segment), 3.0)
    finally:
        for one in hooks:
            one.remove()
    assert torch.allclose(ours, expected, atol=1e-4)
    assert (ours - wan.step(plain, wan.prepared(plain, segment), 3.0)).abs().max() > 1e-2


def test_another_camera_path_gives_another_picture(wan: Any, echo: Any) -> None:
    model = with_layers(echo[0])
    segment = wan.segment(model)
    back = replace(segment, trajectory=replace(segment.trajectory, poses=segment.trajectory.poses[::-1]))
    there, again = (wan.step(model, wan.prepared(model, one)) for one in (segment, back))
    assert (there - again).abs().max() > 1e-2


def test_cameras_are_told_in_unreal_s_axes_in_centimetres_from_the_first(comfy: Path) -> None:
    from scene_memory.models.wan.camera_layers import camera_rows

    def last(move: str, amount: float) -> np.ndarray:
        path = make_preset(move, frames=9, fps=15.0, amount=amount, fov=52.67, aspect=1.8, easing="even")
        path = path.after(make_preset("pan", frames=2, fps=15.0, amount=70.0, fov=50.0, aspect=1.8).last_pose)
        return camera_rows(path.poses, path.poses[0])[-1]

    still = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert np.allclose(last("dolly", 2.0), [200, 0, 0, *still], atol=1e-6)
    assert np.allclose(last("truck", 1.5), [0, 150, 0, *still], atol=1e-6)
    assert np.allclose(last("pedestal", 1.0), [0, 0, 0, *still], atol=1e-6), "only the plane is told"
    half = math.sqrt(0.5)
    assert np.allclose(last("pan", 45.0), [0, 0, 0, half, -half, 0, half, half, 0, 0, 0, 1], atol=1e-6)


def test_the_layers_count_for_what_is_made_again(wan: Any, echo: Any) -> None:
    from scene_memory.models.host.identity import shot_key
    from scene_memory.models.wan.camera_layers import ATTACHMENT

    def key(model: Any) -> str:
        return shot_key(model=model).shared

    plain, model, other = with_layers(echo[0]), with_layers(echo[0]), with_layers(echo[0])
    plain.remove_attachments(ATTACHMENT)
    other.get_attachment(ATTACHMENT).layers[1].action_mlp["proj"].weight.mul_(1.5)
    assert len({key(plain), key(model), key(other)}) == 3 and key(model) == key(with_layers(echo[0]))


def test_a_file_without_such_layers_or_of_another_size_is_refused(wan: Any, echo: Any, tmp_path: Path) -> None:
    from scene_memory.models.wan.camera_layers import read_camera_layers

    model = wan.model(T2V)
    with pytest.raises(ValueError, match=r"no camera layers .* context_k1"):
        read_camera_layers(tiny_wan.make_model(tmp_path, T2V), model)
    broken = tmp_path / "half.safetensors"
    save_file({name: part for name, part in echo[1].items() if not name.startswith("blocks.1.action")}, broken)
    with pytest.raises(ValueError, match="not whole"):
        read_camera_layers(broken, model)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match="cannot be read"):
        read_camera_layers(damaged, model)
    gguf = tmp_path / "echo.gguf"
    gguf.touch()
    with pytest.raises(ValueError, match=r"echo.gguf.*\.safetensors files only"):
        read_camera_layers(gguf, model)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("blocks.0.block_wise_ssm.in_proj.weight", "Echo-Memory's block_wise_ssm checkpoint"),
        ("framepack.clean_x2.proj.weight", "Echo-Memory's framepack checkpoint"),
        ("blocks.1.other.weight", "a checkpoint of another kind"),
    ],
)
def test_another_checkpoint_of_the_same_name_is_refused_and_not_half_read(
    wan: Any, echo: Any, tmp_path: Path, key: str, words: str
) -> None:
    from scene_memory.models.wan.camera_layers import read_camera_layers

    path = tmp_path / "epoch-0.safetensors"
    for front in ("", "model.diffusion_model."):
        held = {front + name: weight for name, weight in {**echo[1], key: torch.zeros(2)}.items()}
        save_file(held, path)
        with pytest.raises(ValueError, match=rf"holds 1 weights.*{key}.*{words}"):
            read_camera_layers(path, wan.model(T2V))


def test_the_layers_are_counted_loaded_and_let_go_by_the_host(wan: Any, echo: Any) -> None:
    """As any other part of the model: no casting at a pass, room is made for them, and they go when it is needed."""
    import comfy.model_management

    from scene_memory.models.host.identity import shot_key
    from scene_memory.models.wan.camera_layers import ATTACHMENT

    model = with_layers(echo[0])
    layers = model.get_attachment(ATTACHMENT)
    computes = model.model.manual_cast_dtype or model.model.get_dtype()
    assert {weight.dtype for weight in layers.parameters()} == {computes}
    before = shot_key(model=model).shared
    ready = wan.prepared(model, wan.segment(model))
    (managed,) = ready.model.get_additional_models()
    assert managed.model_size() == sum(weight.nbytes for weight in layers.parameters())
    wan.step(model, ready)
    loaded = [one.model for one in comfy.model_management.current_loaded_models]
    assert any(one.is_clone(managed) for one in loaded)
    again = wan.prepared(model, wan.segment(model))
    assert again.model.get_additional_models()[0].is_clone(managed)
    assert shot_key(model=model).shared == before
    comfy.model_management.unload_all_models()
    assert not any(one.model.is_clone(managed) for one in comfy.model_management.current_loaded_models)

"""A LoRA of the stock loader, and ComfyUI's context windows, beside a memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from dev.support import tiny_wan

T2V = "wan2.1_t2v_1.3B_fp16.safetensors"
OWN, WINDOW = 3, 2
"""Latent frames of a segment of 9 pictures, and of a window of 5."""


def test_a_lora_beside_a_memory_is_a_model_with_those_weights(wan: Any, tmp_path: Path) -> None:
    import json

    import comfy.sd

    random, lora = torch.Generator().manual_seed(1), {}
    merged = load_file(tiny_wan.make_model(tmp_path, T2V))
    for block in (0, 1):
        for part in "qkvo":
            name = f"blocks.{block}.self_attn.{part}"
            down, up = (torch.randn(shape, generator=random) for shape in ((4, tiny_wan.DIM), (tiny_wan.DIM, 4)))
            lora[f"diffusion_model.{name}.lora_A.weight"] = down
            lora[f"diffusion_model.{name}.lora_B.weight"] = 0.2 * up
            merged[f"{name}.weight"] = merged[f"{name}.weight"] + 0.7 * 0.2 * up @ down
    path = tmp_path / "merged.safetensors"
    save_file(merged, path, metadata={"config": json.dumps({"transformer": tiny_wan.SIZES})})
    model, baked = wan.model(T2V), comfy.sd.load_diffusion_model(str(path))
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 0.7, 0.0)
    made = [wan.step(one, wan.prepared(one, wan.segment(one)), 2.0) for one in (patched, baked, model)]
    assert torch.allclose(made[0], made[1], atol=1e-4)
    assert (made[0] - made[2]).abs().max() > 1e-3


def test_every_context_window_looks_at_the_whole_memory(wan: Any) -> None:
    """Each window by the sum done another way: the network is given the memory and the window as one video."""
    import comfy.patcher_extension
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    from scene_memory.models.wan.options import WanOptions, with_options

    model = with_options(wan.model(T2V), WanOptions(times="clean", positions="before the segment"))
    windows = {"context_length": 4 * WINDOW - 3, "context_overlap": 4, "context_stride": 1, "closed_loop": False}
    windowed = WanContextWindowsManualNode.execute(
        model, context_schedule="standard_static", fuse_method="pyramid", freenoise=False, **windows
    ).result[0]
    segment = wan.segment(windowed)
    ready = wan.prepared(windowed, segment)
    calls: list[tuple[torch.Tensor, ...]] = []

    def watch(executor: Any, x: Any, t: Any, text: Any, *rest: Any, **more: Any) -> Any:
        result = executor(x, t, text, *rest, **more)
        calls.append((x.clone(), t.clone(), text.clone(), result.clone()))
        return result

    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    watched = ready.model.clone()
    watched.wrappers[kind] = {"before": [watch], **watched.wrappers[kind]}
    made = wan.step(windowed, replace(ready, model=watched), 1.0, (0.7, 0.4))
    assert made.shape[2] == OWN and len(calls) > 1
    clean, network = model.model.process_latent_in(segment.context.latents), model.model.diffusion_model
    count = clean.shape[2]
    for x, t, text, ours in calls:
        own = x.shape[2]
        assert own in (WINDOW, WINDOW + 1), "a window that is not the first has the host's anchor frame in front"
        times = torch.cat([torch.zeros(1, count), t[:, None].expand(1, own)], dim=1)
        with torch.inference_mode():
            shifted = {"rope_options": {"shift_t": -count}}
            whole = network._forward(torch.cat([clean, x], dim=2), times, text, transformer_options=shifted)
        assert torch.allclose(ours, whole[:, :, count:], atol=2e-5)
    whole = wan.step(model, wan.prepared(model, segment), 1.0, (0.7, 0.4))
    assert (made - whole).abs().max() > 1e-3


def test_every_context_window_is_told_its_own_cameras(wan: Any, tmp_path: Path) -> None:
    """Echo-Memory's camera layers, watched from inside: a row for every frame of the window, in its order."""
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    from scene_memory.models.wan.camera_layers import ATTACHMENT, read_camera_layers

    random, layers = torch.Generator().manual_seed(1), {}
    for block in (0, 1):
        for name, shape in (("weight", (tiny_wan.DIM, 12)), ("bias", (tiny_wan.DIM,))):
            layers[f"blocks.{block}.action_mlp.proj.{name}"] = 0.1 * torch.randn(shape, generator=random)
    save_file(layers, tmp_path / "layers.safetensors")
    model = wan.model(T2V)
    read = read_camera_layers(tmp_path / "layers.safetensors", model)
    told: list[torch.Tensor] = []
    read.layers[0].register_forward_pre_hook(lambda _, given: told.append(given[1].clone()))
    windows = {"context_length": 4 * WINDOW - 3, "context_overlap": 4, "context_stride": 1, "closed_loop": False}
    windowed = WanContextWindowsManualNode.execute(
        model, context_schedule="standard_static", fuse_method="pyramid", freenoise=False, **windows
    ).result[0]
    windowed.set_attachments(ATTACHMENT, read)
    segment = wan.segment(windowed, context=2)
    ready = wan.prepared(windowed, segment)
    own, context = ready.positive[0][1]["model_conds"]["scene_memory_cameras"].cond
    made = wan.step(windowed, ready)
    assert made.shape[2] == OWN
    expected = [[0, 1], [0, 1, 2]]
    assert [len(rows[0]) - 2 for rows in told] == [len(frames) for frames in expected]
    for rows, frames in zip(told, expected, strict=True):
        assert torch.allclose(rows[:, :-2], own[:, frames], atol=1e-4) and torch.allclose(
            rows[:, -2:], context, atol=1e-4
        )

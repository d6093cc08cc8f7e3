"""Fun Camera without a memory is the stock graph's; both prompts at a time are the same as one after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

T2V, VACE = "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_vace_1.3B_fp16.safetensors"
CAMERA21 = "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors"
CAMERA22 = "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors"
STEPS, SEED = 3, 11


@pytest.mark.parametrize("name", [CAMERA21, CAMERA22])
@pytest.mark.parametrize("begins", [False, True])
def test_fun_camera_without_a_memory_has_the_bits_of_the_stock_nodes(wan: Any, name: str, begins: bool) -> None:
    import comfy.sample
    import comfy.samplers
    from comfy_extras.nodes_wan import WanCameraImageToVideo

    from scene_memory.models.wan.plucker import wan_camera_embedding

    model = wan.model(name)
    segment = wan.segment(model, context=0, begins=begins)
    levels = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    ours = wan.step(model, wan.prepared(model, segment), 2.0, tuple(levels.tolist()))
    first = torch.from_numpy(segment.begins_with)[None].float() / 255 if begins else None
    positive, negative, latent = WanCameraImageToVideo.execute(
        wan.positive, wan.negative, wan.vae(model), width=wan.SIDE, height=wan.SIDE, length=len(segment), batch_size=1,
        start_image=first, camera_conditions=wan_camera_embedding(segment.trajectory, wan.SIDE, wan.SIDE),
    ).result  # fmt: skip
    empty = latent["samples"]
    with torch.inference_mode():
        theirs = comfy.sample.sample(
            model, comfy.sample.prepare_noise(empty, SEED), STEPS, 2.0, "euler", "simple", positive, negative, empty,
            seed=SEED, disable_pbar=True,
        )  # fmt: skip
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", [T2V, VACE, CAMERA22])
def test_where_there_is_room_for_one_prompt_at_a_time_the_result_is_the_same(wan: Any, name: str) -> None:
    """The host computes both prompts in one call if it reckons that the memory suffices, else one after the other."""
    import comfy.patcher_extension

    from scene_memory.models.wan.options import WanOptions, with_options

    model = with_options(wan.model(name), WanOptions(blank_negative=name == T2V))
    ready = wan.prepared(model, wan.segment(model, begins=name != T2V))
    batches: list[int] = []

    def count(executor: Any, x: Any, *rest: Any, **more: Any) -> Any:
        batches.append(len(x))
        return executor(x, *rest, **more)

    watched = (ready.model or model).clone()
    watched.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "count", count)
    ready = replace(ready, model=watched)
    together = wan.step(model, ready, 3.0)
    assert batches == [2]
    usual, model.model.memory_usage_factor = model.model.memory_usage_factor, 1e9
    try:
        apart = wan.step(model, ready, 3.0)
    finally:
        model.model.memory_usage_factor = usual
    assert batches == [2, 1, 1]
    assert torch.allclose(together, apart, atol=1e-4)

"""StoryMem's LoRA files, through the host's own loader: names and scale of a rank-stabilised PEFT LoRA."""

from __future__ import annotations

from typing import Any

import pytest
import torch

HIGH = "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"
LAYERS = ("blocks.0.self_attn.q", "blocks.1.cross_attn.v", "blocks.1.ffn.2")
RANK = 4


def as_peft(model: Any) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    made = {"keyframe_query.queries": torch.zeros(8, 64)}
    for layer in LAYERS:
        rows, columns = model.model.diffusion_model.get_submodule(layer).weight.shape
        made[f"base_model.model.{layer}.lora_A.weight"] = torch.randn(RANK, columns, generator=random) / 30
        made[f"base_model.model.{layer}.lora_B.weight"] = torch.randn(rows, RANK, generator=random) / 30
    return made


def test_the_weights_are_those_that_peft_makes(wan: Any) -> None:
    import comfy.model_management
    import comfy.sd

    from scene_memory.generation.story.lora import for_host

    model = wan.model(HIGH)
    lora = as_peft(model)
    before = {layer: model.model.diffusion_model.get_submodule(layer).weight.clone() for layer in LAYERS}
    patched, _ = comfy.sd.load_lora_for_models(model, None, for_host(lora, "file"), 1.0, 0.0)
    assert len(patched.patches) == len(LAYERS)
    comfy.model_management.load_models_gpu([patched])
    for layer in LAYERS:
        a, b = (lora[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
        expected = before[layer] + RANK / RANK**0.5 * (b @ a)
        made = patched.model.diffusion_model.get_submodule(layer).weight
        assert torch.allclose(made, expected, atol=1e-5), layer
    patched.detach()


def test_the_stock_loader_alone_finds_nothing_in_such_a_file(wan: Any) -> None:
    import comfy.sd

    model = wan.model(HIGH)
    patched, _ = comfy.sd.load_lora_for_models(model, None, as_peft(model), 1.0, 0.0)
    assert not patched.patches


def test_other_files(comfy: Any) -> None:
    from scene_memory.generation.story.lora import for_host

    converted = {"diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.zeros(4, 8)}
    assert for_host(converted, "file") == converted
    with pytest.raises(ValueError, match="one.safetensors holds no LoRA"):
        for_host({"blocks.0.ffn.0.weight": torch.zeros(2)}, "one.safetensors")
    with pytest.raises(ValueError, match=r"parts of blocks\.0\.ffn\.0 do not fit"):
        for_host({"base_model.model.blocks.0.ffn.0.lora_A.weight": torch.zeros(4, 8)}, "one")

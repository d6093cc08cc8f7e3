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

    from scene_memory.models.story.options import for_host

    model = wan.model(HIGH)
    lora = as_peft(model)
    before = {layer: model.model.diffusion_model.get_submodule(layer).weight.clone() for layer in LAYERS}
    patched, _ = comfy.sd.load_lora_for_models(model, None, for_host(lora, "file")[0], 1.0, 0.0)
    assert len(patched.patches) == len(LAYERS)
    comfy.model_management.load_models_gpu([patched])
    for layer in LAYERS:
        a, b = (lora[f"base_model.model.{layer}.lora_{part}.weight"] for part in "AB")
        expected = before[layer] + RANK / RANK**0.5 * (b @ a)
        made = patched.model.diffusion_model.get_submodule(layer).weight
        assert torch.allclose(made, expected, atol=1e-5), layer
    patched.detach()


@pytest.mark.parametrize("half", ["", "low_noise_model.", "high_noise_model."])
@pytest.mark.parametrize("front", ["base_model.model.", ""])
@pytest.mark.parametrize("behind", ["", ".default"])
@pytest.mark.parametrize("form", ["plain", "checkpoint"])
def test_every_form_that_the_authors_loader_takes_is_the_same_lora(
    wan: Any, half: str, front: str, behind: str, form: str
) -> None:
    from scene_memory.models.story.options import for_host

    lora = as_peft(wan.model(HIGH))
    expected, told = for_host(lora, "file")
    assert len(expected) == 3 * len(LAYERS) and not told
    renamed = {
        half + name.replace("base_model.model.", front).replace(".weight", f"{behind}.weight"): weight
        for name, weight in lora.items()
    }
    given = renamed if form == "plain" else {"trainable_state_dict": renamed, "step": 7}
    found, told = for_host(given, "file")
    assert found.keys() == expected.keys() and not told
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_converted_file_without_alpha_is_scaled_as_it_was_trained_and_says_so(wan: Any) -> None:
    from scene_memory.models.story.options import for_host

    lora = as_peft(wan.model(HIGH))
    converted = {name.replace("base_model.model.", "diffusion_model."): held for name, held in lora.items()}
    found, told = for_host(converted, "file")
    expected, _ = for_host(lora, "file")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert told.startswith(f"{len(LAYERS)} layers have no alpha.") and "0.088 for rank 128" in told
    with_alpha = {**converted, **{f"diffusion_model.{layer}.alpha": torch.tensor(2.0) for layer in LAYERS}}
    found, told = for_host(with_alpha, "file")
    assert not told and all(float(found[f"diffusion_model.{layer}.alpha"]) == 2.0 for layer in LAYERS)


def test_a_file_with_both_halves_is_refused(wan: Any) -> None:
    from scene_memory.models.story.options import for_host

    lora = as_peft(wan.model(HIGH))
    both = {half + name: weight for half in ("low_noise_model.", "high_noise_model.") for name, weight in lora.items()}
    with pytest.raises(ValueError, match="file holds the LoRAs of both models.*backbone_high_noise"):
        for_host(both, "file")


def test_the_stock_loader_alone_finds_nothing_in_such_a_file(wan: Any) -> None:
    import comfy.sd

    model = wan.model(HIGH)
    patched, _ = comfy.sd.load_lora_for_models(model, None, as_peft(model), 1.0, 0.0)
    assert not patched.patches


def test_other_files(comfy: Any) -> None:
    from scene_memory.models.story.options import for_host

    layer = "diffusion_model.blocks.0.ffn.0"
    whole = {f"{layer}.lora_A.weight": torch.zeros(4, 8), f"{layer}.lora_B.weight": torch.zeros(8, 4)}
    whole[f"{layer}.alpha"] = torch.tensor(4.0)
    assert for_host(whole, "file") == (whole, "")
    with pytest.raises(ValueError, match="one.safetensors holds no LoRA"):
        for_host({"blocks.0.ffn.0.weight": torch.zeros(2)}, "one.safetensors")
    with pytest.raises(ValueError, match=r"parts of blocks\.0\.ffn\.0 do not fit"):
        for_host({"base_model.model.blocks.0.ffn.0.lora_A.weight": torch.zeros(4, 8)}, "one")

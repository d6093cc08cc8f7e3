"""What is wrong with a folder or a file is said with its name, the field and the cure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file


def index_with(**changed: Any) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        file = home / "model_index.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))

    return change


def without(name: str) -> Callable[[Path], None]:
    def change(home: Path) -> None:
        found = home / name
        shutil.rmtree(found) if found.is_dir() else found.unlink()

    return change


def cut(home: Path) -> None:
    file = home / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def one_weight_less(home: Path) -> None:
    file = home / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["proj_out.bias"]
    save_file(weights, file)


def wider(home: Path) -> None:
    file = home / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "ffn_dim": 64}))


def named_pieces(home: Path) -> None:
    listed = home / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    listed.write_text(json.dumps({"weight_map": {"a": "piece-1.safetensors"}}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("model_index.json"), "has no model_index.json. Give the folder"),
        (index_with(_class_name="FluxPipeline"), "model_index.json: _class_name is 'FluxPipeline', expected WanPipe"),
        (index_with(vae=[None, None]), "model_index.json: vae is not named. Use a whole Wan folder"),
        (index_with(transformer_2=["diffusers", "WanTransformer3DModel"]), "has no folder 'transformer_2'"),
        (without("text_encoder"), "has no folder 'text_encoder'.*Copy the whole model"),
        (without("vae/config.json"), "vae has no config.json"),
        (without("transformer/diffusion_pytorch_model.safetensors"), "transformer has no .safetensors file"),
        (named_pieces, "transformer has no piece-1.safetensors, one of 1 files"),
        (cut, "transformer cannot be read.*Copy the folder again"),
        (one_weight_less, "transformer: The weights lack 'proj_out.bias'"),
        (wider, "transformer: 'blocks.0.ffn.net.0.proj.*has the shape.*Use the configuration"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_by_name(
    folder: Any, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    home = tmp_path / "model"
    shutil.copytree(folder("t2v"), home)
    change(home)
    with pytest.raises(ValueError, match=words) as refused:
        SceneMemoryPipeline.from_folder(home)
    assert str(home) in str(refused.value)


def test_a_folder_that_is_not_there_and_one_with_a_single_file_are_told_apart(tmp_path: Path) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    with pytest.raises(ValueError, match="There is no folder .*nowhere"):
        SceneMemoryPipeline.from_folder(tmp_path / "nowhere")
    save_file({"a": torch.zeros(1)}, tmp_path / "wan.safetensors")
    with pytest.raises(ValueError, match="A single ComfyUI file is read with transformer_from_file"):
        SceneMemoryPipeline.from_folder(tmp_path)


def test_a_pair_without_its_boundary_is_refused(folder: Any, tmp_path: Path) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    home = tmp_path / "model"
    shutil.copytree(folder("pair"), home)
    index_with(boundary_ratio=None)(home)
    with pytest.raises(ValueError, match="boundary_ratio is None.*Use 0.875"):
        SceneMemoryPipeline.from_folder(home)


def test_types_are_as_asked_and_what_must_be_exact_stays_exact(folder: Any) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    pipe = SceneMemoryPipeline.from_folder(folder("t2v"), torch_dtype={"vae": torch.float32, "default": torch.bfloat16})
    block = pipe.transformer.blocks[0]
    assert block.attn1.to_q.weight.dtype == torch.bfloat16 and block.scale_shift_table.dtype == torch.float32
    assert pipe.vae.dtype == torch.float32 and pipe.text_encoder.dtype == torch.bfloat16
    assert pipe.transformer.rope.stock.freqs_cos.dtype == torch.float32


def test_parts_that_do_not_belong_together_are_refused(folder: Any, stock: Any) -> None:
    from scene_memory.pipeline import SceneMemoryPipeline

    parts, other = stock("t2v").components, stock("ti2v").components
    with pytest.raises(ValueError, match="The VAE has latents of 48 channels, the transformer makes 16"):
        SceneMemoryPipeline(**{**parts, "vae": other["vae"]})
    with pytest.raises(ValueError, match="vae is None"):
        SceneMemoryPipeline(**{**parts, "vae": None})


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"vace_blocks.0.after_proj.weight": torch.zeros(2)}, "'vace_blocks.0.after_proj.weight'.*Use ComfyUI"),
        ({"patch_embedding.weight": torch.zeros(2, 2, dtype=torch.uint8)}, "quantized to 8 bits"),
        ({}, "The weights lack 'patch_embedding.weight'"),
    ],
)
def test_files_of_other_models_are_refused_by_what_they_hold(
    tmp_path: Path, extra: dict[str, torch.Tensor], words: str
) -> None:
    from scene_memory.pipeline import transformer_from_file

    file = tmp_path / "wan.safetensors"
    save_file({"head.modulation": torch.zeros(1, 2, 4), **extra}, file)
    with pytest.raises(ValueError, match=words) as refused:
        transformer_from_file(file)
    assert str(file) in str(refused.value)

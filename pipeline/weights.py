"""A transformer and its weights, straight from files: each weight is in RAM once, and nothing else is needed for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from safetensors import SafetensorError, safe_open
from torch import Tensor


def transformer_with(config: Mapping[str, Any], weights: Mapping[str, Tensor], dtype: torch.dtype) -> Any:
    """A transformer of diffusers with these weights in ``dtype``; what diffusers keeps exact is float32.

    Raises:
        ValueError: weights are missing, too many or of another shape.
    """
    with torch.device("meta"):
        network = WanTransformer3DModel.from_config(dict(config))
    expected = network.state_dict()
    if missing := sorted(set(expected) - set(weights)):
        raise ValueError(f"The weights lack {missing[0]!r} and {len(missing) - 1} more. Copy the whole file again.")
    found: dict[str, Tensor] = {}
    exact = tuple(WanTransformer3DModel._keep_in_fp32_modules)
    for name, place in expected.items():
        value = weights[name]
        if value.shape != place.shape:
            raise ValueError(
                f"{name!r} has the shape {tuple(value.shape)}, but the configuration makes it {tuple(place.shape)}. "
                "Use the configuration that belongs to the weights."
            )
        found[name] = value.to(torch.float32 if any(part in name for part in exact) else dtype)
    network.load_state_dict(found, assign=True)
    # RoPE's own numbers are in no file.
    kept = network.config
    network.rope = type(network.rope)(kept.attention_head_dim, kept.patch_size, kept.rope_max_seq_len)
    return network.eval()


def transformer_from_folder(folder: Path, dtype: torch.dtype) -> Any:
    """The transformer in a folder of diffusers': config.json and safetensors, one file or several.

    Raises:
        ValueError: with the folder, what is wrong with it and what to do.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = dict(_tensors(folder))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} cannot be read: {error}. Copy the folder again.") from error
    try:
        return transformer_with(config, weights, dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder}: {error}") from error


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    lists = sorted(folder.glob("*.safetensors.index.json"))
    if lists:
        named = json.loads(lists[0].read_text(encoding="utf-8")).get("weight_map", {})
        files = [folder / str(name) for name in sorted(set(named.values()))]
    else:
        usual = folder / "diffusion_pytorch_model.safetensors"
        files = [usual] if usual.is_file() else sorted(folder.glob("*.safetensors"))[:1]
    for path in files:
        yield from read_tensors(path)


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a safetensors file, one at a time."""
    with safe_open(str(path), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)

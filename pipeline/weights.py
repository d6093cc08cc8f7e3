"""A transformer and its weights: straight from files, each in RAM once, and a hash that tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

RECIPE = "scene-memory-pipeline-1"
"""Changed whenever the loop changes what a segment looks like."""

SAMPLED = 4096
"""Numbers of a weight that are looked at, evenly spread; smaller ones are taken whole."""



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
    for name, parameter in expected.items():
        value = weights[name]
        if value.shape != parameter.shape:
            raise ValueError(
                f"{name!r} has the shape {tuple(value.shape)}, but the configuration makes it "
                f"{tuple(parameter.shape)}. Use the configuration that belongs to the weights."
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
    """Names and tensors of a safetensors file, one at a time, each of the shape that it was saved in."""
    with safe_open(str(path), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


class Fingerprint:
    """A hash that grows part by part; a part is hashed with its length, so that no two rows of parts are alike."""

    def __init__(self, start: str = RECIPE) -> None:
        self._hash = hashlib.sha256()
        self.add(start)

    def add(self, *parts: Any) -> Fingerprint:
        """Takes in texts, numbers and other values with a plain ``repr``, arrays and tensors."""
        for part in parts:
            if isinstance(part, Tensor):
                part = part.detach().cpu()
                self._update(repr((part.dtype, tuple(part.shape))).encode())
                self._update(part.contiguous().flatten().view(torch.uint8).numpy().tobytes())
            elif isinstance(part, np.ndarray):
                self._update(repr((part.dtype.str, part.shape)).encode())
                self._update(np.ascontiguousarray(part).tobytes())
            else:
                self._update((part if isinstance(part, str) else repr(part)).encode())
        return self

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()

    def _update(self, data: bytes) -> None:
        self._hash.update(len(data).to_bytes(8, "little"))
        self._hash.update(data)


def weights_identity(network: nn.Module | None) -> str | None:
    """A hash of a network's classes, configuration and a sample of its weights; None where they cannot be seen.

    Adapters count: their weights have names of their own, and their strength is an attribute of the layer.
    """
    whole = Fingerprint("network")
    if network is None:
        return whole.hexdigest()
    config = getattr(network, "config", {})
    whole.add(json.dumps({name: str(config[name]) for name in sorted(config) if not name.startswith("_")}))
    for name, part in network.named_modules():
        whole.add(name, type(part).__qualname__)
        if isinstance(scaling := getattr(part, "scaling", None), dict):
            whole.add(sorted(scaling.items()), getattr(part, "active_adapters", None))
        if isinstance(scale := getattr(part, "scale", None), float):
            whole.add(scale)
    for name, weight in network.state_dict().items():
        if not isinstance(weight, Tensor):
            continue
        if weight.device.type == "meta":
            return None
        flat = weight.detach().flatten()
        step = max(1, -(-len(flat) // SAMPLED))
        whole.add(name, tuple(weight.shape), flat[::step])
    return whole.hexdigest()

"""A segment's key: the hash of all that determines it, so that what is in the bank already is loaded, not made."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..memory.cameras.trajectory import Trajectory

RECIPE = "scene-memory-pipeline-1"
"""Changed whenever the loop changes what a segment looks like."""

SAMPLED = 4096
"""Numbers of a weight that are looked at, evenly spread; smaller ones are taken whole."""


class Fingerprint:
    """A hash that grows part by part; a part is told with its length, so that no two rows of parts are alike."""

    def __init__(self, start: str = RECIPE) -> None:
        self._hash = hashlib.sha256()
        self.add(start)

    def add(self, *parts: Any) -> Fingerprint:
        """Takes in texts, numbers and other values with a plain ``repr``, arrays and tensors."""
        for part in parts:
            if isinstance(part, Tensor):
                part = part.detach().cpu()
                self._told(repr((part.dtype, tuple(part.shape))).encode())
                self._told(part.contiguous().flatten().view(torch.uint8).numpy().tobytes())
            elif isinstance(part, np.ndarray):
                self._told(repr((part.dtype.str, part.shape)).encode())
                self._told(np.ascontiguousarray(part).tobytes())
            else:
                self._told((part if isinstance(part, str) else repr(part)).encode())
        return self

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()

    def _told(self, data: bytes) -> None:
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


def path_parts(path: Trajectory) -> tuple[Any, ...]:
    """What of a camera path determines a segment."""
    return len(path), path.fps, path.poses, path.intrinsics

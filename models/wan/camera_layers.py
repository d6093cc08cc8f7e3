"""Echo-Memory's camera layers: what its Context-as-Memory weights have beside Wan 2.1's, and the host leaves out.

In front of each block every token gets the camera of its frame, 12 numbers through one linear layer, and then, where
the weights have it, attends along time to the same token of all other frames, without positions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import comfy.conds
import comfy.model_patcher
import comfy.ops
import numpy as np
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ...memory.cameras.camera import rigid_inverse
from ..blocks import Arguments, with_block_arguments, with_wrappers

ATTACHMENT = "scene_memory_camera_layers"
CAMERAS = "scene_memory_cameras"
NUMBERS = 12
OTHER_KINDS = ("block_wise_ssm", "framepack")
"""Other rows of the same release, whose files have the same name (epoch-0.safetensors)."""

CENTIMETRES = 100.0
"""Echo-Memory's lengths are Unreal's; a scene unit of ours is about a metre."""

_KEY = re.compile(
    r"(?:^|\.)blocks\.(\d+)\.(action_mlp\.proj|self_attn_with_action\.(?:q|k|v|o|norm_q|norm_k))\.(weight|bias)$"
)
_TO_UNREAL = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Ours (right, down, forward) to forward, right, up."""


class CameraLayer(nn.Module):
    """One block's layers: ``blocks.N.action_mlp`` and perhaps ``blocks.N.self_attn_with_action``."""

    def __init__(self, weights: dict[str, Tensor], heads: int, dtype: torch.dtype) -> None:
        super().__init__()
        # In the dtype that the network computes in, so that nothing is cast at every pass.
        cast = comfy.ops.disable_weight_init
        dim = weights["action_mlp.proj.weight"].shape[0]
        self.heads = heads
        self.action_mlp = nn.ModuleDict({"proj": cast.Linear(NUMBERS, dim, dtype=dtype)})
        self.self_attn_with_action: nn.ModuleDict | None = None
        if any(name.startswith("self_attn_with_action.") for name in weights):
            parts: dict[str, nn.Module] = {part: cast.Linear(dim, dim, dtype=dtype) for part in "qkvo"}
            parts |= {part: cast.RMSNorm(dim, eps=1e-6, dtype=dtype) for part in ("norm_q", "norm_k")}
            self.self_attn_with_action = nn.ModuleDict(parts)
        self.load_state_dict(weights, strict=True)

    def forward(self, x: Tensor, cameras: Tensor) -> Tensor:
        """Tokens (B, F x n, dim) that know the cameras (B, F, 12) of their frames."""
        frames = cameras.shape[1]
        aware = x.unflatten(1, (frames, -1)) + self.action_mlp["proj"](cameras.to(x))[:, :, None]
        if self.self_attn_with_action is None:
            return aware.flatten(1, 2)
        part = self.self_attn_with_action
        along = aware.transpose(1, 2).flatten(0, 1)
        q, k = part["norm_q"](part["q"](along)), part["norm_k"](part["k"](along))
        seen = part["o"](optimized_attention(q, k, part["v"](along), heads=self.heads))
        return x + seen.unflatten(0, (len(x), -1)).transpose(1, 2).flatten(1, 2)


class CameraLayers(nn.Module):
    """The layers of all blocks, for a MODEL beside which the host loads, counts and offloads them."""

    def __init__(self, layers: list[CameraLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)


_managed: WeakKeyDictionary[CameraLayers, Any] = WeakKeyDictionary()


def with_camera_layers(model: Any, layers: CameraLayers) -> Any:
    """A copy of a MODEL in which the layers run in front of the blocks."""
    if layers not in _managed:
        # Around the layers, so that what the host notes on what it manages is no part of what these are.
        _managed[layers] = comfy.model_patcher.CoreModelPatcher(
            model=nn.Sequential(layers.layers), load_device=model.load_device, offload_device=model.offload_device
        )
    patched = with_wrappers(model, ATTACHMENT, {WrappersMP.DIFFUSION_MODEL: cameras_in_front(layers)})
    patched.set_additional_models(key=ATTACHMENT, models=[_managed[layers]])
    return patched


def read_camera_layers(path: Path, model: Any) -> CameraLayers:
    """The camera layers in a diffusion model's file, for a MODEL that the host loaded from it.

    Raises:
        ValueError: the file has none, has layers of another kind beside them, or they do not fit the network.
    """
    network = model.model.diffusion_model
    dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    if path.suffix != ".safetensors":
        raise ValueError(
            f"camera_layers is {path.name}: camera layers are read from .safetensors files only. Choose Echo-Memory's "
            "own file here; the model itself may be a GGUF file."
        )
    found: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            check_kind(path.name, list(file.keys()), network)
            for key in file.keys():
                if match := _KEY.search(key):
                    found.setdefault(int(match[1]), {})[f"{match[2]}.{match[3]}"] = file.get_tensor(key).to(dtype)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}. Load the file anew.") from error
    if not found:
        raise ValueError(
            f"{path.name} has no camera layers (blocks.0.action_mlp.proj.weight). Use a file of Echo-Memory, such as "
            "context_k1/epoch-0.safetensors, or 'none'."
        )
    blocks = range(len(network.blocks))
    try:
        layers = [CameraLayer(found[block], network.num_heads, dtype) for block in blocks]
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"The camera layers of {path.name} are not whole ({error}): load the file anew, or use 'none'."
        ) from error
    if layers[0].action_mlp["proj"].weight.shape[0] != network.dim or sorted(found) != list(blocks):
        raise ValueError(
            f"The camera layers of {path.name} are for another model than the one that is connected. "
            "Load the same file in both places."
        )
    return CameraLayers(layers).eval().requires_grad_(False)


def check_kind(name: str, keys: list[str], network: Any) -> None:
    """Refuses a file with weights that neither the network nor these layers have: without them it is another model.

    Raises:
        ValueError: names the first of them.
    """
    known = set(network.state_dict())
    others = [key for key in keys if not _KEY.search(key) and not known.intersection(_tails(key))]
    if others:
        kind = next((kind for kind in OTHER_KINDS if any(kind in key for key in others)), "")
        what = f"Echo-Memory's {kind} checkpoint" if kind else "a checkpoint of another kind"
        raise ValueError(
            f"{name} holds {len(others)} weights that are not known here ({others[0]}): it is {what}, and would be "
            "read in part only. Use Echo-Memory's context_k1/epoch-0.safetensors."
        )


def _tails(key: str) -> set[str]:
    """A key without each prefix that a loader may strip."""
    parts = key.split(".")
    return {".".join(parts[cut:]) for cut in range(len(parts))}


def camera_rows(
    poses: NDArray[np.float64], first: NDArray[np.float64], scale: float = CENTIMETRES
) -> NDArray[np.float64]:
    """Cameras (n, 12) as Echo-Memory was trained with: translation and rotation seen from the first camera.

    Unreal's axes, in the plane, about the vertical only: [x, y, 0, rotation by the yaw row by row].
    """
    seen = rigid_inverse(first) @ poses
    rotation = _TO_UNREAL @ seen[:, :3, :3] @ _TO_UNREAL.T
    translation = scale * seen[:, :3, 3] @ _TO_UNREAL.T
    yaw = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    c, s, zero, one = np.cos(yaw), np.sin(yaw), np.zeros(len(yaw)), np.ones(len(yaw))
    return np.stack([translation[:, 0], translation[:, 1], zero, c, -s, zero, s, c, zero, zero, zero, one], axis=1)


def camera_conditions(own: NDArray[np.float64], context: NDArray[np.float64]) -> dict[str, Any]:
    """``model_conds`` that bring the cameras of latent frames being made (T, 12) and of context frames (K, 12)."""
    rows = [torch.from_numpy(part).float()[None] for part in (own, context) if len(part)]
    return {CAMERAS: comfy.conds.CONDList(cond=rows)}


def cameras_in_front(layers: CameraLayers) -> Callable[..., Tensor]:
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL) that runs the layers in front of the blocks, for ``x``
    (B, C, T, h, w) and the cameras (1, T, 12) and (1, K, 12) under CAMERAS.

    It raises ValueError where there are cameras for another number of latent frames.
    """

    def wrapper(executor: Any, x: Tensor, t: Tensor, text: Tensor, clip: Any = None, concat: Any = None,
                transformer_options: dict[str, Any] | None = None, **conds: Any) -> Tensor:  # fmt: skip
        options, rows = dict(transformer_options or {}), conds.pop(CAMERAS, None)
        if rows is not None:
            own, *context = rows
            window = options.get("context_window")
            if own.shape[1] != x.shape[2] and window is not None:
                # A window that is not the first has a frame from before it in front, which the host cuts off again.
                anchor = getattr(window, "causal_anchor_index", None)
                before = [] if anchor is None or anchor < 0 else [anchor]
                own = own[:, [*before, *window.index_list]]
            if own.shape[1] != x.shape[2]:
                raise ValueError(f"There are cameras for {own.shape[1]} latent frames of {x.shape[2]}.")
            cameras = torch.cat([own, *context], dim=1)
            options = with_block_arguments(options, [_in_front(layer, cameras) for layer in layers.layers])
        result: Tensor = executor(x, t, text, clip, concat, options, **conds)
        return result

    return wrapper


def _in_front(layer: nn.Module, cameras: Tensor) -> Callable[[Arguments], Arguments]:
    return lambda given: {**given, "img": layer(given["img"], cameras)}

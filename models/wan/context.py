"""Remembered frames in the sequence of a Wan: appended clean, with times and positions of their own, and cut off again.

Context-as-Memory (section 4.2) appends context frames on the frame axis. Here one wrapper around the network does it;
the host appends ``time_dim_concat`` to the frames and crops the result by itself. What differs from segment to segment
comes with the conditioning, so that nothing of the MODEL is changed and positive and negative are computed together.

The host reckons memory by the latent's shape alone; context frames take as much as frames being made, and a second
wrapper says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from comfy.ldm.wan.model import WanModel, sinusoidal_embedding_1d
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..blocks import rotary, with_block_arguments, with_wrappers
from ..moc.layout import appended_context, with_described_blocks
from .options import ContextPositions
from .timesteps import as_input, noised, with_context_times

WRAPPER_KEY = "scene_memory"
CONTEXT, PLAN = "scene_memory_context", "scene_memory_context_plan"
FACTOR_CONDS = "memory_usage_factor_conds"
ACTIVATIONS = 15
"""Tensors of a segment's tokens that a block of Wan has alive at once, its feed-forward included, as measured."""


@dataclass(frozen=True)
class ContextPlan:
    """How the context of one segment enters: its positions in time, and at which time (options.TIMES without AUTO)."""

    positions: ContextPositions
    times: str


class ContextCond(comfy.conds.CONDList):  # type: ignore[misc]
    """Latents (1, C, K, h, w) in model space, noise of that shape, and for Fun Camera their cameras (1, 24, K, H, W).

    A list, because the host cuts plain tensors of as many frames as the segment into its context windows.
    """

    def size(self) -> list[int]:
        """What the host reckons memory with."""
        return list(self.cond[0].shape)


def conditions(plan: ContextPlan, latents: Tensor, noise: Tensor, cameras: Tensor | None) -> dict[str, Any]:
    """``model_conds`` that bring a segment's context to the network: the parts of a ``ContextCond``, latents and noise
    (1, C, K, h, w) and perhaps cameras (1, 24, K, H, W), and how they enter."""
    parts = [latents, noise] if cameras is None else [latents, noise, cameras]
    return {CONTEXT: ContextCond(cond=parts), PLAN: comfy.conds.CONDConstant(cond=plan)}


def with_context(model: Any) -> Any:
    """A copy of a MODEL in which the context of the conditioning is appended, and reckoned with."""
    wrappers = {WrappersMP.DIFFUSION_MODEL: append_context, WrappersMP.PREPARE_SAMPLING: reckon_context}
    patched = with_wrappers(model, WRAPPER_KEY, wrappers)
    counted = tuple(patched.get_model_object(name=FACTOR_CONDS))
    patched.add_object_patch(name=FACTOR_CONDS, obj=counted if CONTEXT in counted else (*counted, CONTEXT))
    return patched


def append_context(
    executor: Any,
    x: Tensor,
    timestep: Tensor,
    context: Tensor,
    clip_fea: Tensor | None = None,
    time_dim_concat: Tensor | None = None,
    transformer_options: dict[str, Any] | None = None,
    **conds: Any,
) -> Tensor:
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL): the network's answer (B, C, T, h, w) to ``x`` of that size.

    ``timestep`` is (B,) or (B, T), ``context`` the encoded text (B, L, width). Without remembered frames under CONTEXT
    it hands everything on as it came.
    """
    options = transformer_options or {}
    parts, plan = conds.pop(CONTEXT, None), conds.pop(PLAN, None)
    if parts is None:
        result: Tensor = executor(x, timestep, context, clip_fea, time_dim_concat, options, **conds)
        return result
    network = executor.class_obj
    latents, noise = (part.to(x) for part in parts[:2])
    appended = as_input(noised(latents, noise, plan.times, options), latents, x.shape[1])
    if time_dim_concat is not None:
        # Frames that other nodes have appended count as the segment's own.
        appended = torch.cat([time_dim_concat.to(appended), appended], dim=2)
    count, height, width = len(plan.positions), *x.shape[-2:]
    own = x.shape[2] + appended.shape[2] - count
    if conds.get("camera_conditions") is not None and len(parts) > 2:
        conds["camera_conditions"] = torch.cat([conds["camera_conditions"], parts[2].to(x)], dim=2)
    times = with_context_times(timestep, own, count, plan.times)
    changed: dict[str, Any] = {}
    if times.ndim == 2 and not takes_frame_times(network):
        changed["vec"], times = modulation(network, times, x), timestep
    changed["pe"] = rotary(network, x, options, own, behind=plan.positions.at(own))
    patch_h, patch_w = network.patch_size[1:]
    layout = appended_context(-(-height // patch_h) * -(-width // patch_w), own, count)
    options = with_block_arguments(options, [lambda given: {**given, **changed}] * len(network.blocks))
    options = with_described_blocks(options, layout, len(network.blocks))
    result = executor(x, times, context, clip_fea, appended, options, **conds)
    return result


def takes_frame_times(network: Any) -> bool:
    """Whether the network's own forward takes a timestep for each frame. Fun Camera and VACE take one for all."""
    return type(network).forward_orig is WanModel.forward_orig


def modulation(network: Any, times: Tensor, like: Tensor) -> Tensor:
    """What the blocks get of the time (B, frames, 6, dim), for networks that compute it for one time only."""
    count = times.shape[1]
    embedded = sinusoidal_embedding_1d(dim=network.freq_dim, position=times.flatten()).to(like.dtype)
    embedded = network.time_embedding(embedded).unflatten(0, (-1, count))
    result: Tensor = network.time_projection(embedded).unflatten(2, (6, network.dim))
    return result


def reckon_context(executor: Any, model: Any, noise_shape: Any, conds: dict[str, Any], *rest: Any, **named: Any) -> Any:
    """Wrapper (host's WrappersMP.PREPARE_SAMPLING): room for the context when the host loads the MODEL."""
    network, shape = model.model.diffusion_model, list(noise_shape)
    counts = [
        frames_worth(cond["model_conds"][CONTEXT], network, shape[2])
        for kind in conds.values()
        for cond in kind
        if CONTEXT in cond.get("model_conds", {})
    ]
    shape[2] += max(counts, default=0)
    return executor(model, shape, conds, *rest, **named)


def frames_worth(context: ContextCond, network: Any, own: int) -> int:
    """Frames being made that take as much memory as the context beside ``own`` of them.

    As many as it has; and for Fun Camera its rays, at the size of the pictures: those of the context, and all of them
    once more, joined to one tensor while the host keeps the segment's own.
    """
    count, height, width = context.size()[2:]
    if len(context.cond) < 3:
        return count
    patch_h, patch_w = network.patch_size[1:]
    tokens = -(-height // patch_h) * -(-width // patch_w)
    rays = context.cond[2][:, :, :1].numel() * (own + 2 * count)
    return count + round(rays / (ACTIVATIONS * network.dim * tokens))

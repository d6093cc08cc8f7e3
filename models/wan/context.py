"""Remembered frames in the sequence of a Wan: appended clean, with times and places of their own, and cut off again.

Context-as-Memory (section 4.2) appends context frames on the frame axis. Here one wrapper around the network does it;
the host appends ``time_dim_concat`` to the frames and crops the result by itself. What differs from segment to segment
comes with the conditioning, so that nothing of the MODEL is changed and positive and negative are computed together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ..blocks import rotary, with_block_arguments
from ..moc.layout import appended_context, with_described_blocks
from .channels import as_input
from .positions import ContextPositions
from .timesteps import modulation, noised, takes_frame_times, with_context_times

WRAPPER_KEY = "scene_memory"
CONTEXT, PLAN = "scene_memory_context", "scene_memory_context_plan"


@dataclass(frozen=True)
class ContextPlan:
    """How the context of one segment enters: its places in time, and at which time (options.TIMES without AUTO)."""

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
    """``model_conds`` that bring a segment's context to the network."""
    parts = [latents, noise] if cameras is None else [latents, noise, cameras]
    return {CONTEXT: ContextCond(cond=parts), PLAN: comfy.conds.CONDConstant(cond=plan)}


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
    """The wrapper (host's WrappersMP.DIFFUSION_MODEL). Without a context it hands everything on as it came."""
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

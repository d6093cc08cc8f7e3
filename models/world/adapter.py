"""Adapter of the bundled world model."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import node_helpers
import numpy as np
import torch
from numpy.typing import NDArray

from ...film.plan import MEMORY_WAYS, ShotPlan
from ...film.segment import ContextFrames, Segment
from ...world.network import PATCH
from ..host import CONDITION_KEY
from ..host.adapter import Adapter
from ..host.sampling import Conditioned, Conditioning
from .diffusion import WorldDiffusion


class WorldAdapter(Adapter):
    """Context frames, known pixels and cameras reach the model through its own conditions; see
    WorldModel.extra_conds."""

    turn = 10
    name = "the world model"
    version = 3
    default_segment = 8
    longest_segment = 16
    default_size = (96, 60)
    size_multiple = PATCH
    context_without_retriever = 5
    most_context = 20
    describes_tokens = True
    listed = ("the model of Load World Model",)
    frame_numbers = False
    memory_ways = MEMORY_WAYS

    @staticmethod
    def serves(model: Any) -> bool:
        """Whether a MODEL is that of Load World Model."""
        return isinstance(getattr(model.model, "diffusion_model", None), WorldDiffusion)

    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Conditioned:
        """Conditioning that carries the segment as it is, and an empty latent (1, 3, F, H, W)."""
        carried = {CONDITION_KEY: segment}
        latent = torch.zeros(
            [1, 3, len(segment), segment.height, segment.width], device=comfy.model_management.intermediate_device()
        )
        mask, view = None, segment.view
        if view is not None and view.held:
            mask = torch.from_numpy(~view.known).to(latent)[None, None]
            latent = (torch.from_numpy(view.pictures).to(latent).permute(3, 0, 1, 2)[None] / 127.5 - 1) * (1 - mask)
        return Conditioned(
            positive=node_helpers.conditioning_set_values(conditioning=positive, values=carried),
            negative=None if negative is None else node_helpers.conditioning_set_values(
                conditioning=negative, values=carried
            ),
            latent=latent,
            mask=mask,
        )

    def depth_of(self, plan: ShotPlan, frames: ContextFrames) -> NDArray[np.float32]:
        """The z-depth (K, H, W) in scene units that the network reads in K frames."""
        comfy.model_management.load_models_gpu(models=[plan.model])
        return plan.model.model.read_depth(frames, plan.model.load_device)

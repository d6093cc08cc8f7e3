"""Adapter of the bundled world model."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import node_helpers
import torch

from ...film.segment import Segment
from ...world.network import PATCH
from ..host import CONDITION_KEY
from ..host.adapter import Adapter
from ..host.sampling import Conditioned, Conditioning
from .diffusion import WorldDiffusion


class WorldAdapter(Adapter):
    """Context frames and cameras reach the model through its own conditions; see WorldModel.extra_conds."""

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
        return Conditioned(
            positive=node_helpers.conditioning_set_values(conditioning=positive, values=carried),
            negative=None if negative is None else node_helpers.conditioning_set_values(
                conditioning=negative, values=carried
            ),
            latent=latent,
        )

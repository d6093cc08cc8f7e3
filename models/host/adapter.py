"""What joins a family of ComfyUI's models to the film loop: found by looking at a MODEL, it prepares its segments."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...film.identity import NoIdentity
from ...film.keys import ShotKey
from ...film.latents import ContextLatents
from ...film.model import OnStep, Pixels, VideoModel
from ...film.plan import ShotPlan
from ...film.segment import Segment
from .calls import HostNode
from .identity import latent_space, shot_key
from .sampling import Conditioned, Conditioning, decoded, sample

log = logging.getLogger(__name__)


class Adapter(VideoModel):
    """A family of ComfyUI's models with a memory: host, sampler and VAE are the same for all, ``prepare`` is its own.

    So that MoC Sparse Sampler can route a model, its adapter publishes what the tokens are while the model runs, in a
    copy of ``transformer_options`` (see ``models/moc/layout.py``):

    - LAYOUT_KEY: the MocLayout of the self-attention's queries and keys, context frames in the order of
      ``Segment.context``, one chunk each;
    - ROUTABLE_KEY: the mark of exactly the attention that is meant. True while nothing else asks (the world model sets
      it for its only attention), or a fresh ``FirstCall`` for each pass through a block whose self-attention comes
      first. ``with_described_blocks`` does both for models like Wan;
    - "block_index": the number of the layer, which the host's models set themselves.

    Attention without layout and mark, with a mask, or of another size than the layout's is left to the model's own
    backend.
    """

    turn: int = 100
    """When it is asked whether it serves a MODEL: the lower, the sooner, and the first that does is taken."""

    listed: tuple[str, ...] = ()
    """What it serves, in the words of a list of all models, for refusals."""

    files: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The files of each public model that it serves, by the name of the model in docs/models.md; VAEs too."""

    describes_tokens: bool = False
    """Whether it publishes LAYOUT_KEY and ROUTABLE_KEY, so that attention can be routed."""

    context_latents: bool = False
    """Whether the model looks at context frames as latents of the VAE. Latents are then kept beside the frames."""

    host_nodes: tuple[HostNode, ...] = ()
    """Nodes of the host that ``prepare`` calls."""

    @staticmethod
    @abstractmethod
    def serves(model: Any) -> bool:
        """Whether this adapter knows the MODEL, by looking at it."""

    @classmethod
    def for_model(cls, model: Any) -> Adapter:
        """The adapter of a MODEL that it serves."""
        return cls()

    @abstractmethod
    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Conditioned:
        """Conditioning and latent for a segment. Nothing that is passed in is changed.

        Raises ValueError where MODEL, VAE and conditioning do not go together.
        """

    def sample(self, plan: ShotPlan, segment: Segment, seed: int, on_step: OnStep) -> Tensor:
        """The latent (1, C, T, h, w) of a segment, by the host's sampler. Raises ValueError as ``prepare`` does."""
        conditioned = self.prepare(plan.model, plan.positive, plan.negative, segment, plan.vae)
        return sample(plan.model, conditioned, plan.sampler, plan.sigmas, cfg=plan.cfg, seed=seed, on_step=on_step)

    def decode(self, plan: ShotPlan, latent: Tensor) -> Pixels:
        """The pictures (F, H, W, 3) uint8 of a latent (1, C, T, h, w), by the host's VAE."""
        return decoded(plan.vae, latent)

    def latents(self, vae: Any) -> ContextLatents | None:
        return latents_of(vae) if self.context_latents else None

    def shot_key(self, plan: ShotPlan, size: tuple[int, int]) -> ShotKey:
        return shot_key(
            adapter=(self.name, self.version),
            model=plan.model,
            vae=plan.vae,
            conditioning=(plan.positive, plan.negative),
            sampler=plan.sampler,
            sigmas=plan.sigmas,
            numbers=(plan.cfg, size),
        )

    def check_interrupted(self) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()


def latents_of(vae: Any) -> ContextLatents:
    """Latents of frames in the space of a VAE of the host's."""
    try:
        space = latent_space(vae)
    except NoIdentity as nothing:
        log.info("Latents are not kept beside the frames: %s.", nothing)
        space = ""

    def encode(picture: Pixels) -> Tensor:
        latent: Tensor = vae.encode(torch.from_numpy(picture)[None].float() / 255).detach()
        return latent[0, :, 0].cpu()

    return ContextLatents(space, encode)

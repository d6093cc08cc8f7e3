"""A cheap identity of a MODEL, a VAE and a CLIP: what they are, a sample of their weights, and every patch on them."""

from __future__ import annotations

import hashlib
from typing import Any

import comfy.ldm.modules.attention
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP, VAE
from torch import Tensor

from .identity import Identity

SAMPLED_NUMBERS = 16_384
"""Weights looked at in a whole network."""

_PATCHES = (
    "object_patches",
    "weight_wrapper_patches",
    "model_options",
    "wrappers",
    "callbacks",
    "injections",
    "attachments",
    "additional_models",
    "hook_patches",
    "current_hooks",
    "forced_hooks",
    "force_cast_weights",
    "load_device",
)
_VAE_WHERE = ("patcher", "device", "output_device", "offload_device", "size")


def identity() -> Identity:
    """An ``Identity`` that knows the host's models."""
    return Identity({ModelPatcher: _tell_model, VAE: _tell_vae, CLIP: _tell_clip})


def latent_space(vae: Any) -> str:
    """What latents of this VAE are told apart by: 64 hex digits, equal where a latent means the same picture.

    Raises:
        NoIdentity: nothing is known of the VAE.
    """
    return hashlib.sha256(identity().add("vae", vae).hexdigest().encode()).hexdigest()


def _tell_model(into: Identity, patcher: ModelPatcher) -> None:
    inner = patcher.model
    into.add("attention", comfy.ldm.modules.attention.optimized_attention.__name__)
    for name in ("model_type", "model_config", "latent_format", "manual_cast_dtype"):
        into.add(name, getattr(inner, name, None))
    into.add("sampling", patcher.get_model_object("model_sampling"))
    # The network alone: beside it the host leaves what another copy of this MODEL has patched in.
    network = inner.diffusion_model
    into.managed(network, _unpatched(patcher, "diffusion_model."), _sample(network))
    into.add("patches", patcher.patches, sample=64)
    for name in _PATCHES:
        into.add(name, getattr(patcher, name, None), sample=64)


def _tell_vae(into: Identity, vae: VAE) -> None:
    network = vae.first_stage_model
    for name, held in sorted(vars(vae).items()):
        if name not in _VAE_WHERE and held is not network:
            into.add(name, held)
    into.managed(network, _unpatched(vae.patcher, ""), _sample(network))
    into.add("patches", vae.patcher.patches, sample=64)


def _tell_clip(into: Identity, clip: CLIP) -> None:
    network, patcher = clip.cond_stage_model, clip.patcher
    for name in ("layer_idx", "use_clip_schedule", "apply_hooks_to_conds", "tokenizer_options"):
        into.add(name, getattr(clip, name, None))
    into.add("tokenizer", type(clip.tokenizer))
    into.managed(network, _unpatched(patcher, ""), _sample(network))
    into.add("patches", patcher.patches, sample=64)
    for name in ("object_patches", "hook_patches", "forced_hooks"):
        into.add(name, getattr(patcher, name, None), sample=64)


def _unpatched(patcher: ModelPatcher, prefix: str) -> dict[str, Tensor]:
    """Weights as they were before the host wrote patches over them, by their names below a prefix."""
    kept = {name: part.weight for name, part in patcher.backup.items()}
    kept |= {name: part[0] for name, part in patcher.hook_backup.items()}
    return {name.removeprefix(prefix): weight for name, weight in kept.items()}


def _sample(network: Any) -> int:
    return max(16, SAMPLED_NUMBERS // max(1, sum(1 for _ in network.parameters())))

"""A cheap identity of a MODEL, a VAE and a CLIP: what they are, a sample of their weights, and every patch on them.

Hashed is what determines pictures. What the host finds out of the weights by itself (its configuration), how it moves
and casts them, and on which device, is not: with an update of the host that would change without a pixel changing.
"""

from __future__ import annotations

import hashlib
from typing import Any

import comfy.hooks
import comfy.ldm.modules.attention
from comfy.latent_formats import LatentFormat
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP, VAE
from torch import Tensor, nn

from ...film.identity import Identity, class_name
from ...film.keys import ShotKey
from . import CHOOSES_ONLY

SAMPLED_NUMBERS = 16_384
"""Weights looked at in a whole network."""

_HOST = frozenset(
    {"comfy", "comfy_api", "comfy_api_nodes", "comfy_execution", "comfy_extras", "latent_preview", "node_helpers",
     "nodes", "server"}
)  # fmt: skip
_BOOKKEEPING = (
    "comfy_", "prev_comfy_", "weight_function", "bias_function", "weight_comfy_", "bias_comfy_", "weight_lowvram",
    "bias_lowvram",
)  # fmt: skip
"""What the host's memory management hangs on layers."""

_PATCHES = (
    "weight_wrapper_patches",
    "model_options",
    "wrappers",
    "callbacks",
    "injections",
    "additional_models",
    "hook_patches",
    "forced_hooks",
    "force_cast_weights",
)
_LATENT = ("scale_factor", "shift_factor", "latents_mean", "latents_std")
_VAE = ("vae_dtype", "latent_channels", "latent_dim", "output_channels", "crop_input", "not_video")
_CLIP = ("layer_idx", "use_clip_schedule", "apply_hooks_to_conds", "tokenizer_options")


def identity() -> Identity:
    """An ``Identity`` that knows the host's models."""
    return Identity(
        {
            ModelPatcher: _hash_model,
            VAE: _hash_vae,
            CLIP: _hash_clip,
            LatentFormat: _hash_latents,
            # A mark by which patches find their hook: which one it is, its path in the whole says.
            comfy.hooks._HookRef: lambda into, mark: into.add("hook", None),
        },
        _HOST,
        _BOOKKEEPING,
    )


def shot_key(**ingredients: Any) -> ShotKey:
    """What all segments of a shot share, by name.

    Raises:
        NoIdentity: something has no identity; the message says what.
    """
    return ShotKey.of(identity(), **ingredients)


def model_kind(model: Any) -> str:
    """The host's name for a MODEL's family; of a Wan also what tells its kinds apart."""
    kind = type(model.model).__name__
    channels = getattr(getattr(model.model, "diffusion_model", None), "in_dim", None)
    return f"{kind} with {channels} channels" if channels and kind.startswith("WAN") else kind


def latent_space(vae: Any) -> str:
    """The identity of a VAE's latent space: 64 hex digits, equal where a latent means the same picture.

    Raises:
        NoIdentity: nothing is known of the VAE.
    """
    return hashlib.sha256(identity().add("vae", vae).hexdigest().encode()).hexdigest()


def network_identity(patcher: Any) -> str:
    """The identity of a network that a ModelPatcher holds, with the patches on it: 64 hex digits.

    Raises:
        NoIdentity: something in it has no identity; the message says what.
    """
    into = identity().add("network", class_name(type(patcher.model)))
    _hash_network(into, patcher, "")
    for name in ("object_patches", "model_options", "wrappers"):
        into.add(name, getattr(patcher, name, None), sample=64)
    return into.hexdigest()


def _hash_model(into: Identity, patcher: ModelPatcher) -> None:
    inner = patcher.model
    if not hasattr(inner, "diffusion_model"):
        into.add("model patch", class_name(type(inner)))
        return _hash_network(into, patcher, "")
    into.add("model", class_name(type(inner)))
    into.add("attention", comfy.ldm.modules.attention.optimized_attention.__name__)
    into.add("type", getattr(inner, "model_type", None))
    into.add("latents", getattr(inner, "latent_format", None))
    into.add("computes in", getattr(inner, "manual_cast_dtype", None))
    into.add("optimizations", vars(getattr(inner, "model_config", None) or object).get("optimizations"))
    _hash_sampling(into, patcher.get_model_object(name="model_sampling"))
    # The network alone: beside it the host leaves what another copy of this MODEL has patched in.
    _hash_network(into, patcher, "diffusion_model")
    attached = getattr(patcher, "attachments", {})
    into.add("attachments", {name: held for name, held in attached.items() if name != CHOOSES_ONLY}, sample=64)
    objects = {name: held for name, held in patcher.object_patches.items() if name != "model_sampling"}
    into.add("object_patches", objects, sample=64)
    for name in _PATCHES:
        into.add(name, getattr(patcher, name, None), sample=64)


def _hash_sampling(into: Identity, sampling: Any) -> None:
    """Noise levels by the numbers that they follow from, where there are such: the levels themselves are rounded
    differently by every processor."""
    kind = type(sampling)
    # Made inside a function, of the two classes that say what it is.
    parts = kind.__bases__ if "<locals>" in kind.__qualname__ else (kind,)
    into.add("sampling", [class_name(part) for part in parts])
    numbers = {name: held for name, held in vars(sampling).items() if isinstance(held, bool | int | float | str)}
    into.add("numbers", {name: numbers[name] for name in sorted(numbers) if name[:1] != "_" and name != "training"})
    if "shift" not in numbers:
        into.add("levels", dict(sampling.named_buffers()) if isinstance(sampling, nn.Module) else sampling)


def _hash_latents(into: Identity, latents: LatentFormat) -> None:
    into.add("latent format", class_name(type(latents)))
    into.add("numbers", {name: getattr(latents, name, None) for name in _LATENT})


def _hash_vae(into: Identity, vae: VAE) -> None:
    into.add("vae", class_name(type(vae)))
    into.add("numbers", {name: getattr(vae, name, None) for name in _VAE})
    _hash_network(into, vae.patcher, "")
    for name in ("object_patches", "model_options"):
        into.add(name, getattr(vae.patcher, name, None), sample=64)


def _hash_clip(into: Identity, clip: CLIP) -> None:
    into.add("clip", [class_name(type(clip)), class_name(type(clip.tokenizer))])
    into.add("numbers", {name: getattr(clip, name, None) for name in _CLIP})
    _hash_network(into, clip.patcher, "")
    for name in ("object_patches", "hook_patches", "forced_hooks"):
        into.add(name, getattr(clip.patcher, name, None), sample=64)


def _hash_network(into: Identity, patcher: ModelPatcher, name: str) -> None:
    """The network called ``name`` in what a patcher holds, as it is without patches, and the patches on its weights."""
    parts = _unpatched_parts(patcher, name)
    prefix = f"{name}." if name else ""
    kept = {one: part.weight for one, part in patcher.backup.items()}
    kept |= {one: part[0] for one, part in patcher.hook_backup.items()}
    kept |= getattr(patcher, "backup_buffers", {})
    originals = {one.removeprefix(prefix): weight for one, weight in kept.items() if isinstance(weight, Tensor)}
    weights = sum(1 for part in parts.values() for _ in part.parameters(recurse=False))
    into.managed(parts, originals, max(16, SAMPLED_NUMBERS // max(1, weights)))
    into.add("patches", patcher.patches, sample=64)


def _unpatched_parts(patcher: ModelPatcher, name: str) -> dict[str, nn.Module]:
    """All modules of a network by name, those that the host has exchanged for a patch as they were before."""
    parts = {part: _uncompiled(module) for part, module in patcher.model.named_modules() if _below(part, name)}
    replaced = {one: held for one, held in patcher.object_patches_backup.items() if isinstance(held, nn.Module)}
    for path, module in replaced.items():
        if _below(path, name):
            parts = {part: held for part, held in parts.items() if not _below(part, path)}
            parts |= {".".join(filter(None, (path, part))): held for part, held in module.named_modules()}
    skipped = len(name) + 1 if name else 0
    return {part[skipped:]: module for part, module in sorted(parts.items()) if "_orig_mod" not in part}


def _uncompiled(module: nn.Module) -> nn.Module:
    return getattr(module, "_orig_mod", module)


def _below(part: str, name: str) -> bool:
    return not name or part == name or part.startswith(f"{name}.")

"""One sampling pass with the host's own guider, sampler and VAE."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...film.model import Prepared
from ...film.returned import check_latent
from ..registry import model_kind

StepCallback = Callable[[int, Tensor], None]


def segment_seed(seed: int, first_frame: int) -> int:
    """A seed for the segment that begins at a frame: the same film position and seed give the same noise."""
    digest = hashlib.sha256(f"{seed}:{first_frame}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def sample(
    model: Any, prepared: Prepared, sampler: Any, sigmas: Tensor, *, cfg: float, seed: int, on_step: StepCallback
) -> Tensor:
    """The latent of one segment, in the VAE's space. ``on_step(step, x0)`` is called after each step.

    A pair of models goes over the noise levels as two of the host's advanced samplers would, the second without noise
    of its own. Where a model makes pictures and sound, the latent of the pictures is returned.

    Raises ``ValueError`` as soon as what the model makes is no picture (NaN).
    """
    noise = comfy.sample.prepare_noise(latent_image=prepared.latent, seed=seed)
    latent, done = prepared.latent, 0
    for one, levels, scale in passes(prepared.model or model, prepared, sigmas, cfg):
        fresh = torch.zeros_like(noise) if done else noise
        latent = _sampled(one, prepared, latent, fresh, sampler, levels, scale, seed, done, on_step)
        done += len(levels) - 1
    latent = pictures_of(latent)
    check_latent(latent, model_kind(model), prepared)
    end = latent.shape[2] - prepared.behind if latent.ndim > 2 else None
    return latent[:, :, prepared.in_front : end] if prepared.in_front or prepared.behind else latent


def pictures_of(latent: Tensor) -> Tensor:
    """The latent of the pictures: of the host's pair of pictures and sound the first, else the latent itself."""
    return latent.unbind()[0] if latent.is_nested else latent


def passes(model: Any, prepared: Prepared, sigmas: Tensor, cfg: float) -> list[tuple[Any, Tensor, float]]:
    """Which MODEL samples which noise levels with which cfg: one of a pair those that begin below its boundary, or from
    its step on."""
    if prepared.low_noise is None:
        return [(model, sigmas, cfg)]
    high = prepared.switch_step or int((sigmas[:-1] >= prepared.boundary).sum())
    low_cfg = cfg if prepared.low_noise_cfg is None else prepared.low_noise_cfg
    parts = [(model, sigmas[: high + 1], cfg), (prepared.low_noise, sigmas[high:], low_cfg)]
    return [part for part in parts if len(part[1]) > 1]


def _sampled(
    model: Any,
    prepared: Prepared,
    latent: Tensor,
    noise: Tensor,
    sampler: Any,
    sigmas: Tensor,
    cfg: float,
    seed: int,
    done: int,
    on_step: StepCallback,
) -> Tensor:
    guider = comfy.samplers.CFGGuider(model_patcher=model)
    if prepared.negative is None:
        guider.inner_set_conds(conds={"positive": prepared.positive})
    else:
        guider.set_conds(positive=prepared.positive, negative=prepared.negative)
    guider.set_cfg(cfg=cfg)

    def callback(step: int, x0: Tensor, x: Tensor, total: int) -> None:
        check_latent(pictures_of(x0), model_kind(model), prepared)
        on_step(done + step, pictures_of(x0))
        comfy.model_management.throw_exception_if_processing_interrupted()

    made = guider.sample(
        noise=noise,
        latent_image=latent,
        sampler=sampler,
        sigmas=sigmas,
        denoise_mask=prepared.mask,
        callback=callback,
        disable_pbar=True,
        seed=seed,
    )
    return made.to(comfy.model_management.intermediate_device())

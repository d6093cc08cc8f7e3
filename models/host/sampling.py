"""One sampling pass with the host's own guider, sampler and VAE, and a look at what comes back.

Half precision that overflows gives numbers that are none (NaN). Cast to pixels they are black frames, kept for good,
which all later segments are given as context: so what a model or a VAE returned is looked at before it is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...film.model import KEPT, OnStep, Pixels
from ...memory.pictures.eight_bits import MOST_LATENT, eight_bits, fault_of
from .identity import model_kind

Conditioning = list[list[Any]]
_ITS_VAE = "If that changes nothing, it may be the VAE of another model."


@dataclass(frozen=True)
class Conditioned:
    """One sampling pass: conditioning that carries the segment, and the latent to fill.

    latent: (1, C, T, h, w). mask: 1 where it is to be made, 0 where it is known; None where all is to be made.
    model: the MODEL to sample, None for the artist's own. low_noise: a MODEL that goes on from where the noise level is
    below ``boundary``, or from the step ``switch_step`` where that is not 0, with a cfg of its own if ``low_noise_cfg``
    says one. in_front, behind: latent frames before the segment's first and after its last that are cut off before
    anything is decoded.
    """

    positive: Conditioning
    negative: Conditioning | None
    latent: Tensor
    mask: Tensor | None = None
    model: Any = None
    low_noise: Any = None
    boundary: float = 0.0
    switch_step: int = 0
    low_noise_cfg: float | None = None
    in_front: int = 0
    behind: int = 0


def sample(
    model: Any, conditioned: Conditioned, sampler: Any, sigmas: Tensor, *, cfg: float, seed: int, on_step: OnStep
) -> Tensor:
    """The latent (1, C, T, h, w) of one segment, in the VAE's space, over noise levels ``sigmas`` (steps + 1,).
    ``on_step(step, x0)`` is called after each step.

    A pair of models goes over the noise levels as two of the host's advanced samplers would, the second without noise
    of its own. Where a model makes pictures and sound, the latent of the pictures is returned.

    Raises ``ValueError`` as soon as what the model makes is no picture (NaN).
    """
    noise = comfy.sample.prepare_noise(latent_image=conditioned.latent, seed=seed)
    latent, done = conditioned.latent, 0
    for one, levels, scale in passes(conditioned.model or model, conditioned, sigmas, cfg):
        fresh = torch.zeros_like(noise) if done else noise
        latent = _sampled(one, conditioned, latent, fresh, sampler, levels, scale, seed, done, on_step)
        done += len(levels) - 1
    latent = pictures_of(latent)
    check_latent(latent, model_kind(model), conditioned)
    end = latent.shape[2] - conditioned.behind if latent.ndim > 2 else None
    return latent[:, :, conditioned.in_front : end] if conditioned.in_front or conditioned.behind else latent


def pictures_of(latent: Tensor) -> Tensor:
    """The latent (1, C, T, h, w) of the pictures: of the host's pair of pictures and sound the first, else itself."""
    return latent.unbind()[0] if latent.is_nested else latent


def passes(model: Any, conditioned: Conditioned, sigmas: Tensor, cfg: float) -> list[tuple[Any, Tensor, float]]:
    """Which MODEL samples which noise levels, of the shape (steps + 1,), with which cfg: one of a pair those that begin
    below its boundary, or from its step on."""
    if conditioned.low_noise is None:
        return [(model, sigmas, cfg)]
    high = conditioned.switch_step or int((sigmas[:-1] >= conditioned.boundary).sum())
    low_cfg = cfg if conditioned.low_noise_cfg is None else conditioned.low_noise_cfg
    parts = [(model, sigmas[: high + 1], cfg), (conditioned.low_noise, sigmas[high:], low_cfg)]
    return [part for part in parts if len(part[1]) > 1]


def _sampled(
    model: Any,
    conditioned: Conditioned,
    latent: Tensor,
    noise: Tensor,
    sampler: Any,
    sigmas: Tensor,
    cfg: float,
    seed: int,
    done: int,
    on_step: OnStep,
) -> Tensor:
    guider = comfy.samplers.CFGGuider(model_patcher=model)
    if conditioned.negative is None:
        guider.inner_set_conds(conds={"positive": conditioned.positive})
    else:
        guider.set_conds(positive=conditioned.positive, negative=conditioned.negative)
    guider.set_cfg(cfg=cfg)

    def callback(step: int, x0: Tensor, x: Tensor, total: int) -> None:
        check_latent(pictures_of(x0), model_kind(model), conditioned)
        on_step(done + step, pictures_of(x0))
        comfy.model_management.throw_exception_if_processing_interrupted()

    made = guider.sample(
        noise=noise,
        latent_image=latent,
        sampler=sampler,
        sigmas=sigmas,
        denoise_mask=conditioned.mask,
        callback=callback,
        disable_pbar=True,
        seed=seed,
    )
    return made.to(comfy.model_management.intermediate_device())


def check_latent(latent: Tensor, model: str, conditioned: Conditioned) -> None:
    """Raises ValueError for a latent (1, C, T, h, w) that no picture can be made of, and names what broke it.

    Args:
        model: the model's name, to be shown.
        conditioned: what it was given.
    """
    fault = fault_of(latent, MOST_LATENT)
    if not fault:
        return
    given = [part for kind in (conditioned.positive, conditioned.negative) for part in kind or []]
    if any(_broken(text) for text, _ in given):
        raise ValueError(
            f"The prompt holds no numbers (NaN), so the model ({model}) cannot make pictures: the text encoder "
            f"overflowed. Load another file of it, or start ComfyUI with --fp32-text-enc. {KEPT}"
        )
    if _broken([values for _, values in given]) or _broken(conditioned.latent):
        raise ValueError(
            "What the VAE made of a picture that the model is given holds no numbers (NaN). Start ComfyUI with "
            f"--fp32-vae (or --bf16-vae). {_ITS_VAE} {KEPT}"
        )
    raise ValueError(
        f"What the model ({model}) made holds {fault}, which is no picture; the VAE has not seen it yet. Most often "
        "half precision overflowed: choose another weight_dtype or file (bf16 in place of fp16), start ComfyUI with "
        f"--bf16-unet or --fp32-unet, or use a lower cfg or LoRA strength. {KEPT}"
    )


def decoded(vae: Any, latent: Tensor) -> Pixels:
    """Pictures (F, H, W, 3) uint8 of a latent that ``check_latent`` has seen.

    Raises ``ValueError`` where the VAE gives no pictures.
    """
    pictures: Tensor = vae.decode(latent)
    if pictures.ndim == 5:
        pictures = pictures.flatten(0, 1)
    if pictures.ndim != 4:
        raise ValueError(f"The VAE gave numbers of the shape {tuple(pictures.shape)}, no pictures. {_ITS_VAE} {KEPT}")
    try:
        return eight_bits(pictures)
    except ValueError as fault:
        raise ValueError(
            f"What the VAE made holds {fault}, which is no picture; the model's own numbers were sound. Most often "
            f"half precision overflowed: start ComfyUI with --fp32-vae (or --bf16-vae). {_ITS_VAE} {KEPT}"
        ) from None


def _broken(part: Any) -> bool:
    return any(not bool(torch.isfinite(tensor).all()) for tensor in _tensors(part))


def _tensors(part: Any) -> Iterator[Tensor]:
    """All tensors of numbers with a point in a conditioning, those of the host's own classes (``cond``) too."""
    if isinstance(part, Tensor):
        if part.is_floating_point() and not part.is_nested:
            yield part
    elif isinstance(part, dict):
        for inner in part.values():
            yield from _tensors(inner)
    elif isinstance(part, (list, tuple)):
        for inner in part:
            yield from _tensors(inner)
    elif hasattr(part, "cond"):
        yield from _tensors(part.cond)

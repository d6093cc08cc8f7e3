"""What a model or a VAE returned is looked at before it is remembered.

Half precision that overflows gives numbers that are none (NaN). Cast to pixels they are black frames, kept for good,
which all later segments are given as context.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..memory.pictures.eight_bits import MOST_LATENT, eight_bits, fault_of
from .model import Prepared

KEPT = "Nothing of this segment is kept; what was finished before it stays in the bank, and a new run goes on from it."
_ITS_VAE = "If that changes nothing, it may be the VAE of another model."


def check_latent(latent: Tensor, model: str, prepared: Prepared) -> None:
    """Refuses a latent that no picture can be made of, and names what broke it.

    Args:
        model: the model's name, to be shown.
        prepared: what it was given.
    """
    fault = fault_of(latent, MOST_LATENT)
    if not fault:
        return
    given = [part for kind in (prepared.positive, prepared.negative) for part in kind or []]
    if any(_broken(text) for text, _ in given):
        raise ValueError(
            f"The prompt holds no numbers (NaN), so the model ({model}) cannot make pictures: the text encoder "
            f"overflowed. Load another file of it, or start ComfyUI with --fp32-text-enc. {KEPT}"
        )
    if _broken([values for _, values in given]) or _broken(prepared.latent):
        raise ValueError(
            "What the VAE made of a picture that the model is given holds no numbers (NaN). Start ComfyUI with "
            f"--fp32-vae (or --bf16-vae). {_ITS_VAE} {KEPT}"
        )
    raise ValueError(
        f"What the model ({model}) made holds {fault}, which is no picture; the VAE has not seen it yet. Most often "
        "half precision overflowed: choose another weight_dtype or file (bf16 in place of fp16), start ComfyUI with "
        f"--bf16-unet or --fp32-unet, or use a lower cfg or LoRA strength. {KEPT}"
    )


def decoded(vae: Any, latent: Tensor) -> NDArray[np.uint8]:
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


def check_pictures(pictures: NDArray[np.uint8], frames: int, width: int, height: int) -> None:
    """Refuses another number or size of decoded pictures (F, H, W, 3) than the segment has."""
    count, tall, wide = pictures.shape[:3]
    if (count, wide, tall) != (frames, width, height):
        raise ValueError(
            f"The VAE gave {count} pictures of {wide}x{tall}, the segment has {frames} of {width}x{height}: it is the "
            f"VAE of another model. Load the one that goes with the model. {KEPT}"
        )


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

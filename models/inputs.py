"""What adapters are given beside a segment: pictures as the host takes them, and refusals of another model's parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .host.sampling import Conditioning


def as_image(pictures: NDArray[np.uint8]) -> Tensor:
    """The host's IMAGE (n, H, W, 3) float32 in 0..1, of one picture (H, W, 3) uint8 or of several (n, H, W, 3)."""
    image = torch.from_numpy(pictures).float() / 255
    return image if image.ndim == 4 else image[None]


def check_vae(vae: Any, name: str, channels: int, cure: str) -> None:
    """Refuses the VAE of another model than ``name``, which takes latents of so many channels.

    Raises ValueError with the cure where the number of channels is another.
    """
    found = getattr(vae, "latent_channels", None)
    if found != channels:
        raise ValueError(f"The VAE has latents of {found} channels, {name} takes {channels}. {cure}")


def check_text(kinds: Iterable[Conditioning | None], width: int, encoder: str) -> None:
    """Refuses prompts of another family's text encoder, known by the width of the encoded text.

    Raises ValueError that names the ``encoder`` to load: its file and its type in Load CLIP.
    """
    others = {text.shape[-1] for kind in kinds for text, _ in kind or []} - {width}
    if others:
        raise ValueError(
            f"The prompt was encoded {min(others)} numbers wide, the model takes {width}: the text encoder is of "
            f"another family. Load {encoder} in Load CLIP."
        )


def check_no_frames(kinds: Iterable[Conditioning | None], key: str, carried: str, node: str) -> None:
    """Refuses prompts under whose ``key`` another node put frames into the sequence: where these stand is not known.

    Raises ValueError that names what is ``carried`` and the ``node`` to connect instead.
    """
    if any(key in values for kind in kinds for _, values in kind or []):
        raise ValueError(
            f"The prompt carries {carried}, which stand where remembered frames go. "
            f"Connect {node} to Shot Generator directly."
        )

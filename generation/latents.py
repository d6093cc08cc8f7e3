"""Latents beside frames: what the model made is kept, so that looking back at it needs no way through the VAE."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..memory.state.state import MemoryState
from .identity import NoIdentity
from .model_identity import latent_space

log = logging.getLogger(__name__)

KEPT = 64
"""Frames whose encoded latents stay in RAM for the shot: the same ones are looked back at again and again."""

Pixels = NDArray[np.uint8]
ReadPixels = Callable[[MemoryState, Sequence[int] | NDArray[np.int64]], Pixels]


class ContextLatents:
    """Latents of past frames in the space of one VAE: read from the bank where they lie there, else encoded.

    For the memories of one shot, each of which continues the one before.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._coded: OrderedDict[int, Tensor] = OrderedDict()
        try:
            self.space = latent_space(vae)
        except NoIdentity as nothing:
            log.info("Latents are not kept beside the frames: %s.", nothing)
            self.space = ""

    def kept(self, latent: Tensor) -> NDArray[np.float16] | None:
        """What goes into the bank of a segment's latent (1, C, T, h, w): (C, T, h, w) float16, or nothing.

        Numbers that float16 cannot hold are not kept at all.
        """
        if not self.space or latent.ndim != 5:
            return None
        half = latent[0].detach().to(torch.float16)
        return half.cpu().numpy() if bool(torch.isfinite(half).all()) else None

    def read(self, state: MemoryState, indices: NDArray[np.int64], pixels: ReadPixels) -> Tensor:
        """Latents (1, C, n, h, w) float32 of frames; those that are not in the bank are encoded, one by one.

        One by one, because a video VAE takes several pictures for a moment that passes (Context-as-Memory, 4.2).
        """
        ours = np.flatnonzero([self._is_ours(state, int(owner)) for owner in state.segment_at(indices)])
        there = dict(zip(ours.tolist(), state.read_latents(indices[ours]), strict=True))
        frames = {place: torch.from_numpy(one.copy()) for place, one in there.items() if one is not None}
        for place, index in enumerate(indices.tolist()):
            if place not in frames and index in self._coded:
                frames[place] = self._coded[index]
                self._coded.move_to_end(index)
        if missing := [place for place in range(len(indices)) if place not in frames]:
            for place, picture in zip(missing, pixels(state, indices[missing]), strict=True):
                frames[place] = self._coded[int(indices[place])] = self._encoded(picture)
        while len(self._coded) > KEPT:
            self._coded.popitem(last=False)
        return torch.stack([frames[place].float() for place in range(len(indices))], dim=1)[None]

    def _is_ours(self, state: MemoryState, segment: int) -> bool:
        """Whether a segment's latents mean in this VAE what they meant when they were made."""
        text = state.segments[segment].text
        return bool(self.space) and bool(text) and json.loads(text).get("latent_space") == self.space

    def _encoded(self, picture: Pixels) -> Tensor:
        latent: Tensor = self._vae.encode(torch.from_numpy(picture)[None].float() / 255).detach()
        return latent[0, :, 0].cpu()

"""Latents of context frames: read from the bank where the model made them, else encoded by the VAE and cached."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..memory.state.state import MemoryState

MOST_BYTES = 256 * 1024 * 1024
"""Of encoded latents that stay in RAM: 670 frames of 832 x 480 in Wan's VAE. Segments, shots and films look back at the
same frames again and again, and a video VAE encodes about as slowly as it decodes."""

Pixels = NDArray[np.uint8]
ReadPixels = Callable[[MemoryState, Sequence[int] | NDArray[np.int64]], Pixels]
Encode = Callable[[Pixels], Tensor]
"""The latent (C, h, w) on the CPU of one picture (H, W, 3)."""


class EncodedFrames:
    """Latents (C, h, w) float32 by the space of the VAE, the id of the segment (which vouches for its pictures) and the
    frame in it. Those that were looked at longest ago go first when there are more than ``most`` bytes of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[tuple[str, str, int], Tensor] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: tuple[str, str, int]) -> Tensor | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: tuple[str, str, int], latent: Tensor) -> None:
        if key not in self._kept:
            self._bytes += latent.nbytes
        self._kept[key] = latent
        while self._bytes > self.most and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


_ENCODED = EncodedFrames(MOST_BYTES)


class ContextLatents:
    """Latents of past frames in the space of one VAE: read from the bank where they lie there, else encoded, and kept.

    ``space`` is the identity of the VAE's latent space; where it is "" (nothing is known of the VAE) they are kept
    for the shot alone. ``encoded`` counts the pictures that went through the VAE.
    """

    def __init__(self, space: str, encode: Encode) -> None:
        self.space, self._encode = space, encode
        self._kept = _ENCODED if space else EncodedFrames(MOST_BYTES)
        self.encoded = 0

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
        frames = {n: torch.from_numpy(one.copy()) for n, one in there.items() if one is not None}
        keys = [self._key(state, index) for index in indices.tolist()]
        for n, key in enumerate(keys):
            if n not in frames and (known := self._kept.get(key)) is not None:
                frames[n] = known
        if missing := [n for n in range(len(indices)) if n not in frames]:
            for n, picture in zip(missing, pixels(state, indices[missing]), strict=True):
                frames[n] = self._encoded(picture)
                self._kept.keep(keys[n], frames[n])
        return torch.stack([frames[n].float() for n in range(len(indices))], dim=1)[None]

    def identity(self, state: MemoryState, index: int) -> str:
        """What the latent of a frame is known by beside its pixels: "" where it is encoded from them."""
        segment = int(state.segment_at([index])[0])
        if not self._is_ours(state, segment):
            return ""
        record = state.segments[segment]
        kept = json.loads(record.text)["tensors"].get("latents")
        if kept is None or kept["shape"][1] != record.frames:
            return ""
        return f"{kept['sha256']} {index - record.start}"

    def _is_ours(self, state: MemoryState, segment: int) -> bool:
        """Whether a segment's latents mean in this VAE what they meant when they were made."""
        text = state.segments[segment].text
        return bool(self.space) and bool(text) and json.loads(text).get("latent_space") == self.space

    def _key(self, state: MemoryState, index: int) -> tuple[str, str, int]:
        segment = int(state.segment_at([index])[0])
        return self.space, state.segments.id_of(segment), index - state.segments[segment].start

    def _encoded(self, picture: Pixels) -> Tensor:
        self.encoded += 1
        return self._encode(picture)

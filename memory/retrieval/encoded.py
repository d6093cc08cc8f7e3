"""Context frames whose latents are known already, chosen instead of others with nearly the same view.

A video VAE encodes remembered frames one by one, about as slowly as it decodes. Of frames from one place and direction
any one will do, so where the latent of one is known, because an earlier segment was given it, it stands for the others.
Which frames were given stands in the notes of the segments, so the choice depends on the memory alone.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..state.state import MemoryState
from .pool import Integers

NOTE = "encoded"
"""True in the notes of a segment whose context went through the VAE."""

ANGLE_DEGREES = 2.0
"""Directions so near show 97 % of the same with a lens of 70 degrees."""

DISTANCE = 0.05
"""Places so near, in scales of the film (``Comparison.scale``), show the same."""

_films: OrderedDict[tuple[int, str], frozenset[int]] = OrderedDict()
_FILMS = 8
_lock = threading.Lock()


def encoded_frames(state: MemoryState) -> frozenset[int]:
    """Frames that segments of this memory have looked at as latents."""
    count = len(state.segments)
    with _lock:
        known = [key for key in _films if key[0] <= count and state.segments.id_of(key[0] - 1) == key[1]]
        begun = max(known, default=(0, ""))
        found = set(_films.get(begun, ()))
        for segment in range(begun[0], count):
            text = state.segments.text_of(segment)
            if f'"{NOTE}":true' in text:
                found.update(json.loads(text)["info"].get("context", ()))
        result = frozenset(found)
        if count:
            _films[count, state.segments.id_of(count - 1)] = result
        while len(_films) > _FILMS:
            _films.popitem(last=False)
    return result


def without_twins(state: MemoryState, near: Integers, known: Integers, scale: float) -> Integers:
    """Frames ``near`` and ``known`` (n,), ascending, but those of ``near`` whose view one of ``known`` shows too."""
    fresh = near[~np.isin(near, known)]
    if not len(fresh) or not len(known):
        return np.union1d(near, known)
    alone = ~_alike(state.cameras(fresh), state.cameras(known), scale).any(axis=1)
    return np.union1d(fresh[alone], known)


def _alike(
    ours: tuple[FloatArray, FloatArray], theirs: tuple[FloatArray, FloatArray], scale: float
) -> NDArray[np.bool_]:
    """(n, m) whether cameras show the same: poses (n, 4, 4) and intrinsics (n, 4) against (m, 4, 4) and (m, 4)."""
    (poses, intrinsics), (others, other_intrinsics) = ours, theirs
    apart = np.linalg.norm(poses[:, None, :3, 3] - others[None, :, :3, 3], axis=-1)
    trace = np.einsum("nij,mij->nm", poses[:, :3, :3], others[:, :3, :3])
    turned = np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0))
    same = np.abs(intrinsics[:, None] - other_intrinsics[None]).max(axis=-1) < 1e-3
    return np.asarray((apart <= DISTANCE * scale) & (turned <= np.radians(ANGLE_DEGREES)) & same)

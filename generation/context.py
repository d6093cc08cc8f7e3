"""What a segment may look back at: which past frames, and their pixels or latents."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..memory.edits import Edit
from ..memory.retrieval.retrieve import Retrieval, retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state import MemoryState
from ..memory.trajectory import Trajectory
from .adapters.base import Adapter
from .latents import ContextLatents
from .segment import ContextFrames

log = logging.getLogger(__name__)

CACHE_BYTES = 16 * 1024 * 1024
SEARCHES = 8
"""How often retrieval is asked again because pixels of its choice are gone."""

Pixels = NDArray[np.uint8]


def choose_context(
    state: MemoryState, path: Trajectory, settings: RetrievalSettings, adapter: Adapter
) -> Retrieval | None:
    """Which past frames the segment along ``path`` may look at; None while nothing is remembered.

    A frame whose pixels are no longer on the disk is left out and another is looked for in its place.
    """
    if not state.frames:
        return None
    found = retrieve(state, path, settings)
    for _ in range(SEARCHES):
        gone = gone_frames(state, found.indices)
        if not len(gone):
            break
        state = state.with_edit(Edit("drop", runs_of(gone)))
        found = retrieve(state, path, settings)
    else:
        left = ~np.isin(found.indices, gone_frames(state, found.indices))
        reasons = tuple(reason for reason, here in zip(found.reasons, left, strict=True) if here)
        found = replace(found, indices=found.indices[left], reasons=reasons)
    return replace(
        found, indices=found.indices[: adapter.most_context], reasons=found.reasons[: adapter.most_context]
    )


def gone_frames(state: MemoryState, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the frames whose pixels are not in the bank any more."""
    assert state.bank is not None
    return indices[~state.bank.kept(state, indices)]


def runs_of(indices: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Frames as runs (start, stop) of neighbours."""
    ordered = np.unique(indices)
    cuts = np.flatnonzero(np.diff(ordered) > 1) + 1
    return tuple((int(part[0]), int(part[-1]) + 1) for part in np.split(ordered, cuts) if len(part))


class ContextReader:
    """Reads the context of one shot's segments. Frames that come again and again are kept decoded, up to 16 MB."""

    def __init__(self, latents: ContextLatents | None = None) -> None:
        self._latents = latents
        self._pixels: OrderedDict[int, Pixels] = OrderedDict()
        self._bytes = 0

    def read(self, state: MemoryState, retrieval: Retrieval | None) -> ContextFrames | None:
        """The chosen frames, oldest first."""
        if retrieval is None or not len(retrieval):
            return None
        indices = np.sort(np.asarray(retrieval.indices, dtype=np.int64))
        poses, intrinsics = state.cameras(indices)
        latents = self._latents.read(state, indices, self.pixels) if self._latents else None
        return ContextFrames(self.pixels(state, indices), poses, intrinsics, latents)

    def pixels(self, state: MemoryState, indices: Sequence[int] | NDArray[np.int64]) -> Pixels:
        """Pixels (n, H, W, 3) of frames."""
        wanted = [int(index) for index in indices]
        if missing := [index for index in wanted if index not in self._pixels]:
            found = dict(zip(missing, state.read_frames(missing), strict=True))
        else:
            found = {}
        result = np.stack([found[index] if index in found else self._pixels[index] for index in wanted])
        for place, index in enumerate(wanted):
            self._keep(index, result[place])
        return result

    def made(self, start: int, pictures: Pixels) -> None:
        """Frames that have just been remembered, the first of them as frame ``start``: no need to read them back."""
        for place in range(max(0, len(pictures) - CACHE_BYTES // max(1, pictures[0].nbytes)), len(pictures)):
            self._keep(start + place, pictures[place])

    def _keep(self, index: int, picture: Pixels) -> None:
        if index in self._pixels:
            self._pixels.move_to_end(index)
            return
        self._pixels[index] = picture.copy()
        self._bytes += picture.nbytes
        while self._bytes > CACHE_BYTES and len(self._pixels) > 1:
            _, dropped = self._pixels.popitem(last=False)
            self._bytes -= dropped.nbytes

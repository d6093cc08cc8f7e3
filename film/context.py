"""What a segment is given: which past frames it may look back at, their pixels or latents, and how it begins."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..memory.cameras.trajectory import Trajectory
from ..memory.retrieval.retrieve import Retrieval, retrieve
from ..memory.retrieval.settings import RetrievalSettings
from ..memory.state.edits import Edit
from ..memory.state.frame_ranges import runs_of
from ..memory.state.state import MemoryState
from .continuity import whole_path
from .keys import Read
from .latents import ContextLatents
from .model import VideoModel
from .plan import ShotPlan
from .segment import ContextFrames, Segment
from .write_queue import WriteQueue

log = logging.getLogger(__name__)

CACHE_BYTES = 16 * 1024 * 1024
SEARCHES = 8
"""How often retrieval is asked again because pixels of its choice are gone."""

Pixels = NDArray[np.uint8]


def choose_context(
    state: MemoryState,
    path: Trajectory,
    settings: RetrievalSettings,
    most: int,
    reader: ContextReader,
    on_disk: bool = True,
) -> Retrieval | None:
    """Which past frames the segment along ``path`` may look at, at most ``most``; None while nothing is remembered.

    A frame whose pixels are no longer on the disk is left out and another is looked for in its place; not with
    ``on_disk`` False: then the memory alone decides.
    """
    if not state.frames:
        return None
    if state.has_depth:
        reader.settle(state.frames - 1)
    found = retrieve(state, path, settings)
    for _ in range(SEARCHES if on_disk else 0):
        gone = found.indices[~reader.has(state, found.indices)]
        if not len(gone):
            break
        state = state.with_edit(Edit("drop", runs_of(gone)))
        found = retrieve(state, path, settings)
    else:
        here = reader.has(state, found.indices) | (not on_disk)
        reasons = tuple(reason for reason, kept in zip(found.reasons, here, strict=True) if kept)
        found = replace(found, indices=found.indices[here], reasons=reasons)
    return replace(found, indices=found.indices[:most], reasons=found.reasons[:most])


def shown(retrieval: Retrieval | None, plan: ShotPlan, model: VideoModel) -> Retrieval | None:
    """Of the frames chosen for a plan's segment, those that the model is given as context frames."""
    if retrieval is None or not plan.has_context:
        return None
    most = model.most_context
    return replace(retrieval, indices=retrieval.indices[:most], reasons=retrieval.reasons[:most])


def next_segment(
    state: MemoryState,
    path: Trajectory,
    retrieval: Retrieval | None,
    model: VideoModel,
    size: tuple[int, int],
    reader: ContextReader,
    goes_on: bool,
) -> Segment:
    """What the model is to make for the new frames of ``path``, on its own grid of lengths.

    Args:
        state: the memory before the segment.
        retrieval: the past frames that it may look at, as context frames.
        size: (width, height).
        goes_on: whether it goes on from the newest frames, and so begins with those of the model's overlap, which are
            known; else it is a cut.
    """
    overlap = model.overlap_after(state.frames) if goes_on else 0
    context = reader.read(state, retrieval)
    first = state.frames - overlap
    known = reader.pixels(state, range(first, state.frames)) if overlap else None
    whole = whole_path(state, path, overlap, model.made_for(len(path) + overlap))
    return Segment(whole, *size, context, None if known is None else known[0], first, known)


class ContextReader:
    """Reads the context of one shot's segments. Frames that come again and again are kept decoded, up to 16 MB.

    Args:
        queue: what may be putting the newest frames on the disk just now: they are waited for before they are read.
    """

    def __init__(self, latents: ContextLatents | None = None, queue: WriteQueue | None = None) -> None:
        self._latents = latents
        self._queue = queue
        self._pixels: OrderedDict[int, Pixels] = OrderedDict()
        self._bytes = 0

    @property
    def encoded(self) -> int:
        """How many remembered frames have gone through the VAE so far."""
        return self._latents.encoded if self._latents is not None else 0

    def settle(self, frame: int) -> None:
        """Returns when the frame is on the disk."""
        if self._queue is not None:
            self._queue.settle(frame)

    def has(self, state: MemoryState, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether there are pixels of the frames."""
        coming = self._queue.first_frame if self._queue is not None else None
        here = np.array([int(index) in self._pixels for index in indices], dtype=np.bool_)
        if coming is not None:
            here |= indices >= coming
        if not here.all():
            assert state.bank is not None
            here[~here] = state.bank.kept(state, indices[~here])
        return here

    def read(self, state: MemoryState, retrieval: Retrieval | None) -> ContextFrames | None:
        """The chosen frames, oldest first."""
        if retrieval is None or not len(retrieval):
            return None
        indices = np.sort(np.asarray(retrieval.indices, dtype=np.int64))
        poses, intrinsics = state.cameras(indices)
        if self._latents is not None:
            self.settle(int(indices[-1]))
        latents = self._latents.read(state, indices, self.pixels) if self._latents is not None else None
        numbers = tuple(int(index) for index in indices)
        return ContextFrames(self.pixels(state, indices), poses, intrinsics, latents, numbers)

    def identities(self, state: MemoryState, indices: Sequence[int] | NDArray[np.int64], numbered: bool) -> list[Read]:
        """What ``read`` reads of frames ``indices`` (n,), by what a segment's key tells it by; no picture is decoded.
        ``numbered``: whether their numbers count, too."""
        poses, intrinsics = state.cameras(indices)
        latents = self._latents
        return [
            Read(self._hash(state, int(index)), latents.identity(state, int(index)) if latents else "", pose, k,
                 int(index) if numbered else -1)
            for index, pose, k in zip(indices, poses, intrinsics, strict=True)
        ]  # fmt: skip

    def _hash(self, state: MemoryState, index: int) -> bytes:
        coming = self._queue.first_frame if self._queue is not None else None
        if coming is not None and index >= coming:
            if index in self._pixels:
                return hashlib.sha256(self._pixels[index].data).digest()
            self.settle(index)
        assert state.bank is not None
        return state.bank.frame_hashes(state, [index])[0]

    def pixels(self, state: MemoryState, indices: Sequence[int] | NDArray[np.int64]) -> Pixels:
        """Pixels (n, H, W, 3) of frames; where one was dropped, the kept one next to it stands in."""
        wanted = [int(index) for index in indices]
        found: dict[int, Pixels] = {}
        if missing := [index for index in wanted if index not in self._pixels]:
            self.settle(max(missing))
            found = dict(zip(missing, state.read_frames(missing, nearest=True), strict=True))
        result = np.stack([found[index] if index in found else self._pixels[index] for index in wanted])
        for index, picture in zip(wanted, result, strict=True):
            self._keep(index, picture)
        return result

    def made(self, start: int, pictures: Pixels) -> None:
        """Keeps frames (F, H, W, 3) that have just been remembered, the first as frame ``start``."""
        for n in range(max(0, len(pictures) - CACHE_BYTES // max(1, pictures[0].nbytes)), len(pictures)):
            self._keep(start + n, pictures[n])

    def _keep(self, index: int, picture: Pixels) -> None:
        if index in self._pixels:
            self._pixels.move_to_end(index)
            return
        self._pixels[index] = picture.copy()
        self._bytes += picture.nbytes
        while self._bytes > CACHE_BYTES and len(self._pixels) > 1:
            _, dropped = self._pixels.popitem(last=False)
            self._bytes -= dropped.nbytes

"""The spatial index of a film's cameras: an immutable value, append-only, that shares its blocks with older ones.

Frames are sealed in blocks of ``SEALED``; blocks are merged by fours, as in a log-structured merge tree, so that there
are few of them, each much larger than the next. The index does not depend on how a film was cut into segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...cameras.camera import FloatArray
from .block import Block
from .cones import FARTHEST, Cones, checked, cones, joined
from .thinning import CELL, Integers, Usable, fair_shares, sampled, thinned
from .views import Views, meets, views

SEALED, BASE = 1024, 4
EXACT = 2048
"""So many cameras, or the limit if it is more, are looked at one by one; of more, a fair share of each cell, this
many times the limit in all."""
_SHARE = 4


@dataclass(frozen=True, eq=False)
class CameraIndex:
    """Cameras of a film of ``frames`` frames: sealed ``blocks`` and a ``tail``, seen from the pose ``anchor``."""

    blocks: tuple[Block, ...]
    tail: Cones
    anchor: FloatArray

    @classmethod
    def empty(cls) -> CameraIndex:
        """The index of a film that has no frames."""
        return cls((), cones(np.empty((0, 4, 4)), np.empty((0, 4)), np.eye(4)), np.eye(4))

    @property
    def frames(self) -> int:
        """How many frames are in the index."""
        return self._sealed + len(self.tail)

    @property
    def nbytes(self) -> int:
        """Bytes of RAM, those shared with other indices included."""
        return sum(block.nbytes for block in self.blocks) + self.tail.nbytes

    def extended(self, poses: ArrayLike, intrinsics: ArrayLike, first: int) -> CameraIndex:
        """This index and cameras ``poses`` (F, 4, 4), ``intrinsics`` (F, 4) as frames ``first`` and on.

        Amortised O(F log N), and now and then O(N) when blocks are joined: give many frames at once where they are
        there at once. This index stays as it is. Raises ``ValueError`` if ``first`` is not the next frame.
        """
        what = f"Frames from {first} on"
        cameras, intrinsics = checked(poses, intrinsics, what)
        if first != self.frames:
            raise ValueError(f"{what} do not follow the {self.frames} frames of this index. Continue with frame "
                             f"{self.frames}.")
        if not len(cameras):
            return self
        anchor = self.anchor if self.frames else np.array(cameras[0])
        return self._grown(cones(cameras, intrinsics, anchor), anchor)

    def candidates(
        self, poses: ArrayLike, intrinsics: ArrayLike, *, reach: float, limit: int, usable: Usable | None = None
    ) -> Integers:
        """Frames, ascending int64, that may have seen what cameras (T, 4, 4) with intrinsics (T, 4) will see.

        ``reach`` is how far the targets see, in scene units. At most ``limit`` frames are returned, spread evenly over
        places and headings, of each the oldest first (what came later may be a copy of it); all relevant ones if they
        are no more and at most ``EXACT`` cameras are in cells that the views touch, as in every film of up to ``EXACT``
        frames. ``usable`` says of frames (n,) which may be returned: one that may not never stands in the way of
        another.

        Raises ``ValueError`` for cameras that do not fit together or are none, a ``reach`` that is not above 0, and a
        ``limit`` below 1.
        """
        cameras, intrinsics = checked(poses, intrinsics, "The coming cameras")
        if not len(cameras):
            raise ValueError("There are no coming cameras. Give the cameras of the segment, at least 1.")
        if not (math.isfinite(reach) and reach > 0.0):
            raise ValueError(f"The reach is {reach}: it must be a finite distance above 0. Use the depth of the scene.")
        if limit < 1:
            raise ValueError(f"The limit is {limit}: at least 1 frame must be allowed. Use 400.")
        if not self.frames:
            return np.empty(0, dtype=np.int64)
        reach = min(max(reach, 1 / FARTHEST), FARTHEST)
        target = views(cameras, intrinsics, self.anchor, reach)
        frames, found = self._gathered(target, limit, usable)
        seen = meets(target, found.position, found.axis, np.arctan(found.tangent), found.tangent)
        frames, found = frames[seen], found[np.flatnonzero(seen)]
        return thinned(frames, found, target.origin, reach, limit)

    @property
    def _sealed(self) -> int:
        return self.blocks[-1].first + len(self.blocks[-1]) if self.blocks else 0

    def _grown(self, added: Cones, anchor: FloatArray) -> CameraIndex:
        wanted = _stretches((self.frames + len(added)) // SEALED)
        kept = tuple(block for block in self.blocks if (block.first, len(block)) in wanted)
        begin = kept[-1].first + len(kept[-1]) if kept else 0
        loose = joined([*(block.in_order() for block in self.blocks[len(kept) :]), self.tail, added])
        made = [Block.of(first, loose[first - begin : first - begin + count]) for first, count in wanted[len(kept) :]]
        end = sum(wanted[-1]) if wanted else 0
        tail = joined([loose[end - begin :]])
        return CameraIndex((*kept, *made), tail, anchor)

    def _gathered(self, target: Views, limit: int, usable: Usable | None) -> tuple[Integers, Cones]:
        """Usable cameras of the cells near the views, ascending: all of them, or a fair share of each cell."""
        near = [block.near(target, CELL * target.reach) for block in self.blocks]
        counts = np.concatenate([np.empty(0, dtype=np.int64), *(cells.counts for cells in near)])
        exact = int(counts.sum()) + len(self.tail) <= max(EXACT, limit)
        shares = counts if exact else fair_shares(counts, _SHARE * limit)
        frames, parts, done = [], [], 0
        for block, cells in zip(self.blocks, near, strict=True):
            share = shares[done : done + len(cells.counts)]
            done += len(share)
            rows = sampled(cells.starts, cells.counts, cells.oldest, share, _of_rows(block, usable))
            frames.append(block.first + block.frame[rows].astype(np.int64))
            parts.append(block.cameras[rows])
        tail = self._sealed + np.arange(len(self.tail))
        frames.append(tail if usable is None else tail[usable(tail)])
        parts.append(self.tail[frames[-1] - self._sealed])
        found = np.concatenate(frames)
        order = np.argsort(found, kind="stable")
        return found[order], joined(parts)[order]


def _of_rows(block: Block, usable: Usable | None) -> Usable | None:
    return None if usable is None else lambda rows: usable(block.first + block.frame[rows].astype(np.int64))


def _stretches(sealed: int) -> list[tuple[int, int]]:
    """First frame and length of the blocks that a film of ``sealed`` times ``SEALED`` frames is kept in, in order."""
    result, first, unit = [], 0, 1
    while unit * BASE <= sealed:
        unit *= BASE
    while unit:
        count = (sealed - first) // unit * unit
        if count:
            result.append((first * SEALED, count * SEALED))
        first, unit = first + count, unit // BASE
    return result

"""Memory as known pixels: the frames that were retrieved, moved to where a segment's cameras will see them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..memory.cameras.trajectory import Trajectory
from ..memory.geometry.finer import finer_depth
from ..memory.geometry.view import GREY, View, views
from ..memory.retrieval.retrieve import Retrieval
from ..memory.state.state import MemoryState
from .context import ContextReader
from .keys import Viewed
from .model import VideoModel
from .plan import ShotPlan
from .segment import ContextFrames, KnownPixels, Segment

VERSION = 1
"""Raised whenever the same frames come to other known pixels, also by a change of ``memory/geometry``."""


UNMOVED = 0.1
"""Pixels that things at the usual distance may move by, between two views that are taken to be one."""


def with_known_pixels(
    segment: Segment,
    state: MemoryState,
    retrieval: Retrieval | None,
    plan: ShotPlan,
    model: VideoModel,
    reader: ContextReader,
    distance: float,
) -> Segment:
    """A segment that is told what the memory knows of it: all of ``retrieval``, beside the pictures it begins with.

    Args:
        distance: how far things are taken to be, in scene units, of frames without depth.
    """
    if retrieval is None or not len(retrieval):
        return segment
    indices = np.sort(np.asarray(retrieval.indices, dtype=np.int64))
    poses, intrinsics = state.cameras(indices)
    numbers = tuple(int(index) for index in indices)
    frames = ContextFrames(reader.pixels(state, indices), poses, intrinsics, numbers=numbers)
    depth = remembered_depth(state, indices)
    if depth is None or np.isnan(depth).all(axis=(1, 2)).any():
        depth = _completed(depth, model.depth_of(plan, frames), frames.pixels)
    return replace(segment, view=known_pixels(frames, depth, segment, distance, plan.hold_known))


def known_pixels(
    frames: ContextFrames,
    depth: NDArray[np.float32] | None,
    segment: Segment,
    distance: float,
    held: bool = False,
) -> KnownPixels:
    """What ``frames`` show of a segment's T views.

    Args:
        depth: (K, h, w) z-depth of the frames in scene units, NaN where unknown, or None. Frames of which nothing is
            known are only turned, and only where the camera has hardly moved.
        distance: how far things are taken to be then.
    """
    shape = (len(segment), segment.height, segment.width)
    pictures, confidence = np.full((*shape, 3), GREY, np.uint8), np.zeros(shape, np.float32)
    found = KnownPixels(pictures, confidence, np.full(shape, np.inf, np.float32), frames, held)
    flat = np.ones(len(frames), np.bool_) if depth is None else np.isnan(depth).all(axis=(1, 2))
    path, deep = segment.trajectory, None if depth is None or flat.all() else depth[~flat]
    for rows, maps in ((~flat, deep), (flat, None)):
        if rows.any():
            cameras = Trajectory(frames.poses[rows], frames.intrinsics[rows], path.fps)
            _fill(found, views(frames.pixels[rows], maps, cameras, path, shape[1:], scene_distance=distance))
    for place, number in enumerate(_taken_there(frames, segment, distance)):
        if number >= 0:
            found.pictures[place], found.confidence[place] = frames.pixels[number], 1.0
    begun = segment.known if segment.known is not None else segment.begins_with
    if begun is not None:
        count = len(begun) if begun.ndim == 4 else 1
        found.pictures[:count], found.confidence[:count] = begun, 1.0
    return found


def _taken_there(frames: ContextFrames, segment: Segment, distance: float) -> NDArray[np.int64]:
    """(T,) for each view the frame that was taken from it, -1 where none was: its pixels need no moving, which would
    soften them. Of several the oldest, the copy of fewest copies."""
    path = segment.trajectory
    away = np.linalg.norm(path.poses[:, None, :3, 3] - frames.poses[None, :, :3, 3], axis=-1) / distance
    turned = np.linalg.norm(path.poses[:, None, :3, :3] - frames.poses[None, :, :3, :3], axis=(-2, -1))
    lens = np.abs(path.intrinsics[:, None] - frames.intrinsics[None]).max(axis=-1)
    wide = path.intrinsics[:, :1] * segment.width
    same = (wide * np.maximum(away, turned) < UNMOVED) & (segment.width * lens < UNMOVED)
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


def _fill(found: KnownPixels, tiles: Iterable[View]) -> None:
    """Puts tiles of the segment's views, one after the other, where nothing is known yet."""
    start = 0
    for part in tiles:
        stop = start + len(part.pictures)
        new = part.known & (part.confidence > found.confidence[start:stop]) & ~found.known[start:stop]
        found.pictures[start:stop][new] = part.pictures[new]
        found.depth[start:stop][new] = part.depth[new]
        found.confidence[start:stop][new] = part.confidence[new]
        start = stop


def viewed(
    state: MemoryState, retrieval: Retrieval | None, plan: ShotPlan, reader: ContextReader, distance: float
) -> Viewed | None:
    """What a segment's key is told of its known pixels, as ``with_known_pixels`` makes them; no picture is decoded."""
    if retrieval is None or not len(retrieval):
        return None
    indices = np.sort(np.asarray(retrieval.indices, dtype=np.int64))
    frames = reader.identities(state, indices, numbered=False)
    return Viewed(frames, remembered_depth(state, indices), distance, plan.hold_known, VERSION)


def remembered_depth(state: MemoryState, indices: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The z-depth (n, h, w) in scene units that the memory has of frames, NaN where unknown; None where it has none."""
    depth = state.depth(indices) if state.has_depth else None
    return None if depth is None or bool(np.isnan(depth).all()) else depth


def _completed(
    depth: NDArray[np.float32] | None, read: NDArray[np.float32] | None, pictures: NDArray[np.uint8]
) -> NDArray[np.float32] | None:
    """Depth as the memory has it of frames (K, H, W, 3), and where it has none of one, what the model reads in it."""
    if depth is None or read is None:
        return depth if read is None else read
    missing = np.isnan(depth).all(axis=(1, 2))
    found = np.empty(pictures.shape[:3], np.float32)
    for rows, maps in ((missing, read), (~missing, depth)):
        found[rows] = finer_depth(maps[rows], pictures[rows])
    return found

"""The film as far as the memory knows it, before any model runs: remembered frames moved to the cameras of a path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.trajectory import Trajectory
from ..retrieval.distances import distances
from ..retrieval.retrieve import retrieve
from ..retrieval.settings import RetrievalSettings
from ..state.state import MemoryState
from .finer import finer_depth
from .view import View, views

GREY, BLURRED, AS_IT_WAS = "grey", "blurred", "left as it was"
FILLS = (GREY, BLURRED, AS_IT_WAS)
FULL, HALF = "full", "half (quick)"
DETAILS = (FULL, HALF)
"""What unknown pixels show, and how finely is drawn. The words are kept in saved workflows: never change one."""

JUMP = 0.1
"""Share of nearness by which neighbours differ that belong to two things, one before the other."""

TILE = 4

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ViewSettings:
    """How a memory is drawn along a path.

    ``segment`` frames of the path share the remembered frames that are found for them. ``size`` (height, width) of the
    pictures, the memory's where None. ``fill`` of the unknown is one of FILLS: grey, a blur of what is known around it,
    or what the frame before showed there. The unknown grows by ``grow`` pixels over what is known. ``edges`` cuts away
    so many samples of a kept depth map (64 a side) beside each jump in depth: what lies there may be of either side.
    ``detail`` is one of DETAILS: half draws at half the size, in about a quarter of the time, and enlarges that.

    Raises ``ValueError`` for a number below its least, another fill and another detail.
    """

    segment: int = 16
    size: tuple[int, int] | None = None
    fill: str = GREY
    grow: int = 0
    edges: int = 0
    detail: str = FULL

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise ValueError(f"fill is {self.fill!r}. Use one of: {', '.join(FILLS)}.")
        if self.detail not in DETAILS:
            raise ValueError(f"detail is {self.detail!r}. Use one of: {', '.join(DETAILS)}.")
        for name, value, least in (("segment", self.segment, 1), ("grow", self.grow, 0), ("edges", self.edges, 0)):
            if value < least:
                raise ValueError(f"{name} is {value}: it must be {least} or more.")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"The size is {self.size[1]} x {self.size[0]}: a side has at least 1 pixel.")


def memory_view(
    state: MemoryState,
    path: Trajectory,
    retriever: RetrievalSettings,
    settings: ViewSettings | None = None,
    device: str = "cpu",
) -> Iterator[View]:
    """What ``state`` knows of each frame of ``path``, a few frames at a time, in order.

    For each stretch of the path frames are found as for a segment of a film, and their pixels are moved by the depth
    that the memory has of them. A frame without depth is only turned, and only for cameras so near that things at the
    typical distance stay where they are by a pixel. Unknown pixels are filled, have the confidence 0, infinite depth
    and the source -1; ``source`` is the number of a frame of the memory.

    Raises ``ValueError`` for an empty memory.
    """
    if not state.frames or state.size is None:
        raise ValueError("The memory is empty: there is nothing to see. Connect the memory of Remember Pictures, or of "
                         "a Shot Generator.")
    given = settings or ViewSettings()
    size = given.size or state.size
    shrink = 2 if given.detail == HALF else 1
    drawn_size, read = _divided(size, shrink), _Reader(state, given.edges, _divided(state.size, shrink))
    before: Pixels | None = None
    for start in range(0, len(path), given.segment):
        part = path[start : start + given.segment]
        found = _on_disk(state, np.sort(retrieve(state, part, retriever).indices))
        far = distances(state, part, retriever).depth
        for made in _seen_from(read, state, found, part, drawn_size, far, device):
            drawn = _filled(_enlarged(made, size), given, before)
            before = drawn.pictures[-1]
            yield drawn


class MemoryGlance:
    """Single small views of one memory, of ``size`` (height, width): what is read of its frames is kept from one to the
    next. For one thread at a time."""

    def __init__(self, state: MemoryState, size: tuple[int, int]) -> None:
        self._state, self._size, self._read = state, size, _Reader(state, 0, size)

    def view(self, frames: NDArray[np.int64], camera: Trajectory, distance: float) -> View:
        """What ``frames`` (n,) of the memory show of ``camera``, a path of one frame; unknown pixels are grey.

        A frame without depth is only turned, things being about ``distance`` away. Raises ``BankError`` if the disk
        refuses, ``ValueError`` for a memory without pictures.
        """
        found = _on_disk(self._state, np.sort(frames))
        (made,) = _seen_from(self._read, self._state, found, camera, self._size, distance, "cpu")
        return _filled(made, ViewSettings(), None)


def _seen_from(
    read: _Reader, state: MemoryState, found: NDArray[np.int64], path: Trajectory, size: tuple[int, int],
    distance: float, device: str,
) -> Iterator[View]:
    """What the frames ``found`` show of a path: moved by the depth that the memory has of them, or else only turned."""
    read.only(found)
    deep = read.deep(found)
    ways = [_moved(read, state, found[deep], path, size, None, device)] if deep.any() or not len(found) else []
    if not deep.all():
        ways.append(_moved(read, state, found[~deep], path, size, distance, device))
    for together in zip(*ways, strict=True):
        yield together[0] if len(together) == 1 else _joined(*together)


def known_shares(part: View) -> NDArray[np.float64]:
    """(T,) the share 0..1 of each frame's pixels that is known."""
    return np.asarray(part.known.mean(axis=(1, 2)), dtype=np.float64)


def _divided(size: tuple[int, int], by: int) -> tuple[int, int]:
    return max(1, size[0] // by), max(1, size[1] // by)


def _enlarged(part: View, size: tuple[int, int]) -> View:
    """A view at another size (height, width): pictures are smoothed, of the rest the nearest is picked."""
    if part.pictures.shape[1:3] == size:
        return part
    ways = {"pictures": cv2.INTER_CUBIC, "confidence": cv2.INTER_NEAREST, "depth": cv2.INTER_NEAREST,
            "source": cv2.INTER_NEAREST}  # fmt: skip
    # What is unknown is grey, and grey must not be smoothed into what is known.
    shown = replace(part, pictures=np.stack([_blurred(*one) for one in zip(part.pictures, ~part.known, strict=True)]))
    return View(
        *(np.stack([cv2.resize(one, size[::-1], interpolation=how) for one in getattr(shown, name)])
          for name, how in ways.items())
    )  # fmt: skip


def _on_disk(state: MemoryState, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the frames whose pictures are still there."""
    if state.bank is None:
        raise ValueError("This memory has no bank and so no pictures. Start from a Memory Bank.")
    return np.asarray(indices[state.bank.kept(state, indices)], dtype=np.int64)


class _Reader:
    """Pixels and depth, of ``size`` (height, width), of the frames that are looked at now; those that come again are
    read once."""

    def __init__(self, state: MemoryState, edges: int, size: tuple[int, int]) -> None:
        self._state, self._edges, self._size = state, edges, size
        self._pixels: dict[int, Pixels] = {}
        self._depth: dict[int, NDArray[np.float32] | None] = {}

    def only(self, frames: NDArray[np.int64]) -> None:
        """Reads these frames (n,), and forgets all others."""
        wanted = frames.tolist()
        new = [frame for frame in wanted if frame not in self._pixels]
        self._pixels = {frame: self._pixels[frame] for frame in wanted if frame in self._pixels}
        self._depth = {frame: self._depth[frame] for frame in wanted if frame in self._depth}
        if not new:
            return
        pixels = self._state.read_frames(new)
        if pixels.shape[1:3] != self._size:
            smaller = [cv2.resize(one, self._size[::-1], interpolation=cv2.INTER_AREA) for one in pixels]
            pixels = np.stack(smaller).astype(np.uint8)
        self._pixels |= dict(zip(new, pixels, strict=True))
        maps = self._state.depth(new) if self._state.has_depth else np.full((len(new), 1, 1), np.nan, np.float32)
        for row, frame in enumerate(new):
            small = _cut(maps[row], self._edges)
            known = bool(np.isfinite(small).any())
            self._depth[frame] = finer_depth(small[None], pixels[row : row + 1])[0] if known else None

    def deep(self, frames: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether there is depth of frames."""
        return np.array([self._depth[frame] is not None for frame in frames.tolist()], dtype=np.bool_)

    def pixels(self, frames: NDArray[np.int64]) -> Pixels:
        """(n, H, W, 3); n may be 0."""
        shown = [self._pixels[frame] for frame in frames.tolist()]
        return np.stack(shown) if shown else np.empty((0, *self._size, 3), np.uint8)

    def depth(self, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, H, W) z-depth of frames that have it; n may be 0."""
        maps = [self._depth[frame] for frame in frames.tolist()]
        found = [one for one in maps if one is not None]
        return np.stack(found) if found else np.empty((0, *self._size), np.float32)


def _moved(
    read: _Reader, state: MemoryState, frames: NDArray[np.int64], path: Trajectory, size: tuple[int, int],
    turned_at: float | None, device: str,
) -> Iterator[View]:
    """What the frames show of the path: moved by their depth, or only turned, things being ``turned_at`` away."""
    poses, intrinsics = state.cameras(frames)
    cameras = replace(path, poses=poses, intrinsics=intrinsics) if len(frames) else path
    depth = read.depth(frames) if turned_at is None else None
    for part in views(read.pixels(frames), depth, cameras, path, size, scene_distance=turned_at, device=device,
                      tile=TILE):  # fmt: skip
        numbers = np.append(frames, -1).astype(np.int32)
        yield replace(part, source=np.asarray(numbers[part.source], dtype=np.int32))


def _joined(first: View, second: View) -> View:
    """What is known of the first, and where it is not, of the second."""
    take = ~first.known & second.known

    def either(name: str) -> NDArray[Any]:
        one, other = getattr(first, name), getattr(second, name)
        return np.asarray(np.where(take[..., None] if one.ndim == 4 else take, other, one))

    return View(*(either(name) for name in ("pictures", "confidence", "depth", "source")))


def _cut(depth: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """A map (h, w) without so many ``samples`` beside each jump, on both sides of it."""
    if not samples:
        return depth
    near = 1 / depth
    jump = np.zeros(depth.shape, dtype=np.uint8)
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            first, second = np.delete(near, -1, axis), np.delete(near, 0, axis)
            apart = np.abs(first - second) > JUMP * np.maximum(first, second)
        before, behind = ([(0, 0), (0, 0)] for _ in range(2))
        before[axis], behind[axis] = (0, 1), (1, 0)
        jump |= np.pad(apart, before) | np.pad(apart, behind)
    reach = 2 * samples - 1
    return np.where(cv2.dilate(jump, np.ones((reach, reach), np.uint8)) > 0, np.nan, depth).astype(np.float32)


def _filled(part: View, settings: ViewSettings, before: Pixels | None) -> View:
    """A view whose unknown has grown and is filled."""
    unknown = ~part.known
    if settings.grow:
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * settings.grow + 1,) * 2)
        unknown = np.stack([cv2.dilate(one.astype(np.uint8), brush) > 0 for one in unknown])
    pictures = part.pictures.copy()
    for row, (picture, hole) in enumerate(zip(pictures, unknown, strict=True)):
        if settings.fill == GREY or (settings.fill == AS_IT_WAS and before is None and row == 0):
            picture[hole] = 128
        elif settings.fill == BLURRED:
            picture[hole] = _blurred(picture, hole)[hole]
        else:
            earlier = pictures[row - 1] if row else before
            assert earlier is not None
            picture[hole] = earlier[hole]
    return View(
        pictures,
        np.where(unknown, 0, part.confidence).astype(np.float32),
        np.where(unknown, np.inf, part.depth).astype(np.float32),
        np.where(unknown, -1, part.source).astype(np.int32),
    )


def _blurred(picture: Pixels, hole: NDArray[np.bool_]) -> Pixels:
    """A picture (H, W, 3) whose hole (H, W) is filled from its rim inwards: each time at half the size, from the mean
    of what is known there (a pull-push pyramid)."""
    colours = [np.where(hole[..., None], 0, picture).astype(np.float32)]
    weights = [(~hole).astype(np.float32)]
    while min(weights[-1].shape) > 1 and weights[-1].min() == 0:
        size = (-(-weights[-1].shape[1] // 2), -(-weights[-1].shape[0] // 2))
        total = cv2.resize(colours[-1] * weights[-1][..., None], size, interpolation=cv2.INTER_AREA)
        weight = cv2.resize(weights[-1], size, interpolation=cv2.INTER_AREA)
        colours.append(np.asarray(total / np.maximum(weight, 1e-6)[..., None], dtype=np.float32))
        weights.append((weight > 0).astype(np.float32))
    grey = np.float32(128)
    filled = np.where(weights[-1][..., None] > 0, colours[-1], grey)
    for colour, weight in zip(colours[-2::-1], weights[-2::-1], strict=True):
        wider = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, 3)
        filled = np.where(weight[..., None] > 0, colour, wider)
    return np.asarray(filled.round().clip(0, 255), dtype=np.uint8)

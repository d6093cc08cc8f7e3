"""Points of a scene followed through the frames of a clip, by optical flow (pyramidal Lucas and Kanade)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray

MOST_SIDE = 960
"""Pictures are looked at no larger than this; a larger one costs time and does not make cameras more exact."""
MOST_POINTS = 700
CELLS = (8, 5)
MOST_IN_CELL = 24
QUALITY = 0.003
BACK_AND_FORTH = 0.6
"""Pixels: how near a point must come to where it was, followed to the next frame and back."""
LEAST_CORNER = 2e-5
"""Least eigenvalue of the gradients around a point that can be followed; below it is noise on a blank wall."""

CORNER = 0.12
"""Where the gradients around a point are this much as strong one way as the other, it is a corner, sure in both ways. A
point on an edge can slip along it, and is believed across it alone."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Tracks:
    """What was seen where: observation m is of the point ``point[m]`` in the frame ``frame[m]``, at ``place[m]``.

    ``frame`` and ``point`` (M,) int64, ordered by frame; ``place`` (M, 2) float64 picture positions (u, v) from 0 to 1.
    ``trust`` (M, 2, 2) times how far off in pixels is how far off as far as that can be told: the identity at a corner;
    on an edge what is along it comes to next to nothing.
    ``points`` is how many points there are, ``sharpness`` (F,) how much detail each frame has (gradient energy), and
    ``kept`` (F,) the share of the points of the frame before that were found again, 1 for the first.
    """

    frame: NDArray[np.int64]
    point: NDArray[np.int64]
    place: FloatArray
    trust: FloatArray
    points: int
    sharpness: FloatArray
    kept: FloatArray

    def __len__(self) -> int:
        return len(self.sharpness)

    def part(self, begin: int, end: int) -> Tracks:
        """Frames ``begin`` to ``end`` alone; points keep their numbers."""
        use = slice(*np.searchsorted(self.frame, (begin, end)))
        return Tracks(self.frame[use] - begin, self.point[use], self.place[use], self.trust[use], self.points,
                      self.sharpness[begin:end], self.kept[begin:end])


def looked_at(picture: NDArray[np.uint8]) -> Grey:
    """A picture (H, W, 3) uint8 RGB as it is looked at: grey (h, w) uint8, at most ``MOST_SIDE`` a side."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    larger = max(grey.shape) / MOST_SIDE
    if larger > 1.0:
        size = (max(1, round(grey.shape[1] / larger)), max(1, round(grey.shape[0] / larger)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(grey)


def follow(
    pictures: NDArray[np.uint8],
    each: Callable[[int], None] | None = None,
    wanted: tuple[tuple[int, FloatArray], ...] = (),
) -> tuple[Tracks, list[NDArray[np.int64]]]:
    """Points of ``pictures`` (F, H, W, 3) uint8 RGB, from frame to frame; new ones are taken up as old ones leave.

    ``each`` is called with the number of every frame that is done, and may raise to stop. ``wanted`` are positions
    (n, 2) in certain frames that are to be followed, too, in both directions; their numbers (n,) as points come second.
    """
    greys = [looked_at(picture) for picture in pictures]
    height, width = greys[0].shape
    size = np.array([width, height], dtype=np.float64)
    sightings: list[_Sighting] = []
    here, numbers = np.empty((0, 2), np.float32), np.empty(0, np.int64)
    count, sharpness, kept = 0, np.zeros(len(greys)), np.ones(len(greys))
    for index, grey in enumerate(greys):
        tensor = _structure(grey)
        if index:
            there, good = flow(greys[index - 1], grey, here, sightings[-1].trust)
            kept[index] = good.mean() if len(good) else 0.0
            here, numbers = there[good], numbers[good]
        sharpness[index] = _sharpness(grey)
        fresh = _corners(grey, here)
        numbers = np.concatenate([numbers, count + np.arange(len(fresh))])
        here = np.concatenate([here, fresh])
        count += len(fresh)
        sightings.append(_Sighting(index, numbers, here, _trusted(tensor, here)))
        if each is not None:
            each(index)
    given: list[NDArray[np.int64]] = []
    for start, positions in wanted:
        given.append(count + np.arange(len(positions)))
        count += len(positions)
        first = ((positions * size) - 0.5).astype(np.float32)
        for step in (1, -1):
            here, numbers, index = first, given[-1], start
            while len(here) and 0 <= index < len(greys):
                seen = _Sighting(index, numbers, here, _trusted(_structure(greys[index]), here))
                if step == 1 or index != start:
                    sightings.append(seen)
                index += step
                if 0 <= index < len(greys):
                    there, good = flow(greys[index - step], greys[index], here, seen.trust)
                    here, numbers = there[good], numbers[good]
    frame = np.concatenate([np.full(len(seen.point), seen.frame) for seen in sightings])
    order = np.argsort(frame, kind="stable")
    point = np.concatenate([seen.point for seen in sightings])[order]
    # cv2 counts from the middle of the first pixel; picture positions from the corner of the picture.
    place = (np.concatenate([seen.place for seen in sightings])[order].astype(np.float64) + 0.5) / size
    trust = np.concatenate([seen.trust for seen in sightings])[order]
    return Tracks(frame[order], point, place, trust, count, sharpness, kept), given


@dataclass(frozen=True, eq=False)
class _Sighting:
    """What one frame sees: points (n,) at positions (n, 2) in pixels, with their trust (n, 2, 2)."""

    frame: int
    point: NDArray[np.int64]
    place: NDArray[np.float32]
    trust: FloatArray


def flow(
    before: Grey, after: Grey, positions: NDArray[np.float32], trust: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points at ``positions`` (n, 2) pixels of one picture (h, w) are in the next, and whether (n,) that is sure:
    followed back, they must come to where they were, as far as their ``trust`` (n, 2, 2) goes."""
    if not len(positions):
        return positions, np.zeros(0, np.bool_)
    height, width = before.shape
    side = int(np.clip(min(height, width) / 25, 9, 21)) | 1
    levels = int(np.clip(np.log2(min(height, width) / (2 * side)), 0, 4))
    at = positions[:, None]
    there, found = _lucas_kanade(before, after, at, side, levels)
    back, again = _lucas_kanade(after, before, there, side, levels)
    good = (found[:, 0] > 0) & (again[:, 0] > 0)
    off = (trust @ (back - at).transpose(0, 2, 1))[:, :, 0]
    good &= (np.abs(off).max(axis=1) < BACK_AND_FORTH) & (np.abs(back - at).max(axis=(1, 2)) < 8 * BACK_AND_FORTH)
    inside = (there[:, 0] > 1).all(axis=1) & (there[:, 0] < (width - 2, height - 2)).all(axis=1)
    return there[:, 0], good & inside


def _lucas_kanade(
    before: Grey, after: Grey, at: NDArray[np.float32], side: int, levels: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Where points ``at`` (n, 1, 2) are in the next picture, and whether (n, 1) they were found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, at, np.empty_like(at), winSize=(side, side), maxLevel=levels, criteria=(3, 30, 0.01),
        minEigThreshold=1e-5,
    )  # fmt: skip
    return np.asarray(there, dtype=np.float32), np.asarray(found, dtype=np.uint8)


def _structure(grey: Grey) -> NDArray[np.float32]:
    """The sums (h, w, 3) of squared gradients around each pixel: xx, xy and yy."""
    x, y = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1.0 / (8 * 255)) for dx in (1, 0))
    return np.asarray(cv2.blur(np.stack([x * x, x * y, y * y], axis=-1), (15, 15)))


def _trusted(tensor: NDArray[np.float32], positions: NDArray[np.float32]) -> FloatArray:
    """``Tracks.trust`` (n, 2, 2) of points at ``positions`` (n, 2) in pixels."""
    column, row = positions.round().astype(int).T if len(positions) else np.zeros((2, 0), int)
    xx, xy, yy = tensor[row, column].astype(np.float64).T
    values, vectors = np.linalg.eigh(np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2))
    ratio = values[:, 0] / np.maximum(values[:, 1], 1e-12)
    scale = np.stack([np.clip(ratio / CORNER, 0.02, 1.0), np.ones(len(ratio))], axis=1)
    return np.asarray((vectors * scale[:, None]) @ vectors.transpose(0, 2, 1))


def _corners(grey: Grey, taken: NDArray[np.float32]) -> NDArray[np.float32]:
    """New points (n, 2) to follow, in pixels, away from those that are ``taken`` (m, 2), and not all in one corner of
    the picture: what moves by itself must not outvote the scene because it has more detail."""
    room = MOST_POINTS - len(taken)
    apart = max(3, round(min(grey.shape) / 48))
    if room < MOST_POINTS // 10:
        return np.empty((0, 2), np.float32)
    free = np.full(grey.shape, 255, np.uint8)
    for x, y in taken.round().astype(int):
        cv2.circle(free, (int(x), int(y)), apart, 0, -1)
    strength = cv2.cornerMinEigenVal(grey, 5, ksize=3)
    best = cv2.resize(cv2.dilate(strength, np.ones((9, 9))), CELLS, interpolation=cv2.INTER_NEAREST)
    best = best[best > LEAST_CORNER]
    free[strength < max(LEAST_CORNER, QUALITY * float(np.median(best)) if len(best) else 0.0)] = 0
    free[:3], free[-3:], free[:, :3], free[:, -3:] = 0, 0, 0, 0
    found = cv2.goodFeaturesToTrack(grey, 4 * MOST_POINTS, 1e-6, apart, mask=free, blockSize=5)
    if found is None:
        return np.empty((0, 2), np.float32)
    fresh, counts = found[:, 0], np.zeros(CELLS, np.int64)
    size = np.array(grey.shape[::-1])
    np.add.at(counts, tuple((taken * CELLS // size).astype(int).T), 1)
    keep = []
    for n, (x, y) in enumerate((fresh * CELLS // size).astype(int)):
        if counts[x, y] < MOST_IN_CELL:
            counts[x, y] += 1
            keep.append(n)
    return np.ascontiguousarray(fresh[keep[:room]])


def _sharpness(grey: Grey) -> float:
    small = cv2.GaussianBlur(grey, (0, 0), 0.8)
    return float(np.square(cv2.Laplacian(small, cv2.CV_32F)).mean())

"""Places that a film sees again after the camera has looked away: what was seen then, moved to where it stands now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..cameras.camera import FloatArray
from ..cameras.pacing import spread
from ..cameras.trajectory import Trajectory
from ..geometry.memory_view import MemoryGlance
from ..retrieval.distances import typical_distance
from ..retrieval.overlap import fans, overlap
from ..state.state import MemoryState
from .likeness import Known, Pixels, psnr, ssim

SAMPLED = 400
LOOKS = 40
SEEN, AWAY = 0.4, 0.2
"""The share of the view, on the map, that is seen again, and the share at most while the camera looks away."""
LEAST_KNOWN = 0.1
"""Of the pixels; fewer say nothing about a place."""
MOST_WIDTH = 832


@dataclass(frozen=True)
class Revisit:
    """The frame ``now`` sees again what ``then`` saw; both count from 0, at ``seconds`` and ``seconds_then``.

    ``known`` is the share of the picture that could be compared; ``psnr`` in dB and ``ssim`` over that. ``first_psnr``
    is what the first picture of the film has in its place, as it is.
    """

    now: int
    then: int
    seconds: float
    seconds_then: float
    shot: int
    shot_then: int
    known: float
    psnr: float
    ssim: float
    first_psnr: float


@dataclass(frozen=True, eq=False)
class Compared:
    """A revisit with its pictures (H, W, 3): ``then`` moved to the camera of ``now``, and which pixels are known."""

    revisit: Revisit
    then: Pixels
    now: Pixels
    known: Known


def revisit_pairs(state: MemoryState, most: int = LOOKS) -> list[tuple[int, int]]:
    """Pairs (now, then) of frames that see the same place with a look away between them, ``most`` at most.

    Looks at 400 frames, evenly spread over the film, on the map, at the distance that things typically have; frames
    that nothing may look at, or whose pictures were dropped, are left out. Evenly spread over the film, in order.
    """
    sampled = np.asarray(spread(state.frames, SAMPLED), dtype=np.int64)
    sampled = sampled[state.flags(sampled).usable]
    if len(sampled) < 3:
        return []
    shared = _shared(state, sampled)
    found = []
    for row in range(2, len(sampled)):
        between = np.minimum.accumulate(shared[row, :row][::-1])[::-1]
        # Of what was seen at least so much before the look away, the most; of equals the earliest.
        before = np.flatnonzero((shared[row, : row - 1] >= SEEN) & (between[1:] <= AWAY))
        if len(before):
            then = int(before[np.argmax(shared[row, before].round(3))])
            found.append((int(sampled[row]), int(sampled[then])))
    return [found[index] for index in spread(len(found), most)] if found else []


def compared(state: MemoryState, pairs: list[tuple[int, int]]) -> Iterator[Compared]:
    """The pairs of frames (now, then) with their pictures, those left out of which less than a tenth can be compared.

    A frame with depth is moved to the other's camera; one without is turned, where the camera stands nearly in its
    place. Raises ``BankError`` if the disk refuses.
    """
    if not pairs or state.size is None:
        return
    size = _size(state.size)
    glance, first = MemoryGlance(state, size), _picture(state, 0, size)
    everywhere = np.asarray(spread(state.frames, SAMPLED), dtype=np.int64)
    distance = typical_distance(state, everywhere)
    for now, then in pairs:
        at = np.array([now, then])
        camera = Trajectory(*state.cameras(at[:1]), state.fps or 1.0, "now")
        moved = glance.view(at[1:], camera, distance)
        known, before = moved.known[0], moved.pictures[0]
        if known.mean() < LEAST_KNOWN:
            continue
        picture = _picture(state, now, size)
        times, shots = state.times_at(at), state.segments.shots(state.segment_at(at))
        revisit = Revisit(
            now, then, float(times[0]), float(times[1]), int(shots[0]), int(shots[1]), float(known.mean()),
            psnr(picture, before, known), ssim(picture, before, known), psnr(first, before, known),
        )
        yield Compared(revisit, before, picture, known)


def change_a_second(state: MemoryState, looks: int = LOOKS) -> float:
    """By how many levels of 255 pixels change within a second, on average: of a still film 0. NaN for one picture."""
    step = max(1, round(state.fps or 1.0))
    if state.frames <= 1 or state.size is None:
        return float("nan")
    step = min(step, state.frames - 1)
    size = _size(state.size, 208)
    starts = spread(state.frames - step, looks)
    changes = [
        np.abs(_picture(state, int(start), size).astype(np.float64) - _picture(state, int(start) + step, size)).mean()
        for start in starts
    ]
    return float(np.mean(changes))


def _shared(state: MemoryState, frames: NDArray[np.int64]) -> FloatArray:
    """(n, n) the share of each frame's view, on the map, that each other saw."""
    poses, intrinsics = state.cameras(frames)
    past = fans(poses, intrinsics)
    return overlap(past, poses, intrinsics, past, typical_distance(state, frames), 0.0, np.inf)


def _size(size: tuple[int, int], width: int = MOST_WIDTH) -> tuple[int, int]:
    """(height, width) as they are, or so that the width is ``width`` at most."""
    return size if size[1] <= width else (max(1, round(size[0] * width / size[1])), width)


def _picture(state: MemoryState, frame: int, size: tuple[int, int]) -> Pixels:
    picture: Pixels = state.read_frames([frame], nearest=True)[0]
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)

"""Cameras of a clip from points followed through it: two views first, then view after view, then all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..cameras.camera import FloatArray
from .bundle import Cameras, Index, Points, Seen, refined, residuals, spread
from .tracks import Tracks
from .two_views import cells, crowd, turn_between, ways_between

KEY_SHIFT, KEY_KEPT = 0.03, 0.6
"""A new keyframe, where points have moved by this share of the picture's width or fewer than that share is left."""
MOST_KEYS = 64
LEAST_POINTS = 12
LEAST_PARALLAX = 1.2
"""Pixels, at 832 wide, that points must move beyond what turning explains before the camera counts as moving."""
OUTLIER = 3.0
GRID = 6
SHARP = 0.3
"""Determinant of the trust in a point from which on it is a corner."""
LEAST_SHARED, MOST_PAIRS = 0.4, 3
GOOD_FIT = 0.7
"""Pixels: where points fit this well, no other beginning is tried."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Cameras of a clip in the axes of its first frame, without a scale where there is no known point.

    ``turn`` (F, 3, 3) camera to world, ``place`` (F, 3). ``reached`` (F,) bool: whether the frame hangs together with
    the first. ``inliers`` (F,) points that are where they should be; ``covered`` (F,) the share of the picture in which
    most are, and ``wrong`` (F,) in which most are not. ``doubt`` (F, 2): standard deviation of the turn in radians and
    of the place. ``turns_only``: no way could be seen. ``points`` and ``point`` (their numbers in the tracks).
    """

    turn: FloatArray
    place: FloatArray
    reached: NDArray[np.bool_]
    inliers: Index
    covered: FloatArray
    wrong: FloatArray
    doubt: FloatArray
    turns_only: bool
    points: Points
    point: Index


class _Clip:
    """Slopes of the tracks, and the way from a frame or a point to its observations."""

    def __init__(self, tracks: Tracks, intrinsics: FloatArray) -> None:
        self.tracks = tracks
        k = intrinsics[tracks.frame]
        self.slope = (tracks.place - k[:, 2:]) / k[:, :2]
        self.begins = np.searchsorted(tracks.frame, np.arange(len(tracks) + 1))
        self.focal = 832.0 * float(np.median(intrinsics[:, 0]))

    def of(self, frame: int) -> tuple[Index, FloatArray, FloatArray]:
        """Points (n,) that a frame sees, ascending, their slopes (n, 2) and trust (n, 2, 2)."""
        part = slice(self.begins[frame], self.begins[frame + 1])
        order = np.argsort(self.tracks.point[part], kind="stable")
        return self.tracks.point[part][order], self.slope[part][order], self.tracks.trust[part][order]

    def common(self, one: int, other: int) -> tuple[Index, FloatArray, FloatArray, FloatArray]:
        """Points (n,) that two frames see, their slopes (n, 2) in each, and their trust (n, 2, 2) in the second."""
        (a, here, _), (b, there, trust) = self.of(one), self.of(other)
        both, first, second = np.intersect1d(a, b, return_indices=True)
        return both, here[first], there[second], trust[second]


def reconstruct(
    tracks: Tracks,
    intrinsics: FloatArray,
    planned: FloatArray | None = None,
    each: Callable[[float], None] | None = None,
) -> Reconstruction:
    """Cameras of a clip from its ``tracks`` and ``intrinsics`` (F, 4).

    ``planned`` poses (F, 4, 4) are tried as a beginning beside what the pictures tell, and taken only where they fit
    better. ``each`` is called now and then with the share that is done, and may raise to stop.
    """
    clip = _Clip(tracks, intrinsics)
    keys = _keyframes(clip)
    chain = _Chain(clip, keys)
    chain.planned = planned
    chain.begin()
    chain.extend(each)
    return chain.finish()


def supported(
    tracks: Tracks, intrinsics: FloatArray, poses: FloatArray, outlier: float
) -> tuple[Index, FloatArray, FloatArray]:
    """How far cameras that something else has estimated, ``poses`` (F, 4, 4), agree with the points of a clip.

    For each frame (F,) how many points are within ``outlier`` pixels, of a picture 832 wide, of where they should be,
    the share of the picture in which most are, and that in which most are not.
    """
    clip = _Clip(tracks, intrinsics)
    everything = list(range(len(tracks)))
    chain = _Chain(clip, everything)
    chain.turn, chain.place = poses[:, :3, :3].copy(), poses[:, :3, 3].copy()
    chain.placed[:] = True
    extent = float(np.linalg.norm(chain.place - chain.place.mean(axis=0), axis=1).mean())
    chain.usual = 0.1 / max(extent, 1e-9)
    chain._deepen()
    return chain._support(everything, outlier)


def _keyframes(clip: _Clip) -> list[int]:
    """Frames between which enough has moved for them to tell something new."""
    frames = len(clip.tracks)
    keys, last = [0], 0
    shift = KEY_SHIFT
    for frame in range(1, frames):
        both, here, there, _ = clip.common(last, frame)
        size = len(clip.of(last)[0])
        moved = float(np.median(np.linalg.norm(there - here, axis=1))) * clip.focal / 832.0 if len(both) else 1.0
        if moved > shift or len(both) < KEY_KEPT * size or frame == frames - 1:
            keys.append(frame)
            last = frame
    if len(keys) > MOST_KEYS:
        keys = sorted({keys[n] for n in np.linspace(0, len(keys) - 1, MOST_KEYS).round().astype(int)})
    return keys


class _Chain:
    """A reconstruction while it is made: cameras of the keyframes that are placed, and points that they see."""

    def __init__(self, clip: _Clip, keys: list[int]) -> None:
        self.clip, self.keys = clip, keys
        self.planned: FloatArray | None = None
        frames, points = len(clip.tracks), clip.tracks.points
        self.turn = np.tile(np.eye(3), (frames, 1, 1))
        self.place = np.zeros((frames, 3))
        self.placed = np.zeros(frames, np.bool_)
        self.turns_only = False
        self.usual = 1.0
        self.centre, self.ray_turn = np.zeros((points, 3)), np.tile(np.eye(3), (points, 1, 1))
        self.value = np.zeros((points, 3))
        self.sure = np.full(points, np.inf)
        """Standard deviation of each point's inverse depth, for one pixel."""
        self.there = np.zeros(points, np.bool_)
        self.bad = np.zeros(len(clip.tracks.frame), np.bool_)

    # The beginning.

    def begin(self) -> None:
        """Places two keyframes far enough apart, and all between them; or finds that the camera only turns."""
        best, least = None, np.inf
        for one, other in self._pairs():
            _, here, there, trust = self.clip.common(one, other)
            corner = np.linalg.det(trust) > SHARP
            ways = ways_between(here[corner], there[corner], self.clip.focal)
            for way in [*ways, *self._planned_way(one, other)]:
                trial = _Chain(self.clip, self.keys)
                misfit = trial._begun(one, other, way)
                if misfit < least:
                    best, least = trial, misfit
            if least < GOOD_FIT:
                break
        if best is None:
            self.turns_only = True
            self.placed[0] = True
            self._deepen()
        else:
            self.__dict__.update(best.__dict__)

    def _planned_way(self, one: int, other: int) -> list[tuple[FloatArray, FloatArray]]:
        """How the plan has the second camera lie to the first, if it has a way between them."""
        if self.planned is None:
            return []
        turn = self.planned[one, :3, :3].T
        way = turn @ (self.planned[other, :3, 3] - self.planned[one, :3, 3])
        length = float(np.linalg.norm(way))
        return [(turn @ self.planned[other, :3, :3], way / length)] if length > 1e-9 else []

    def _pairs(self) -> list[tuple[int, int]]:
        """Pairs of keyframes to begin with, the best first: with much parallax between what both see, which must be
        much of the picture. None where nothing but turning is seen."""
        scored = []
        for n, one in enumerate(self.keys):
            whole = len(np.unique(cells(self.clip.of(one)[1])))
            for m, other in enumerate(self.keys[n + 1 :]):
                both, here, there, trust = self.clip.common(one, other)
                share = len(np.unique(cells(here))) / whole if len(both) else 0.0
                if (np.linalg.det(trust) > SHARP).sum() < 2 * LEAST_POINTS or share < LEAST_SHARED:
                    break
                if m == 0 and n + 2 < len(self.keys):
                    continue
                _, off = turn_between(here, there, trust, self.clip.focal)
                parallax = weighted_median(off, 1.0 / crowd(here))
                if parallax >= LEAST_PARALLAX:
                    scored.append((min(parallax, 40.0) * share, one, other))
        found: list[tuple[int, int]] = []
        for _, one, other in sorted(scored, reverse=True):
            if all(abs(one - a) + abs(other - b) > 0.2 * len(self.clip.tracks) for a, b in found):
                found.append((one, other))
        return found[:MOST_PAIRS]

    def _begun(self, one: int, other: int, way: tuple[FloatArray, FloatArray]) -> float:
        """Places two frames and those between, and tells how badly the points fit, each at most so much."""
        self.turn[other], self.place[other] = way
        self.placed[[one, other]] = True
        self._deepen()
        between = [key for key in self.keys if one < key < other]
        for key in between:
            self._place(key, self._near(key))
        self._refine([one, *between, other], 6, fixed=one)
        return self._misfit([one, *between, other])

    def _place_turning(self, first: int) -> None:
        self.placed[first] = True
        self._deepen()

    # Going on.

    def extend(self, each: Callable[[float], None] | None) -> None:
        """Places keyframe after keyframe, outward from those that are placed, as long as enough is seen again."""
        since = 0
        placed = [n for n, key in enumerate(self.keys) if self.placed[key]]
        low, high = placed[0], placed[-1]
        ahead = [(n, n - 1) for n in range(high + 1, len(self.keys))]
        back = [(n, n + 1) for n in range(low - 1, -1, -1)]
        for way in (ahead, back):
            for done, (n, from_n) in enumerate(way):
                self._deepen()
                if not self._place(self.keys[n], self.keys[from_n]):
                    break
                since += 1
                if since % 5 == 0:
                    self._deepen()
                    self._refine(self._placed_keys(), 3)
                if each is not None:
                    each((done + 1) / max(1, len(self.keys)))

    def _placed_keys(self) -> list[int]:
        return [key for key in self.keys if self.placed[key]]

    def _near(self, frame: int) -> int:
        placed = np.flatnonzero(self.placed)
        return int(placed[np.argmin(np.abs(placed - frame))])

    def _place(self, frame: int, near: int) -> bool:
        """Places a frame, beginning from where a frame ``near`` stands. False where too little is seen again."""
        numbers, slope, trust = self.clip.of(frame)
        use = self.there[numbers]
        numbers, slope, trust = numbers[use], slope[use], trust[use]
        if len(numbers) < LEAST_POINTS:
            return False
        turn, place = self.turn[near], self.place[near]
        both, here, there, between = self.clip.common(near, frame)
        if len(both) >= LEAST_POINTS:
            turn = turn @ turn_between(here, there, between, self.clip.focal)[0]
        found = _resected(self._points(numbers), self.sure[numbers], slope, trust, self.clip.focal, turn, place,
                          self.turns_only)
        turn, place, off = found
        if (off < OUTLIER).sum() < max(LEAST_POINTS, 0.3 * len(off)):
            return False
        self.turn[frame], self.place[frame] = turn, place
        self.placed[frame] = True
        return True

    def _deepen(self) -> None:
        """Depth of each point that a placed frame sees: along its first ray, what all its rays together say, and the
        usual depth as far as they say nothing."""
        tracks = self.clip.tracks
        use = self.placed[tracks.frame] & ~self.bad
        frame, point, slope = tracks.frame[use], tracks.point[use], self.clip.slope[use]
        fresh, first = np.unique(point, return_index=True)
        new = ~self.there[fresh]
        fresh, first = fresh[new], first[new]
        self.centre[fresh], self.ray_turn[fresh] = self.place[frame[first]], self.turn[frame[first]]
        self.value[fresh, :2], self.there[fresh] = slope[first], True
        points = self._points(np.arange(tracks.points))
        back = self.turn[frame].transpose(0, 2, 1)
        ray = (back @ points.direction[point, :, None])[:, :, 0]
        away = (back @ (points.centre[point] - self.place[frame])[:, :, None])[:, :, 0]
        ahead = np.maximum(ray[:, 2:], 1e-3)
        known, lever = (
            (tracks.trust[use] @ ((part[:, :2] - slope * part[:, 2:]) / ahead)[:, :, None])[:, :, 0]
            for part in (ray, away)
        )
        told = np.bincount(point, (lever * lever).sum(axis=1), tracks.points) * self.clip.focal**2
        pulled = np.bincount(point, (lever * known).sum(axis=1), tracks.points) * self.clip.focal**2
        doubt = 1.0 / np.sqrt(told + 1e-12)
        sound = self.there & (doubt < 0.2 * np.abs(pulled / (told + 1e-12))) & (pulled < 0.0)
        if sound.sum() >= LEAST_POINTS:
            self.usual = float(np.median(-pulled[sound] / told[sound]))
        stiff = 1.0 / (1.0 * self.usual) ** 2
        rho = (-pulled + stiff * self.usual) / (told + stiff)
        # Those that are refined already keep what the refinement found.
        unset = self.there & ((self.sure > 0.3 * self.usual) | (self.value[:, 2] <= 0.0))
        self.value[unset, 2] = np.maximum(rho[unset], 1e-3 * self.usual)
        self.sure[self.there] = 1.0 / np.sqrt(told[self.there] + stiff)

    def _points(self, numbers: Index) -> Points:
        return Points(self.centre[numbers], self.ray_turn[numbers], self.value[numbers], self.usual,
                      np.zeros(len(numbers), np.bool_))

    def _problem(self, frames: list[int]) -> tuple[Cameras, Points, Seen, Index]:
        """Cameras of ``frames``, the points that at least two of them see (with their numbers), and what they see."""
        tracks = self.clip.tracks
        place_of = np.full(len(tracks), -1)
        place_of[frames] = np.arange(len(frames))
        use = (place_of[tracks.frame] >= 0) & ~self.bad & self.there[tracks.point]
        often = np.bincount(tracks.point[use], minlength=tracks.points)
        use &= often[tracks.point] >= min(3, len(frames))
        numbers, point = np.unique(tracks.point[use], return_inverse=True)
        seen = Seen(place_of[tracks.frame[use]], point, self.clip.slope[use], tracks.trust[use], self.clip.focal)
        return Cameras(self.turn[frames], self.place[frames]), self._points(numbers), seen, numbers

    def _refine(self, frames: list[int], steps: int, fixed: int | None = None) -> None:
        cameras, points, seen, numbers = self._problem(frames)
        if not len(numbers):
            return
        still = np.zeros(len(frames), np.bool_)
        still[frames.index(fixed) if fixed is not None else 0] = True
        cameras, points = refined(cameras, points, seen, still, steps, self.turns_only)
        self.turn[frames], self.place[frames] = cameras.turn, cameras.place
        self.value[numbers] = points.value

    def _misfit(self, frames: list[int]) -> float:
        """How badly points fit, in pixels, at most a few each; every part of a picture counts the same, however many
        points it has."""
        cameras, points, seen, numbers = self._problem(frames)
        if not len(numbers):
            return np.inf
        off = np.linalg.norm(residuals(cameras, points, seen), axis=1)
        _, cell, count = np.unique(seen.frame * 10**7 + cells(seen.slope), return_inverse=True, return_counts=True)
        weight = 1.0 / count[cell.reshape(-1)]
        behind = points.value[seen.point, 2] < 2e-4 * points.usual
        return float(((np.minimum(off, 4.0) + 2.0 * behind) * weight).sum() / weight.sum())

    # The end.

    def finish(self) -> Reconstruction:
        """All keyframes refined together, outliers left out, and the frames between placed."""
        keys = self._placed_keys()
        tracks, frames = self.clip.tracks, len(self.clip.tracks)
        for _ in range(2):
            self._deepen()
            self._refine(keys, 10)
            self._leave_out(keys)
        self._refine(keys, 10)
        self._deepen()
        for frame in range(frames):
            if not self.placed[frame] and self._within(frame, keys):
                self._place(frame, self._near(frame))
        origin_turn, origin = self.turn[0].T.copy(), self.place[0].copy()
        cameras, points, seen, numbers = self._problem(keys)
        still = np.zeros(len(keys), np.bool_)
        still[0] = True
        off = np.linalg.norm(residuals(cameras, points, seen), axis=1)
        noise = 1.48 * float(np.median(off)) if len(off) else 1.0
        doubt = self._doubt(keys, spread(cameras, points, seen, still, self.turns_only), max(0.1, noise))
        inliers, covered, wrong = self._support(keys)
        reached = self.placed.copy()
        turn = origin_turn @ self.turn
        place = (self.place - origin) @ origin_turn.T
        result_points = Points((points.centre - origin) @ origin_turn.T, origin_turn @ points.turn, points.value,
                               self.usual, points.known)
        assert len(tracks) == frames
        return Reconstruction(turn, place, reached, inliers, covered, wrong, doubt, self.turns_only, result_points,
                              numbers)

    def _within(self, frame: int, keys: list[int]) -> bool:
        return keys[0] <= frame <= keys[-1]

    def _leave_out(self, keys: list[int]) -> None:
        """Observations that are far off are left out, and points of which half are."""
        tracks = self.clip.tracks
        use = np.flatnonzero(self.placed[tracks.frame] & self.there[tracks.point] & np.isin(tracks.frame, keys))
        cameras = Cameras(self.turn, self.place)
        seen = Seen(tracks.frame[use], tracks.point[use], self.clip.slope[use], tracks.trust[use], self.clip.focal)
        off = np.linalg.norm(residuals(cameras, self._points(np.arange(tracks.points)), seen), axis=1)
        limit = max(OUTLIER / 2, 4.0 * float(np.median(off))) if len(off) else OUTLIER
        bad = off > min(limit, OUTLIER)
        self.bad[use] = bad
        share = np.bincount(tracks.point[use], bad, tracks.points) / np.maximum(
            1, np.bincount(tracks.point[use], minlength=tracks.points))
        self.bad |= share[tracks.point] > 0.5

    def _doubt(self, keys: list[int], covariance: FloatArray, noise: float) -> FloatArray:
        """(F, 2) standard deviations of turn and place of all frames, those of the nearest keyframe."""
        own = np.sqrt(np.stack([
            np.linalg.eigvalsh(covariance[:, :3, :3])[:, -1], np.linalg.eigvalsh(covariance[:, 3:, 3:])[:, -1],
        ], axis=1).clip(0.0)) * noise
        near = np.abs(np.arange(len(self.clip.tracks))[:, None] - np.array(keys)[None]).argmin(axis=1)
        return np.asarray(own[near])

    def _support(self, keys: list[int], outlier: float = OUTLIER) -> tuple[Index, FloatArray, FloatArray]:
        """For each frame: how many of its points are where they should be, the share of the picture in which most are,
        and the share in which most are not. Of the points, those that some keyframes see."""
        tracks, frames = self.clip.tracks, len(self.clip.tracks)
        often = np.bincount(tracks.point[np.isin(tracks.frame, keys)], minlength=tracks.points)
        use = (often >= min(3, len(keys)))[tracks.point] & self.placed[tracks.frame] & self.there[tracks.point]
        seen = Seen(tracks.frame[use], tracks.point[use], self.clip.slope[use], tracks.trust[use], self.clip.focal)
        cameras = Cameras(self.turn, self.place)
        off = np.linalg.norm(residuals(cameras, self._points(np.arange(tracks.points)), seen), axis=1)
        good = (off < outlier) & ~self.bad[use]
        cell = np.clip((tracks.place[use] * GRID).astype(int), 0, GRID - 1)
        square = (seen.frame * GRID + cell[:, 1]) * GRID + cell[:, 0]
        right, whole = (np.bincount(square, part, frames * GRID * GRID).reshape(frames, -1) for part in (good, None))
        held = right > 0.5 * whole
        return (np.bincount(seen.frame[good], minlength=frames), held.mean(axis=1),
                ((whole > 0) & ~held).mean(axis=1))


def weighted_median(values: FloatArray, weight: FloatArray) -> float:
    """The value of ``values`` (n,) below which half of the ``weight`` (n,) lies."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weight[order])
    return float(values[order[np.searchsorted(sums, 0.5 * sums[-1])]])


def _resected(
    points: Points, sure: FloatArray, slope: FloatArray, trust: FloatArray, focal: float, turn: FloatArray,
    place: FloatArray, turn_only: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The camera that sees ``points`` at ``slope`` (n, 2), and how far off (n,) each is in pixels.

    Points whose inverse depth is less ``sure`` (n,) count less, as far as that shows from here. Begins from ``turn``
    (3, 3) and ``place`` (3,); robust, from a wide loss to a narrow one.
    """
    turns, positions = turn[None], place[None]
    off = np.zeros(len(slope))
    columns = 3 if turn_only else 6
    for width in (16.0, 16.0, 8.0, 8.0, 4.0, 4.0, 2.0, 2.0, 2.0):
        away = points.centre - positions[0]
        local = (points.direction + points.value[:, 2:] * away) @ turns[0]
        ahead = np.maximum(local[:, 2], 1e-3)
        error = (trust @ (local[:, :2] / ahead[:, None] - slope)[:, :, None])[:, :, 0] * focal
        off = np.linalg.norm(error, axis=1)
        onto = np.zeros((len(slope), 2, 3))
        onto[:, 0, 0] = onto[:, 1, 1] = focal / ahead
        onto[:, :, 2] = -local[:, :2] / (ahead * ahead)[:, None] * focal
        onto = trust @ onto
        lever = (onto @ (away @ turns[0])[:, :, None])[:, :, 0]
        blur = np.square(lever).sum(axis=1) * np.square(np.minimum(sure, 1e6))
        weight = (local[:, 2] > 1e-3) / (1.0 + blur) / (1.0 + np.square(off / width)) ** 2
        jacobian = np.empty((len(slope), 2, 6))
        jacobian[:, :, :3] = onto @ _crossed(local)
        jacobian[:, :, 3:] = -points.value[:, 2, None, None] * (onto @ turns[0].T)
        jacobian = jacobian[:, :, :columns]
        flat = jacobian.reshape(-1, columns)
        heavy = flat * np.repeat(weight, 2)[:, None]
        left, right = heavy.T @ flat, -heavy.T @ error.reshape(-1)
        step = np.zeros(6)
        step[:columns] = np.linalg.solve(left + 1e-6 * np.diag(left.diagonal()) + 1e-9 * np.eye(columns), right)
        turns = turns @ Rotation.from_rotvec(step[None, :3]).as_matrix()
        positions = positions + step[None, 3:]
    return turns[0], positions[0], off


def _crossed(local: FloatArray) -> FloatArray:
    result = np.zeros((len(local), 3, 3))
    x, y, z = local.T
    result[:, 0, 1], result[:, 0, 2], result[:, 1, 2] = -z, y, -x
    result[:, 1, 0], result[:, 2, 0], result[:, 2, 1] = z, -y, x
    return result

"""The published rules of choosing context frames, for level cameras, as their papers and code describe them.

Each gives ``k`` frames, the most recent one first, from the past cameras of a case; none knows a wall. Where a rule is
written for a fixed number of memories it is carried on in its own manner to ``k``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....memory.retrieval.overlap import fans, rays_cross
from .cases import Case
from .oracle import BoolArray, FloatArray, Integers, greedy_cover, target_views

Rule = Callable[[Case, int, np.random.Generator], list[int]]
NEAR, FAR = 0.1, 30.0
_BLOCK = 128


def context_as_memory(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """FOV + non-adjacent (Context-as-Memory 3.3): one random frame of each run of frames whose boundary rays cross.

    A frame is a candidate if its left ray crosses a target's left ray and its right ray the target's right one, neither
    too near nor too far. With more runs than places, random runs; with fewer, further rounds over what is left.
    """
    ahead = target_views(len(case.coming))
    views = fans(case.coming[ahead], case.coming_lenses[ahead])
    free = rays_cross(views, fans(case.past, case.lenses), NEAR, FAR).any(axis=0)
    last = len(case.past) - 1
    chosen = [last]
    while len(chosen) < k:
        for index in chosen:
            free[max(0, index - 1) : index + 2] = False
        there = np.flatnonzero(free)
        if not len(there):
            break
        runs = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)
        picks = [int(random.choice(run)) for run in runs]
        random.shuffle(picks)
        chosen += picks[: k - len(chosen)]
    return chosen


def worldmem(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """Greedy Monte-Carlo cover (WorldMem): 10,000 points in a sphere of 30 around the camera, less 0.2 times the age.

    The score of a frame is the share of the target's points that it has in view and that no chosen frame has yet, less
    0.2 * age / length of the film. The points are those of all target views.
    """
    views = target_views(len(case.coming))
    points = _sphere(10_000 // len(views), 30.0, random)
    seen = np.concatenate([_seen_points(case, view, points) for view in views], axis=1)
    return _greedy_with_age(seen, k)


def hy_worldplay(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """Chunks of 4 latents (16 frames) by the mean overlap with the target views (HY-WorldPlay).

    Points of the target's frustum count for a past frame that has them in view within 8.0. A chunk gives its 4 latents'
    frames. The first chunk of the film and the most recent one are always taken, where ``k`` has room for both.
    """
    last = len(case.past) - 1
    views = target_views(len(case.coming))
    latents = np.arange(0, last, 4)[: len(np.arange(0, last, 4)) // 4 * 4]
    score = np.zeros(len(latents))
    for view in views:
        points = case.coming[view, :3, 3] + _frustum(case, view, _sphere(4000, 8.0, random))
        score += _in_view(case, latents, points, 8.0).mean(axis=1) / len(views)
    chunks = latents.reshape(-1, 4)
    order = [int(i) for i in np.argsort(-score.reshape(-1, 4).mean(axis=1), kind="stable")]
    fixed = [0, len(chunks) - 1] if k > 9 else []
    order = fixed + [i for i in order if i not in fixed]
    chosen = [last]
    for chunk in order:
        chosen += [int(i) for i in chunks[chunk]]
    return chosen[:k]


def matrix_game(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """For each reference view the frame with the largest share of its frustum grid (Matrix-Game 3, first routine).

    A grid of 10 x 10 x 10 points between 0.1 and 30; nothing keeps two references from taking the same frame, and the
    last place goes to frame 4, as in their code.
    """
    last = len(case.past) - 1
    places = k - 1
    views = np.linspace(len(case.coming) - 1, 0, places).round().astype(int)
    chosen = [last]
    for view in views:
        share = _in_view(case, np.arange(1, last), _grid(case, view), FAR).mean(axis=1)
        chosen.append(1 + int(np.argmax(share)))
    if k > 2:
        chosen[-1] = 4
    return list(dict.fromkeys(chosen))


def matrix_game_blocks(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """The second routine of Matrix-Game 3: candidates every 4 frames, no two of an aligned block of 4.

    Where no candidate overlaps the reference, the most recent frame not yet taken.
    """
    last = len(case.past) - 1
    candidates = np.arange(0, last, 4)
    free = np.ones(len(candidates), dtype=bool)
    chosen = [last]
    for view in np.linspace(len(case.coming) - 1, 0, k - 1).round().astype(int):
        if not free.any():
            break
        share = np.where(free, _in_view(case, candidates, _grid(case, view), FAR).mean(axis=1), -1.0)
        best = int(np.argmax(share)) if share.max() > 0 else int(np.flatnonzero(free)[-1])
        free[best] = False
        chosen.append(int(candidates[best]))
    return chosen[:k]


def plain_greedy(case: Case, k: int, random: np.random.Generator) -> list[int]:
    """Greedy cover of what the coming views hold, nothing in the way: no paper's rule, but what anyone would try first.

    A grid of 10 x 10 rays a view at 10 distances, evenly in their logarithm, from half a metre to 64. Where all is
    shown, the places left over stay empty.
    """
    seen = []
    for view in target_views(len(case.coming)):
        grid = _grid(case, view)
        along = np.geomspace(0.5, 64.0, 10) / np.linspace(NEAR, FAR, 10)
        eye = case.coming[view, :3, 3]
        points = eye + ((grid - eye).reshape(-1, 10, 3) * along[:, None]).reshape(-1, 3)
        seen.append(_in_view(case, np.arange(len(case.past)), points, np.inf))
    return greedy_cover(np.concatenate(seen, axis=1), k, [len(case.past) - 1])


RULES: dict[str, Rule] = {
    "Context-as-Memory": context_as_memory,
    "WorldMem": worldmem,
    "HY-WorldPlay": hy_worldplay,
    "Matrix-Game 3": matrix_game,
    "Matrix-Game 3 blocks": matrix_game_blocks,
}


def _greedy_with_age(seen: BoolArray, k: int) -> list[int]:
    last = len(seen) - 1
    age = 0.2 * (last - np.arange(last + 1)) / max(1, last)
    chosen = [last]
    left = seen.astype(np.float32)
    total = max(1, seen.shape[1])
    open_points = (~seen[last]).astype(np.float32)
    while len(chosen) < min(k, last + 1):
        score = left @ open_points / total - age
        score[chosen] = -np.inf
        best = int(np.argmax(score))
        chosen.append(best)
        open_points *= ~seen[best]
    return chosen


def _seen_points(case: Case, view: int, offsets: FloatArray) -> BoolArray:
    """(N, points) of a target view's points that each past frame has in view, without bounds of distance."""
    points = case.coming[view, :3, 3] + _frustum(case, view, offsets)
    return _in_view(case, np.arange(len(case.past)), points, np.inf)


def _frustum(case: Case, view: int, offsets: FloatArray) -> FloatArray:
    """Those of the ``offsets`` (n, 3) from a coming camera that lie in its view."""
    local, lens = offsets @ case.coming[view, :3, :3], case.coming_lenses[view]
    keep = (local[:, 2] > 0) & (np.abs(local[:, 0]) * lens[0] < 0.5 * local[:, 2])
    keep &= np.abs(local[:, 1]) * lens[1] < 0.5 * local[:, 2]
    return offsets[keep]


def _in_view(case: Case, frames: Integers, points: FloatArray, reach: float) -> BoolArray:
    """(N, n) whether past ``frames`` (N,) have points (n, 3) in their frustum, nearer than ``reach``."""
    past, lenses = case.past[frames], case.lenses[frames].astype(np.float32)
    result = np.zeros((len(past), len(points)), dtype=bool)
    near = (points - points[0]).astype(np.float32).T if len(points) else np.zeros((3, 0), dtype=np.float32)
    for begin in range(0, len(past), _BLOCK):
        part = past[begin : begin + _BLOCK]
        wide, high = (2 * lenses[begin : begin + _BLOCK, axis, None] for axis in range(2))
        turns = part[:, :3, :3].astype(np.float32)
        offset = np.einsum("nij,ni->nj", part[:, :3, :3], part[:, :3, 3] - points[:1]).astype(np.float32)
        x, y, z = (turns[:, :, axis] @ near - offset[:, axis, None] for axis in range(3))
        inside = (np.abs(x) * wide < z) & (np.abs(y) * high < z)
        if np.isfinite(reach):
            inside &= x * x + y * y + z * z < np.float32(reach**2)
        result[begin : begin + len(part)] = inside
    return result


def _sphere(count: int, radius: float, random: np.random.Generator) -> FloatArray:
    ways = random.normal(size=(count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return np.asarray(ways * radius * np.cbrt(random.random((count, 1))))


def _grid(case: Case, view: int) -> FloatArray:
    steps, lens, pose = (np.arange(10) + 0.5) / 10 - 0.5, case.coming_lenses[view], case.coming[view]
    x, y, z = np.meshgrid(steps / lens[0], steps / lens[1], np.linspace(NEAR, FAR, 10), indexing="ij")
    local = np.stack([x * z, y * z, z], axis=-1).reshape(-1, 3)
    return np.asarray(pose[:3, 3] + local @ pose[:3, :3].T)

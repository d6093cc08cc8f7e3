"""The choice of context frames for a segment, and why each was chosen (Context-as-Memory, algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..camera import FloatArray
from ..state import MemoryState
from ..trajectory import Trajectory
from .overlap import fans, overlap, rays_cross
from .settings import RetrievalSettings
from .strategies import STRATEGIES, Question

NEIGHBOUR_SECONDS = 0.5

TARGET_VIEWS = 8
"""Views of a segment that are compared with the past: its ends and an even spread between."""


@dataclass(frozen=True)
class Reason:
    """Why a frame was chosen.

    ``rule`` in plain words. ``overlap`` 0..1 is the largest share of one of the segment's views that the frame saw.
    ``age_s`` is the time in seconds from the frame to the start of the segment. ``text`` is a line for the artist.
    """

    index: int
    rule: str
    overlap: float
    age_s: float
    text: str


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Chosen frames: ``indices`` (n,) int64 in the order chosen, ``reasons`` for each, the number of ``candidates``.

    The most recent frame comes first, then the most useful, so a model with a smaller window can take a prefix.
    ``candidates`` counts the past frames that saw part of the segment.
    """

    indices: NDArray[np.int64]
    reasons: tuple[Reason, ...]
    candidates: int

    def __len__(self) -> int:
        return len(self.indices)


def retrieve(state: MemoryState, targets: Trajectory, settings: RetrievalSettings) -> Retrieval:
    """Up to ``settings.k`` frames of ``state`` for the segment that will be seen from ``targets``.

    The most recent frame is always among them; the others follow ``settings.strategy``. Fewer are returned when fewer
    fit the rule, and none from an empty memory. The same memory, path and settings give the same choice.
    """
    if state.frames == 0:
        return Retrieval(_frozen([]), (), 0)
    shares, candidate = _look(state, targets, settings)
    question = Question(
        count=settings.k - 1,
        gap=max(1, round((state.fps or 0.0) * NEIGHBOUR_SECONDS)),
        far_share=settings.far_share,
        places=state.poses[:, :3, 3],
        times=state.times,
        shares=shares,
        candidate=candidate,
        random=np.random.default_rng([settings.seed, state.frames]),
    )
    last = state.frames - 1
    chosen = [(last, "most recent")]
    if question.count > 0:
        chosen += [(index, rule) for index, rule in STRATEGIES[settings.strategy](question) if index != last]
    best = shares.max(axis=0)
    reasons = tuple(
        _reason(index, rule, float(best[index]), state.end_time - float(state.times[index])) for index, rule in chosen
    )
    return Retrieval(_frozen([index for index, _ in chosen]), reasons, int(candidate.sum()))


def _look(
    state: MemoryState, targets: Trajectory, settings: RetrievalSettings
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The shares (T, N) of the target views that the frames saw, and which frames (N,) saw part of one."""
    views = np.unique(np.linspace(0, len(targets) - 1, TARGET_VIEWS).round().astype(np.int64))
    poses, intrinsics = targets.poses[views], targets.intrinsics[views]
    ahead, past = fans(poses, intrinsics), fans(state.poses, state.intrinsics)
    shares = overlap(ahead, poses, intrinsics, past, settings.depth, settings.near, settings.far)
    crossing = rays_cross(ahead, past, settings.near, settings.far)
    return shares, np.asarray(((shares >= max(settings.min_overlap, 1e-9)) | crossing).any(axis=0))


def _reason(index: int, rule: str, share: float, age: float) -> Reason:
    text = f"Frame {index}, {age:.1f} s ago: {rule}; it saw up to {share:.0%} of a coming view."
    return Reason(index, rule, share, age, text)


def _frozen(indices: list[int]) -> NDArray[np.int64]:
    result = np.asarray(indices, dtype=np.int64)
    result.flags.writeable = False
    return result

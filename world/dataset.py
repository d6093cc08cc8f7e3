"""Training data that never ends and is never stored: scenes rendered while training, kept in a rolling pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from .render import render
from .scenes import make_scene
from .vocabulary import tokenize
from .walks import random_walk


@dataclass(frozen=True)
class Walk:
    """One rendered walk: frames (F, H, W, 3) uint8, poses (F, 4, 4), intrinsics (F, 4), caption tokens (L,)."""

    frames: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one training step sees. Pictures are (B, 3, F, H, W) in [-1, 1]."""

    target: Tensor
    poses: Tensor
    intrinsics: Tensor
    context: Tensor
    context_poses: Tensor
    context_intrinsics: Tensor
    tokens: Tensor


def rendered_walk(seed: int, frames: int, width: int, height: int) -> Walk:
    """Render the walk of a seed: the same seed gives the same walk."""
    scene = make_scene(seed)
    poses, intrinsics = random_walk(scene, frames, np.random.default_rng([seed, 1]))
    pictures = render(scene, poses, intrinsics, width, height)
    return Walk(
        pictures.numpy(), poses.astype(np.float32), intrinsics.astype(np.float32), np.array(tokenize(scene.caption))
    )


class WalkStream(IterableDataset):
    """Rendered walks of consecutive seeds from `first_seed`, shared out among the workers."""

    def __init__(self, first_seed: int, frames: int, width: int, height: int) -> None:
        self.first_seed, self.frames, self.width, self.height = first_seed, frames, width, height

    def __iter__(self) -> Iterator[Walk]:
        info = torch.utils.data.get_worker_info()
        seed, step = self.first_seed + (info.id if info else 0), info.num_workers if info else 1
        while True:
            yield rendered_walk(seed, self.frames, self.width, self.height)
            seed += step


class Pool:
    """The newest `capacity` walks, from which batches are drawn."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.walks: list[Walk] = []
        self.added = 0

    def add(self, walk: Walk) -> None:
        """Keep a walk; the oldest makes room."""
        if len(self.walks) < self.capacity:
            self.walks.append(walk)
        else:
            self.walks[self.added % self.capacity] = walk
        self.added += 1

    def batch(self, rng: np.random.Generator, size: int, targets: int, contexts: int) -> Batch:
        """Draw segments of `targets` frames with `contexts` context frames each."""
        picked = [_example(self.walks[rng.integers(len(self.walks))], rng, targets, contexts) for _ in range(size)]
        return collate(picked)


Example = tuple[np.ndarray, ...]


def _example(walk: Walk, rng: np.random.Generator, targets: int, contexts: int) -> Example:
    total = len(walk.frames)
    start = int(rng.integers(0, total - targets + 1))
    target = np.arange(start, start + targets)
    if rng.random() < 0.5:
        target = target[::-1]
    context = choose_context(walk, rng, target, contexts)
    return example_of(walk, target, context, mirrored=bool(rng.random() < 0.5))


def choose_context(walk: Walk, rng: np.random.Generator, target: np.ndarray, count: int) -> np.ndarray:
    """Context frames for a segment: mostly those that see what it sees, and nearly always the frame before."""
    total = len(walk.frames)
    free = np.setdiff1d(np.arange(total), target)
    before = int(target[0]) - int(np.sign(target[-1] - target[0]) or 1)
    chosen: list[int] = []
    if count and 0 <= before < total and before in free and rng.random() < 0.9:
        chosen.append(before)
        free = free[free != before]
    if rng.random() < 0.65:
        middle = walk.poses[target[len(target) // 2]]
        angle = np.arccos(np.clip(walk.poses[free, :3, 2] @ middle[:3, 2], -1, 1))
        distance = np.linalg.norm(walk.poses[free, :3, 3] - middle[:3, 3], axis=1)
        weight = np.exp(-((angle / 0.6) ** 2) - (distance / 2.0) ** 2) + 1e-3
    else:
        weight = np.ones(len(free))
    rest = rng.choice(free, count - len(chosen), replace=False, p=weight / weight.sum())
    return np.array([*chosen, *rest], dtype=np.int64)


def example_of(walk: Walk, target: np.ndarray, context: np.ndarray, mirrored: bool = False) -> Example:
    """Arrays of one example; mirrored left to right if asked, cameras with it."""
    parts: list[np.ndarray] = []
    for index in (target, context):
        frames, poses, intrinsics = walk.frames[index], walk.poses[index].copy(), walk.intrinsics[index]
        if mirrored:
            flip = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)
            frames, poses = frames[:, :, ::-1], flip @ poses @ flip
        parts += [frames, poses, intrinsics]
    return (*parts, walk.tokens)


def collate(examples: list[Example]) -> Batch:
    """Stack examples and turn pictures into (B, 3, F, H, W) floats."""
    target, poses, intrinsics, context, context_poses, context_intrinsics, tokens = (
        torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True)
    )

    def pictures(frames: Tensor) -> Tensor:
        return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    return Batch(
        pictures(target), poses, intrinsics, pictures(context), context_poses, context_intrinsics, tokens.long()
    )

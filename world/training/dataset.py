"""Training data: scenes rendered while training, kept in a rolling store on disk.

A store is a folder of memory-mapped arrays that one process fills and another reads, so that rendering and training
never wait for each other.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from ..render import render_with_depth
from ..scenes import FIRST_TRAINING_SEED, make_scene, set_moving
from ..vocabulary import MAX_TOKENS, tokenize
from ..walks import random_walk, tour

log = logging.getLogger("world.training.dataset")

WIDTH, HEIGHT, WALK_FRAMES = 96, 60, 32
FPS = 8.0
MOVING_SHARE = 0.06
PAST_SHARE = 0.5
FARTHEST = 50.0


@dataclass(frozen=True)
class Walk:
    """One rendered walk.

    frames (F, H, W, 3) uint8, nearness (F, H, W) float16 (one over z-depth, 0 for the sky), poses (F, 4, 4),
    intrinsics (F, 4), tokens (F, L): the caption of the room that the camera is in.
    """

    frames: np.ndarray
    nearness: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one training step sees: pictures (B, 3, F, H, W) in [-1, 1], nearness (B, F, H, W) from 1 / FARTHEST up."""

    target: Tensor
    nearness: Tensor
    poses: Tensor
    intrinsics: Tensor
    context: Tensor
    context_nearness: Tensor
    context_poses: Tensor
    context_intrinsics: Tensor
    tokens: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device) for name in Batch.__dataclass_fields__))


def rendered_walk(seed: int, frames: int = WALK_FRAMES, width: int = WIDTH, height: int = HEIGHT) -> Walk:
    """Render the walk of a seed: the same seed gives the same walk."""
    scene, rng = make_scene(seed), np.random.default_rng([seed, 1])
    if scene.place == "rooms" and rng.random() < 0.6:
        poses, intrinsics = tour(scene, frames, rng, float(rng.uniform(0.04, 0.14)), float(rng.uniform(10, 60)))
        if rng.random() < 0.35:
            poses = np.concatenate([poses[: frames - frames // 2], poses[: frames // 2][::-1]])
    else:
        poses, intrinsics = random_walk(scene, frames, rng)
    times = np.arange(frames) / FPS
    shown = set_moving(scene, rng) if rng.random() < MOVING_SHARE else scene
    pictures, depth = render_with_depth(shown, poses, intrinsics, width, height, times=times)
    captions = [tokenize(room.caption) for room in scene.rooms]
    tokens = np.array([captions[scene.room_at(float(pose[0, 3]), float(pose[2, 3]))] for pose in poses])
    return Walk(
        pictures.numpy(),
        (1 / depth).to(torch.float16).numpy(),
        poses.astype(np.float32),
        intrinsics.astype(np.float32),
        tokens,
    )


class Store:
    """Walks in memory-mapped arrays; `added` counts all that ever came, the newest `capacity` of which are there."""

    def __init__(self, folder: Path, capacity: int = 0) -> None:
        self.folder, self.count = folder, folder / "count.json"
        parts: dict[str, tuple[tuple[int, ...], str]] = {
            "frames": ((HEIGHT, WIDTH, 3), "uint8"),
            "nearness": ((HEIGHT, WIDTH), "float16"),
            "poses": ((4, 4), "float32"),
            "intrinsics": ((4,), "float32"),
            "tokens": ((MAX_TOKENS,), "int64"),
        }
        if not self.count.exists():
            if not capacity:
                raise ValueError(f"There are no rendered walks in {folder}: fill it first (world.training.dataset).")
            folder.mkdir(parents=True, exist_ok=True)
            for name, (shape, kind) in parts.items():
                open_memmap(folder / f"{name}.npy", "w+", kind, (capacity, WALK_FRAMES, *shape))
            self._count(0)
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in parts}
        self.capacity = len(self.arrays["frames"])

    @property
    def added(self) -> int:
        return int(json.loads(self.count.read_text(encoding="utf-8"))["added"])

    def add(self, walk: Walk) -> None:
        """Keep a walk; the oldest makes room."""
        added = self.added
        for name, array in self.arrays.items():
            array[added % self.capacity] = getattr(walk, name)
        self._count(added + 1)

    def __getitem__(self, index: int) -> Walk:
        return Walk(**{name: array[index] for name, array in self.arrays.items()})

    def _count(self, added: int) -> None:
        part = self.count.with_suffix(".part")
        part.write_text(json.dumps({"added": added}), encoding="utf-8")
        part.replace(self.count)


def draw_batch(
    walks: Sequence[Walk] | Store, known: int, rng: np.random.Generator, size: int, shape: tuple[int, int]
) -> Batch:
    """Draw `size` segments of shape (target frames, context frames) from the first `known` walks."""
    return collate([_example(walks[int(rng.integers(known))], rng, *shape) for _ in range(size)])


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
    """Context frames for a segment: mostly those that see what it sees, and nearly always the frame before.

    Half of the time only frames from before it, so that it looks where none of them did, as every film does at first.

    From ``target`` (F,), frame numbers of the walk: ``count`` others, (count,) int64.
    """
    total = len(walk.frames)
    free = np.setdiff1d(np.arange(total), target)
    forward = int(np.sign(target[-1] - target[0]) or 1)
    before = int(target[0]) - forward
    past = free[(free - int(target[0])) * forward < 0]
    if len(past) > count and rng.random() < PAST_SHARE:
        free = past
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
    """Arrays of one example; mirrored left to right if asked, cameras with it. ``target`` (F,) and ``context`` (K,) are
    frame numbers of the walk. Of each: frames (n, H, W, 3) uint8, nearness (n, H, W), poses (n, 4, 4) and intrinsics
    (n, 4); then the tokens (L,)."""
    parts: list[np.ndarray] = []
    for index in (target, context):
        frames, nearness = walk.frames[index], walk.nearness[index]
        poses, intrinsics = walk.poses[index].copy(), walk.intrinsics[index]
        if mirrored:
            flip = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)
            frames, nearness, poses = frames[:, :, ::-1], nearness[:, :, ::-1], flip @ poses @ flip
        parts += [frames, nearness, poses, intrinsics]
    return (*parts, walk.tokens[target[0]])


def collate(examples: list[Example]) -> Batch:
    """Stack examples and turn pictures into (B, 3, F, H, W) floats."""
    target, near, poses, intrinsics, context, context_near, context_poses, context_intrinsics, tokens = (
        torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True)
    )

    def pictures(frames: Tensor) -> Tensor:
        return frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def floored(nearness: Tensor) -> Tensor:
        return nearness.float().clamp_min(1 / FARTHEST)

    return Batch(
        pictures(target),
        floored(near),
        poses,
        intrinsics,
        pictures(context),
        floored(context_near),
        context_poses,
        context_intrinsics,
        tokens.long(),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Fill a store: `python -m world.training.dataset --store FOLDER --walks N`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--walks", type=int, default=3000, help="walks to render, those already there included")
    parser.add_argument("--capacity", type=int, default=3000, help="how many of the newest are kept; 1 MB each")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    store = Store(options.store, options.capacity)
    for number in range(store.added, options.walks):
        store.add(rendered_walk(FIRST_TRAINING_SEED + number))
        if number % 100 == 99:
            log.info("%d walks", number + 1)


if __name__ == "__main__":
    main()

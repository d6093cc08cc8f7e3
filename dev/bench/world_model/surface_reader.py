"""A small network that reads surface, pattern and colour from pictures: the eye of the measures of what was never seen.

It learns from rendered training scenes alone; no picture of the world model has a say in it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ....world.render import render_with_depth
from ....world.scenes import FIRST_TRAINING_SEED, VALIDATION_SEEDS, make_scene
from ....world.walks import random_walk
from .films import HEIGHT, WIDTH, Frames
from .surfaces import COLOUR_NAMES, PATTERNS, SURFACES, Shown, shown_in

HALF = 2
"""The network answers for every second pixel of every second row."""

CROP = 24
FEATURES = 64
VIEWS = 6
FIRST_SEED = FIRST_TRAINING_SEED + 500_000
FIRST_EXAM = VALIDATION_SEEDS.start + 50_000
HEADS = (len(SURFACES), len(PATTERNS), len(COLOUR_NAMES))

log = logging.getLogger(__name__)


class SurfaceReader(nn.Module):
    """From pictures (N, 3, H, W) in [-1, 1] to scores (N, h, H / 2, W / 2) of surfaces, patterns and colours."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(3, 32, 4, 2, 1), nn.SiLU(), nn.Conv2d(32, 32, 3, 1, 1))
        self.middle = nn.Sequential(nn.SiLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.GroupNorm(8, 64))
        self.coarse = nn.Sequential(
            nn.SiLU(), nn.Conv2d(64, 96, 4, 2, 1), nn.GroupNorm(8, 96), nn.SiLU(), nn.Conv2d(96, 96, 3, 1, 1)
        )
        self.back = nn.Conv2d(96 + 64, 64, 3, 1, 1)
        self.last = nn.Conv2d(64 + 32, FEATURES // 2, 3, 1, 1)
        self.heads = nn.Conv2d(FEATURES // 2, sum(HEADS), 1)

    def seen(self, pictures: Tensor) -> Tensor:
        """What the answers are made of, (N, FEATURES / 2, H / 2, W / 2)."""
        fine = self.fine(pictures)
        middle = self.middle(fine)
        coarse = F.interpolate(self.coarse(middle), size=middle.shape[-2:])
        back = F.silu(self.back(torch.cat([coarse, middle], 1)))
        back = F.interpolate(back, size=fine.shape[-2:])
        return F.silu(self.last(torch.cat([back, F.silu(fine)], 1)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of surfaces, patterns and colours."""
        return self.heads(self.seen(pictures)).split(HEADS, 1)  # type: ignore[return-value]

    @torch.no_grad()
    def features(self, crops: Frames) -> NDArray[np.float64]:
        """Mean and spread over each crop (N, CROP, CROP, 3) of what it sees, (N, FEATURES)."""
        seen = self.seen(as_pictures(crops)).flatten(2)
        return torch.cat([seen.mean(2), seen.std(2)], 1).double().numpy()

    @torch.no_grad()
    def read(self, frames: Frames) -> tuple[NDArray[np.float32], ...]:
        """Logarithms of shares of surfaces, patterns and colours in frames (N, H, W, 3), each (N, h, H / 2, W / 2)."""
        return tuple(part.log_softmax(1).numpy() for part in self(as_pictures(frames)))


def as_pictures(frames: Frames) -> Tensor:
    """Frames (N, H, W, 3) uint8 as (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def halved(shown: Shown) -> Shown:
    """What the pixels show for which the network answers."""
    return shown[:, ::HALF, ::HALF]


def examples(first: int, scenes: int, views: int = VIEWS) -> tuple[Frames, Shown]:
    """Views of random walks through the scenes of `scenes` seeds, (scenes * views, H, W, 3), and what they show."""
    pictures, shown = [], []
    for seed in range(first, first + scenes):
        scene, rng = make_scene(seed), np.random.default_rng([seed, 31])
        poses, lenses = random_walk(scene, 8 * views, rng)
        poses, lenses = poses[::8], lenses[::8]
        picture, depth = render_with_depth(scene, poses, lenses, WIDTH, HEIGHT)
        pictures.append(picture.numpy())
        shown.append(halved(shown_in(scene, poses, lenses, depth.numpy())))
    parts = (np.concatenate([getattr(one, name) for one in shown]) for name in ("surface", "pattern", "colour"))
    return np.concatenate(pictures), Shown(*parts)


def taught(scenes: int = 500, steps: int = 900, batch: int = 24, seed: int = 0) -> SurfaceReader:
    """A reader that has learned from `scenes` rendered scenes, in `steps` steps of pictures whole and cut."""
    pictures, shown = examples(FIRST_SEED, scenes)
    targets = torch.from_numpy(np.stack([shown.surface, shown.pattern, shown.colour], 1))
    torch.manual_seed(seed)
    reader, rng = SurfaceReader(), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=2e-3, weight_decay=0.01)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, 2 - 2 * step / steps + 0.02)
        size = batch if step % 2 else 4 * batch
        chosen = rng.integers(len(pictures), size=size)
        shape = (HEIGHT, WIDTH) if step % 2 else (CROP, CROP)
        top, left = (HALF * int(rng.integers((whole - part) // HALF + 1)) for whole, part in
                     zip((HEIGHT, WIDTH), shape, strict=True))  # fmt: skip
        shape_rows, shape_columns = slice(top, top + shape[0]), slice(left, left + shape[1])
        inputs = as_pictures(pictures[chosen][:, shape_rows, shape_columns])
        wanted = targets[chosen][:, :, top // 2 : (top + shape[0]) // 2, left // 2 : (left + shape[1]) // 2]
        if rng.random() < 0.5:
            inputs, wanted = inputs.flip(-1), wanted.flip(-1)
        loss = sum(
            F.cross_entropy(scores, wanted[:, part], ignore_index=-1) for part, scores in enumerate(reader(inputs))
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
    return reader.eval().requires_grad_(False)


def accuracy(reader: SurfaceReader, scenes: int = 60) -> dict[str, float]:
    """Shares of pixels of unseen scenes, cut as they are when the measures look at them, that are read right."""
    pictures, shown = examples(FIRST_EXAM, scenes, 2)
    found: dict[str, list[float]] = {"surface": [], "pattern": [], "colour": []}
    for top, left in ((0, 0), (18, 36), (36, 72)):
        read = reader.read(pictures[:, top : top + CROP, left : left + CROP])
        rows, columns = slice(top // 2, (top + CROP) // 2), slice(left // 2, (left + CROP) // 2)
        for name, scores in zip(found, read, strict=True):
            wanted = getattr(shown, name)[:, rows, columns]
            found[name].append(float((scores.argmax(1) == wanted)[wanted >= 0].mean()))
    return {f"reads_{name}": float(np.mean(values)) for name, values in found.items()}


def kept_reader(path: Path | None) -> SurfaceReader:
    """The reader that lies in a safetensors file; where there is none it is taught, and kept there if one is named."""
    if path is not None and path.exists():
        reader = SurfaceReader()
        reader.load_state_dict(load_file(path))
        return reader.eval().requires_grad_(False)
    log.info("Teaching the network that reads surfaces, patterns and colours: some minutes.")
    reader = taught()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(reader.state_dict(), path)
    return reader

"""What is measured in a film: how like the truth, how sharp, how lively, and what its caption's words became."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ....world.reproject import reproject
from ...metrics import psnr
from .films import Frames, TrueFilm

SEEN = 0.5


def pair_psnr(first: Frames, second: Frames) -> float:
    """Mean over frames, each at most 60 dB."""
    return float(np.mean([min(60.0, psnr(a, b)) for a, b in zip(first, second, strict=True)]))


def seen_before(true: TrueFilm, indices: NDArray[np.int64], by: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n, H, W): which pixels of the frames `indices` show what the frames `by` saw; from true depth."""

    def cameras(which: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        poses, lenses = true.path.poses[which], true.path.intrinsics[which]
        return torch.from_numpy(poses.copy()).float()[None], torch.from_numpy(lenses.copy()).float()[None]

    pictures = torch.from_numpy(true.frames(by)).permute(3, 0, 1, 2)[None] / 127.5 - 1
    nearness = 1 / torch.from_numpy(true.depth(by))[None].clamp_max(50.0)
    woven = reproject(pictures, nearness, *cameras(by), *cameras(indices))
    return (woven[0, :, 3] > SEEN).numpy()


def sharpness_of(film: Frames, truth: Frames, where: NDArray[np.bool_]) -> float:
    """Gradient energy of a film over the true one's, in the pixels `where` (n, H, W)."""
    energy = []
    for frames in (film, truth):
        bright = frames.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
        across = np.diff(bright, axis=2) ** 2 * (where[:, :, 1:] & where[:, :, :-1])
        down = np.diff(bright, axis=1) ** 2 * (where[:, 1:] & where[:, :-1])
        energy.append(across.sum() + down.sum())
    return float(energy[0] / energy[1])


def liveliness(film: Frames) -> float:
    """Mean absolute step of brightness values (0..1) from frame to frame; 0 for a static video."""
    return float(np.abs(np.diff(film.astype(np.float32), axis=0)).mean() / 255)

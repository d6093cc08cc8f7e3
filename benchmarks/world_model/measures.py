"""What is measured in a film: how like the truth, how sharp, how lively, and what its caption's words became."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...memory.metrics import psnr
from ...world.render import render
from ...world.reproject import reproject
from ...world.scenes import FIRST_TRAINING_SEED, PLACES, make_scene
from ...world.vocabulary import COLOURS
from .films import HEIGHT, WIDTH, Frames, TrueFilm

SEEN = 0.5
BRIGHTNESS = np.linspace(0.35, 1.05, 29)
BANDS = ((0.0, 0.12), (0.2, 0.35), (0.38, 0.5), (0.52, 0.66), (0.86, 1.0))
NEIGHBOURS, EXAMPLES, ENOUGH = 7, 450, 0.2


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


class WordReader:
    """Reads place and colours from a picture by fixed rules: no network, nothing tuned on the model's pictures.

    The place is that of most of the nearest of 450 rendered training scenes, by the mean colours of five bands. A
    colour is recognised where a fifth of the pixels are nearest to it, each at the brightness that fits best. In the
    true pictures of 64 held-out scenes these rules recognise 80 % of the words, which is the most to be reached.
    """

    def __init__(self, view: NDArray[np.float64], lens: NDArray[np.float64]) -> None:
        self.features, self.places = [], []
        kinds = PLACES[:3]
        for number in range(EXAMPLES):
            place = kinds[number % len(kinds)]
            scene = make_scene(FIRST_TRAINING_SEED + number, place)
            picture = render(scene, view[None], lens[None], WIDTH, HEIGHT, supersample=1).numpy()[0]
            self.features.append(_bands(picture))
            self.places.append(place)

    def place(self, picture: Frames) -> str:
        """room, courtyard or landscape."""
        away = np.linalg.norm(np.array(self.features) - _bands(picture), axis=1)
        nearest = [self.places[index] for index in np.argsort(away)[:NEIGHBOURS]]
        return max(sorted(set(nearest)), key=nearest.count)

    @staticmethod
    def shows(picture: Frames, colour: str, low: float, high: float) -> bool:
        """Whether a fifth of the pixels in the rows from `low` to `high` (shares of the height) are of that colour."""
        rows = picture[round(low * HEIGHT) : round(high * HEIGHT)].reshape(-1, 3) / 255
        away = np.stack([_distance(rows, np.array(value)) for value in COLOURS.values()])
        return bool((away.argmin(axis=0) == list(COLOURS).index(colour)).mean() >= ENOUGH)

    def score(self, level: Frames, lowered: Frames, place: str, wall: str | None, floor: str) -> tuple[int, int]:
        """How many of the caption's words are recognised in a level and a lowered view, and of how many."""
        right = [self.place(level) == place, self.shows(lowered, floor, 0.86, 1.0)]
        if wall is not None:
            right.append(self.shows(level, wall, 0.3, 0.62))
        return sum(right), len(right)


def _bands(picture: Frames) -> NDArray[np.float64]:
    rows = [picture[round(low * HEIGHT) : round(high * HEIGHT)] for low, high in BANDS]
    return np.concatenate([band.reshape(-1, 3).mean(axis=0) / 255 for band in rows])


def _distance(found: NDArray[np.float64], named: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of colours (n, 3) to a named one at the brightness that fits it best, (n,)."""
    return np.linalg.norm(found[:, None] - BRIGHTNESS[:, None] * named, axis=2).min(axis=1)

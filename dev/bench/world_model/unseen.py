"""What the model makes of places that no frame has seen: is it crisp, like the truth, does it belong, are there things.

A film turns away from one true frame, 150 degrees. The renderer says which of its pixels show what that frame did not;
only these count. Crops of them are compared with crops of the true film in the features of `surface_reader`; the same
network names pattern and colour on both sides of the border between seen and unseen, and counts things.

A guard stands beside these: how well what was imagined fits somewhere into the start frame or its mirror image, beside
how well the truth does. A film that only repeats what it has seen is crisp and belongs, and shows nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ....memory.cameras.trajectory import Trajectory
from ....world.scenes import make_scene
from . import films, measures
from .films import Frames, TrueFilm
from .surface_reader import CROP, HALF, SurfaceReader, halved
from .surfaces import GROUNDS, SURFACES, THINGS, Shown, shown_in

FRAMES = films.AWAY_FRAMES // 2 + 1
EVERY = 2
"""Every second frame is looked at: its neighbour shows nearly the same."""

CROPS, CLEAR = 16, 0.98
"""Crops of a film, and how much of each was never seen."""

ROWS, BESIDE = (0, 18, 36), 0.9
"""Where crops beside the border begin, and how much of them must be on their side of it."""

DETAIL = 4.0
"""Spread of a crop's brightness, of 255, from which it has any detail."""

ENOUGH, LEAST_THING = 14, 7
"""Pixels, of those for which the network answers, of a surface that is asked for and of the smallest thing."""

Record = dict[str, NDArray[np.float64]]


class Paints(Protocol):
    """What makes segments: `films.Painter`, or a network in training."""

    def paint(
        self, targets: Trajectory, past: tuple[Frames, NDArray[np.float64], NDArray[np.float64]] | None, caption: str,
        seed: int,
    ) -> Frames:
        """The segment along `targets`, (F, H, W, 3)."""
        ...


@dataclass(frozen=True)
class Turned:
    """The true film of a scene, what of it was never seen, and what it shows; of the frames `looked_at`."""

    true: TrueFilm
    looked_at: NDArray[np.int64]
    unseen: NDArray[np.bool_]
    shown: Shown


def turned_away(seed: int) -> Turned:
    """The film of a scene's seed: 150 degrees to the right; every other scene's camera also moves."""
    scene = make_scene(seed)
    whole = films.away_and_back(scene, bool(seed % 2), np.random.default_rng([seed, 3]))
    true = TrueFilm(scene, whole[:FRAMES])
    looked_at = np.arange(1, FRAMES, EVERY)
    unseen = ~measures.seen_before(true, looked_at, np.array([0]))
    path = true.path
    shown = shown_in(scene, path.poses[looked_at], path.intrinsics[looked_at], true.depth(looked_at))
    return Turned(true, looked_at, unseen, halved(shown))


def film_of(painter: Paints, turned: Turned, k: int, seed: int) -> Frames:
    """The frames looked at of the film that a painter makes."""
    settings = films.settings_of("coverage", k, seed)
    return films.make_film(painter, turned.true, settings, seed)[turned.looked_at]


def record_of(reader: SurfaceReader, turned: Turned, film: Frames, draw: int) -> Record:
    """All that one film gives to the figures: sums, counts, and features of CROPS crops, which `draw` chooses."""
    truth = turned.true.frames(turned.looked_at)
    return {
        "energy": np.array([energy(film, turned.unseen), energy(truth, turned.unseen)]),
        "features": features_of(reader, film, turned.unseen, draw),
        "copied": copied_from(turned.true.frames([0])[0], crops_of(film, turned.unseen, draw)),
        "belongs": belonging(reader, film, turned),
        "things": np.array([float(things_in(reader, film, turned.unseen)), float(len(film))]),
    }


def energy(frames: Frames, where: NDArray[np.bool_]) -> float:
    """Sum of squared brightness steps between neighbours that both are `where` (F, H, W)."""
    bright = frames.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    across = np.diff(bright, axis=2) ** 2 * (where[:, :, 1:] & where[:, :, :-1])
    down = np.diff(bright, axis=1) ** 2 * (where[:, 1:] & where[:, :-1])
    return float(across.sum() + down.sum())


def crops_of(frames: Frames, unseen: NDArray[np.bool_], draw: int) -> Frames:
    """Up to CROPS crops (n, CROP, CROP, 3) with nothing in them that was seen; the same places for the same `draw`."""
    rng, crops = np.random.default_rng([draw, 17]), []
    for _ in range(40 * CROPS):
        frame = int(rng.integers(len(frames)))
        top, left = (int(rng.integers(whole - CROP + 1)) for whole in frames.shape[1:3])
        rows, columns = slice(top, top + CROP), slice(left, left + CROP)
        if unseen[frame, rows, columns].mean() >= CLEAR:
            crops.append(frames[frame, rows, columns])
        if len(crops) == CROPS:
            break
    return np.stack(crops) if crops else np.empty((0, CROP, CROP, 3), np.uint8)


def features_of(reader: SurfaceReader, frames: Frames, unseen: NDArray[np.bool_], draw: int) -> NDArray[np.float64]:
    """Features (n, FEATURES) of such crops; (0, 0) without any."""
    crops = crops_of(frames, unseen, draw)
    return reader.features(crops) if len(crops) else np.empty((0, 0))


def copied_from(start: Frames, crops: Frames) -> NDArray[np.float64]:
    """(sum, n) of how well each crop (n, CROP, CROP, 3) fits its best place in the start frame (H, W, 3) or in the
    mirror image of that: the correlation, 1 for a copy. Crops without any detail are left out."""
    found = [
        max(float(cv2.matchTemplate(view, crop, cv2.TM_CCOEFF_NORMED).max())
            for view in (start, np.ascontiguousarray(start[:, ::-1])))
        for crop in crops
        if crop.std(axis=(0, 1)).max() >= DETAIL
    ]  # fmt: skip
    return np.array([sum(found), len(found)], float)


def belonging(reader: SurfaceReader, film: Frames, turned: Turned) -> NDArray[np.float64]:
    """(agreed, asked): of pattern and colour, as the network reads them from crops left and right of the border.

    Each crop is read by itself, and only where walls, floors and ceilings truly are; a ceiling has no pattern.
    """
    sides, places = [], []
    for frame in range(len(film)):
        for top in ROWS:
            column = border(turned.unseen[frame, top : top + CROP])
            if column is not None:
                places.append((frame, top, column))
                sides += [film[frame, top : top + CROP, x : x + CROP] for x in (column - CROP, column)]
    if not places:
        return np.zeros(2)
    _, patterns, colours = reader.read(np.stack(sides))
    agreed = asked = 0
    for number, (frame, top, column) in enumerate(places):
        rows = slice(top // HALF, (top + CROP) // HALF)
        left, right = (
            turned.shown.surface[frame, rows, (x + HALF - 1) // HALF : (x + HALF - 1) // HALF + CROP // HALF]
            for x in (column - CROP, column)
        )
        for surface in GROUNDS:
            if min((left == surface).sum(), (right == surface).sum()) < ENOUGH:
                continue
            heads = (colours,) if SURFACES[surface] == "ceiling" else (patterns, colours)
            for scores in heads:
                told = [
                    int(scores[2 * number + side][:, part == surface].sum(axis=1).argmax())
                    for side, part in enumerate((left, right))
                ]
                agreed, asked = agreed + (told[0] == told[1]), asked + 1
    return np.array([agreed, asked], float)


def border(unseen: NDArray[np.bool_]) -> int | None:
    """The even column of rows (h, W) left of which a crop's width was seen and right of which it was not; None
    without."""
    share = unseen.mean(axis=0)
    total = np.concatenate([[0.0], np.cumsum(share)]) / CROP
    best, found = BESIDE, None
    for column in range(CROP, len(share) - CROP + 1, HALF):
        seen = 1 - (total[column] - total[column - CROP])
        worse = min(seen, total[column + CROP] - total[column])
        if worse >= best:
            best, found = worse, column
    return found


def things_in(reader: SurfaceReader, frames: Frames, unseen: NDArray[np.bool_]) -> int:
    """How many windows, doors, pictures and props the network finds in what was never seen."""
    kinds = reader.read(frames)[0].argmax(1)
    count = 0
    for kind, where in zip(kinds, unseen[:, ::HALF, ::HALF], strict=True):
        for thing in THINGS:
            sizes = cv2.connectedComponentsWithStats(((kind == thing) & where).astype(np.uint8))[2][1:, -1]
            count += int((sizes >= LEAST_THING).sum())
    return count


def frechet(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Fréchet distance of two sets of features (n, d) and (m, d), as of two normal distributions."""
    mean = float(((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum())
    first, second = (np.cov(part, rowvar=False) for part in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ second @ root).clip(0)
    return mean + float(np.trace(first) + np.trace(second) - 2 * np.sqrt(mixed).sum())


def joined(records: Sequence[Record], key: str) -> NDArray[np.float64]:
    """That part of all records, one after the other; of features, those that there are."""
    return np.concatenate([record[key] for record in records if record[key].size])


def figures(made: Sequence[Record], old: Sequence[Record], truth: Sequence[Record], again: Sequence[Record]) -> dict[
    str, float
]:  # fmt: skip
    """The figures of films, of those of the weights they are compared with, and of the true ones.

    `again` are records of the true films with other crops: their distance from `truth` is the floor.
    """
    wanted = joined(truth, "features")
    floor, above = (frechet(joined(part, "features"), wanted) for part in (again, old))
    own = frechet(joined(made, "features"), wanted)

    def share(records: Sequence[Record], key: str) -> float:
        first, second = np.sum([record[key] for record in records], axis=0)
        return float(first / second) if second else float("nan")

    return {
        "unseen_sharpness": share(made, "energy"),
        "unseen_sharpness_old": share(old, "energy"),
        "unseen_frechet": own,
        "unseen_frechet_floor": floor,
        "unseen_frechet_old": above,
        "unseen_frechet_ratio": (own - floor) / (above - floor),
        "unseen_belongs": share(made, "belongs"),
        "unseen_belongs_old": share(old, "belongs"),
        "unseen_belongs_truth": share(truth, "belongs"),
        "unseen_things_ratio": share(made, "things") / share(truth, "things"),
        "unseen_things_ratio_old": share(old, "things") / share(truth, "things"),
        "unseen_things_truth": share(truth, "things"),
        "unseen_copied": share(made, "copied"),
        "unseen_copied_old": share(old, "copied"),
        "unseen_copied_truth": share(truth, "copied"),
    }


class Records:
    """Records by name, kept as files in a folder where one is given: a broken run goes on where it was."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, name: str, measure: Callable[[], Record]) -> Record:
        """The record of that name, measured now by calling `measure` if it never was."""
        path = None if self.folder is None else self.folder / f"{name}.npz"
        if path is not None and path.exists():
            with np.load(path) as kept:
                return dict(kept)
        record = measure()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{name}.part.npz")
            np.savez(part, **record)  # type: ignore[arg-type]
            part.replace(path)
        return record


def true_record(reader: SurfaceReader, turned: Turned, seed: int, draw: int) -> Record:
    """The record of the true film, with the crops of one of two draws."""
    return record_of(reader, turned, turned.true.frames(turned.looked_at), 2 * seed + draw)


def painted_record(reader: SurfaceReader, turned: Turned, painter: Paints, k: int, seed: int) -> Record:
    """The record of the film that a painter makes, with the crops of the second draw: by chance it is then as far from
    the first as the true film is."""
    return record_of(reader, turned, film_of(painter, turned, k, seed), 2 * seed + 1)


def measured(
    painter: Paints, old: Paints, reader: SurfaceReader, seeds: Sequence[int], k: int, records: Records
) -> dict[str, float]:
    """The figures of a painter and of an old one, over the scenes of `seeds`; a film takes some seconds."""
    made, before, truth, again = [], [], [], []
    for seed in seeds:
        turned: list[Turned] = []

        def scene(turned: list[Turned] = turned, seed: int = seed) -> Turned:
            turned[:] = turned or [turned_away(seed)]
            return turned[0]

        def of(who: Paints, scene: Callable[[], Turned] = scene, seed: int = seed) -> Record:
            return painted_record(reader, scene(), who, k, seed)

        made.append(records.get(f"made-{seed}", lambda of=of: of(painter)))
        before.append(made[-1] if old is painter else records.get(f"old-{seed}", lambda of=of: of(old)))
        for draw, part in enumerate((truth, again)):
            part.append(records.get(f"truth-{draw}-{seed}", lambda draw=draw, scene=scene, seed=seed: true_record(
                reader, scene(), seed, draw)))  # fmt: skip
    return figures(made, before, truth, again)

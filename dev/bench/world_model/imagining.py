"""Ways to make the world model imagine, each with the same little processor time, and the long training of the best.

Each begins with the bundled weights and learns in a folder of its own, in which it goes on where it was; then it makes
films of held-out scenes, and the figures of `unseen` are taken. Two ways need no learning: an imagined keyframe, and
mirror images. The scenes are not those of `bench world`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from ....world.scenes import VALIDATION_SEEDS
from ....world.training import train
from ....world.training.imagining import Imagining
from ....world.training.learning import Lessons, Trained
from . import unseen
from .network_painter import NetworkPainter
from .surface_reader import SurfaceReader

BUNDLED = Path(__file__).parents[3] / "world" / "weights" / "world.safetensors"
FIRST_SCENE = VALIDATION_SEEDS.start + 60_000
CONTEXT = 5
RATE = 3e-4
SHEET = (2, 5, 8, 12, 15, 19)
EVERY = 20.0
"""Minutes of the clock between figures in a long training."""


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """One way to imagine. `learns` says how; None is how the weights learned before, and `still` not at all.

    `unseen` is how much errors count where nothing was seen, in the steps that learn as before.
    """

    name: str
    learns: Imagining | None = None
    still: bool = False
    mirrors: bool = False
    keyframe: bool = False
    unseen: float = 1.0

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.name).split())


WAYS = (
    Way("bundled weights", still=True),
    Way("bundled weights, keyframe", still=True, keyframe=True),
    Way("bundled weights, mirror images", still=True, mirrors=True),
    Way("plain loss, longer"),
    Way("discriminator, one step", Imagining(second=0.0)),
    Way("discriminator, two steps", Imagining()),
    Way("discriminator, two steps, single pictures", Imagining(targets=(1,), target_shares=(1.0,))),
    Way("discriminator, two steps, mirror images", Imagining(), mirrors=True),
    Way(
        "discriminator that learns thrice as often, two steps, mirror images",
        Imagining(features=0.5, again=2),
        mirrors=True,
    ),
    Way("bundled weights, mirror images, keyframe", still=True, mirrors=True, keyframe=True),
    Way(
        "the same discriminator and mirror images, errors only where seen",
        Imagining(coarse=0.25, features=0.25, again=2),
        mirrors=True,
        unseen=0.0,
    ),
)


def network_of(weights: Path, mirrors: bool) -> Trained:
    """A network and its caption encoder with the weights of a safetensors file."""
    model = Trained(mirrors=mirrors)
    model.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return model.eval().requires_grad_(False)


class Learning(train.Run):
    """A run that also takes the unseen figures of its average now and then, by the minutes it has learned."""

    def __init__(self, settings: train.Settings, figures: Callable[[Trained], dict[str, float]], every: float) -> None:
        super().__init__(settings)
        self.figures, self.every, self.taken = figures, every, self.elapsed

    def _report(self, loss: float, walks: int, unseen_walks: list[Any]) -> dict[str, float]:
        row = super()._report(loss, walks, unseen_walks)
        if self.elapsed - self.taken >= 60 * self.every:
            self.taken = self.elapsed
            found = {"minutes": row["minutes"], "step": self.step, **self.figures(self.average)}
            log.info(f"{found}")
            with (self.settings.out / "unseen.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        return row


def settings_of(way: Way, minutes: float, out: Path, store: Path, clock: Callable[[], float]) -> train.Settings:
    """How a way learns; `minutes` by `clock` in all, resumed stretches included."""
    return train.Settings(
        minutes,
        out / way.folder,
        store,
        BUNDLED,
        mirrors=way.mirrors,
        rate=RATE,
        batch=4,
        report_every=120.0,
        unseen=8,
        clock=clock,
        imagining=way.learns,
        lessons=Lessons(unseen=way.unseen),
    )


class Examination:
    """Films of `scenes` scenes that nothing is trained on, and what is read in them."""

    def __init__(self, reader: SurfaceReader, scenes: int, kept: Path) -> None:
        self.reader, self.kept = reader, kept
        self.seeds = range(FIRST_SCENE, FIRST_SCENE + scenes)
        self._turned: dict[int, unseen.Turned] = {}
        self.truth = [self._records(seed, 0) for seed in self.seeds]
        self.again = [self._records(seed, 1) for seed in self.seeds]
        self.old = self.made(NetworkPainter(network_of(BUNDLED, False)), None)

    def turned(self, seed: int) -> unseen.Turned:
        """The true film of a scene."""
        if seed not in self._turned:
            self._turned[seed] = unseen.turned_away(seed)
        return self._turned[seed]

    def _records(self, seed: int, draw: int) -> unseen.Record:
        return unseen.true_record(self.reader, self.turned(seed), seed, draw)

    def made(self, painter: unseen.Paints, sheet: Path | None) -> list[unseen.Record]:
        """Records of a painter's films, and a sheet of them, the truth above each."""
        records, rows = [], []
        for seed in self.seeds:
            turned = self.turned(seed)
            film = unseen.film_of(painter, turned, CONTEXT, seed)
            records.append(unseen.record_of(self.reader, turned, film, 2 * seed + 1))
            pair = turned.true.frames(turned.looked_at), film
            rows += [np.concatenate(list(part[list(SHEET)]), 1) for part in pair]
        if sheet is not None:
            sheet.parent.mkdir(parents=True, exist_ok=True)
            picture = np.concatenate(rows)[..., ::-1]
            cv2.imwrite(str(sheet), cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
        return records

    def figures(self, painter: unseen.Paints, name: str) -> dict[str, float]:
        """The figures of a painter; its sheet is kept under that name."""
        made = self.made(painter, self.kept / f"{name}.png")
        return unseen.figures(made, self.old, self.truth, self.again)


def measured(
    numbers: Sequence[int], minutes: float, out: Path, store: Path, examination: Examination, long: bool = False
) -> list[dict[str, Any]]:
    """Rows of the ways of these numbers. `long`: minutes of the clock instead of the processor's, and figures on the
    way."""
    rows = []
    for number in numbers:
        way, found = WAYS[number], {}
        kept = out / way.folder / f"row-{minutes:g}.json"
        if kept.exists() and not long:
            rows.append(json.loads(kept.read_text(encoding="utf-8")))
            continue
        if way.still:
            model = network_of(BUNDLED, way.mirrors)
        else:
            clock = time.monotonic if long else time.process_time
            torch.manual_seed(0)

            def taken(average: Trained, way: Way = way) -> dict[str, float]:
                return examination.figures(NetworkPainter(average, keyframe=way.keyframe), f"{way.folder}-now")

            run = Learning(settings_of(way, minutes, out, store, clock), taken, EVERY if long else 1e9)
            found, model = run.train(), run.average
        painter = NetworkPainter(model, keyframe=way.keyframe)
        figures = examination.figures(painter, f"{way.folder}-{minutes:g}")
        row = {"way": way.name, "minutes": 0.0 if way.still else minutes, **found, **figures}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
        log.info(told(row))
        rows.append(row)
    return rows


def told(row: dict[str, Any]) -> str:
    """A row in words."""
    names = ("sharpness", "frechet_ratio", "belongs", "things_ratio", "copied")
    return f"{row['way']:68}" + "  ".join(f"{name} {row[f'unseen_{name}']:.2f}" for name in names)

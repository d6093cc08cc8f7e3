"""One exam of the world model at a time: a film, a segment, a walk or a caption, and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....memory.cameras.angles import rotation
from ....memory.cameras.camera import intrinsics_from_fov, pose
from ....memory.cameras.trajectory import Trajectory
from ....memory.retrieval.retrieve import retrieve
from ....memory.state.state import MemoryState
from ....world.render import render
from ....world.scenes import HELD_OUT_SEEDS, PLACES, Scene, make_scene
from ...metrics import revisit_pairs
from . import films, measures
from .films import SEGMENT, Frames, Painter, TrueFilm
from .words import WordReader, words_of

if TYPE_CHECKING:
    from ..world import Ledger, Values

FIRST_SCENE, FIRST_WALK, FIRST_CAPTION = 41_000, 50_000, 60_000
"""Held-out seeds from which the exams take theirs; nobody looks at them while working on the model."""

TRUTH_STARTS = (57, 73)
LONG_GAP_SECONDS = 300
LOWERED = -14.0
"""Pitch in degrees to which the camera sinks while a caption is painted: a level one sees little of the floor."""

GUARDS = ("copy first frame", "static video")
SHEET_COLUMNS = 9


class Exams:
    """Figures by name go to the ledger; what is there already is not made again."""

    def __init__(self, ledger: Ledger, weights: Path | None, steps: int, k: int, pictures: Path | None) -> None:
        self.ledger, self.k, self.pictures = ledger, k, pictures
        self.painter = Painter(weights, steps)
        self._reader: WordReader | None = None
        self._true: dict[tuple[int, bool], TrueFilm] = {}

    def history(self, scene: int, strategy: str, moving: bool, k: int) -> None:
        """A film away and back from one true frame."""
        kind = "moving" if moving else "in-place"

        def measure() -> Values:
            true = self._film(scene, moving)
            film = films.make_film(self.painter, true, films.settings_of(strategy, k, scene), scene)
            self._sheet(f"{kind}-{scene:02d}-{strategy}-k{k}", true.frames(range(len(film))), film)
            return self._history_values(true, film)

        self.ledger.get(f"history {strategy} k{k} {kind} {scene}", measure)
        if k == self.k:
            for guard in GUARDS:
                self.ledger.get(f"history {guard} k{k} {kind} {scene}", lambda guard=guard: self._guard(scene, moving))

    def speed(self, scene: int, moving: bool, k: int) -> None:
        """Milliseconds a frame of the model alone, over such a film."""

        def measure() -> Values:
            seconds, frames = self.painter.seconds, self.painter.frames
            films.make_film(self.painter, self._film(scene, moving), films.settings_of("coverage", k, scene), scene)
            return {"ms": 1000 * (self.painter.seconds - seconds) / (self.painter.frames - frames)}

        self.ledger.get(f"speed k{k} {'moving' if moving else 'in-place'} {scene}", measure)

    def truth(self, scene: int, strategy: str, k: int) -> None:
        """Next segments where the past is the true film."""

        def measure() -> Values:
            true, scores, sharp = self._film(scene, True), [], []
            for start in TRUTH_STARTS:
                targets = true.path[start : start + SEGMENT]
                state = films.remember(MemoryState(), true.path[:start])
                chosen = np.sort(retrieve(state, targets, films.settings_of(strategy, k, scene)).indices)
                past = true.frames(chosen), true.path.poses[chosen], true.path.intrinsics[chosen]
                painted = self.painter.paint(targets, past, true.caption(start), scene * 100_003 + start)
                wanted = true.frames(range(start, start + SEGMENT))
                scores.append(measures.pair_psnr(painted, wanted))
                sharp.append(measures.sharpness_of(painted, wanted, np.ones(painted.shape[:3], bool)))
            return {"psnr": float(np.mean(scores)), "sharpness": float(np.mean(sharp))}

        self.ledger.get(f"truth {strategy} k{k} {scene}", measure)
        if k == self.k:
            self.ledger.get(f"truth copy first frame k{k} {scene}", lambda: self._copied(scene, last=False))
            self.ledger.get(f"truth static video k{k} {scene}", lambda: self._copied(scene, last=True))

    def walk(self, number: int, frames: int) -> None:
        """A long walk through joined rooms that comes back to all it saw."""

        def measure() -> Values:
            scene = make_scene(HELD_OUT_SEEDS.start + FIRST_WALK + number, "rooms")
            true = TrueFilm(scene, films.long_walk(scene, frames, number))
            film = films.make_film(self.painter, true, films.settings_of("coverage", self.k, number), number)
            minute = round(60 * films.FPS)
            back = np.arange(2 * ((frames - minute) // 2), frames)
            out = np.arange(len(back))
            mirror = 2 * ((frames - minute) // 2) - 1 - np.arange((frames - minute) // 2)
            far = np.flatnonzero(mirror - np.arange(len(mirror)) > LONG_GAP_SECONDS * films.FPS)
            pairs = [(out, back), *([(far, mirror[far])] if len(far) else [])]
            self._sheet(f"walk-{number}", true.frames(range(0, frames, frames // 9)), film[:: frames // 9])
            everywhere = np.ones((len(back), films.HEIGHT, films.WIDTH), bool)
            first, last = film[out].reshape(-1, 3) / 255, film[back].reshape(-1, 3) / 255
            return {
                "long_revisit_psnr": measures.pair_psnr(
                    film[np.concatenate([a for a, _ in pairs])], film[np.concatenate([b for _, b in pairs])]
                ),
                "long_sharpness_kept": measures.sharpness_of(film[back], film[out], everywhere),
                "long_colour_change": float(np.abs(last.mean(axis=0) / first.mean(axis=0) - 1).max()),
                "long_contrast_change": float(np.abs(last.std(axis=0) / first.std(axis=0) - 1).max()),
            }

        self.ledger.get(f"walk {number} {frames}", measure)

    def caption(self, number: int) -> None:
        """A picture from words alone, and which of the words are read in it; beside it the true picture, and chance."""

        def measure() -> Values:
            scene, other = (self._captioned(index) for index in (number, number + len(PLACES[:3])))
            lowering = np.linspace(0, LOWERED, SEGMENT)
            poses = np.stack([pose([0.0, 0.0, 0.0], rotation(pitch=float(angle))) for angle in lowering])
            path = Trajectory(poses, intrinsics_from_fov(films.FOV, 1.6), fps=films.FPS)
            views = [0, SEGMENT - 1]
            if self._reader is None:
                self._reader = WordReader(path.poses[views], path.intrinsics[0])
            painted = self.painter.paint(path, None, scene.caption, number)[views]
            truth = render(scene, path.poses[views], path.intrinsics[views], films.WIDTH, films.HEIGHT).numpy()
            self._sheet(f"caption-{number:02d}", truth, painted)
            right = self._reader.right(*painted, words_of(scene))
            return {
                "right": float(np.mean(right)),
                "all_right": float(all(right)),
                "right_truth": float(np.mean(self._reader.right(*truth, words_of(scene)))),
                "right_by_chance": float(np.mean(self._reader.right(*painted, words_of(other)))),
            }

        self.ledger.get(f"caption {number}", measure)

    @staticmethod
    def _captioned(number: int) -> Scene:
        return make_scene(HELD_OUT_SEEDS.start + FIRST_CAPTION + number, PLACES[number % 3])

    def _film(self, scene: int, moving: bool) -> TrueFilm:
        if (scene, moving) not in self._true:
            made = make_scene(HELD_OUT_SEEDS.start + FIRST_SCENE + scene)
            path = films.away_and_back(made, moving, np.random.default_rng([scene, 3]))
            self._true = {key: film for key, film in self._true.items() if key[0] == scene}
            self._true[scene, moving] = TrueFilm(made, path)
        return self._true[scene, moving]

    def _guard(self, scene: int, moving: bool) -> Values:
        true = self._film(scene, moving)
        return self._history_values(true, true.frames([0] * len(true.path)))

    def _copied(self, scene: int, last: bool) -> Values:
        true, scores, sharp = self._film(scene, True), [], []
        for start in TRUTH_STARTS:
            wanted = true.frames(range(start, start + SEGMENT))
            copied = true.frames([start - 1 if last else 0] * SEGMENT)
            scores.append(measures.pair_psnr(copied, wanted))
            sharp.append(measures.sharpness_of(copied, wanted, np.ones(wanted.shape[:3], bool)))
        return {"psnr": float(np.mean(scores)), "sharpness": float(np.mean(sharp))}

    def _history_values(self, true: TrueFilm, film: Frames) -> Values:
        pairs = np.array(revisit_pairs(true.path.poses, 16))
        home = np.arange((len(film) + 1) // 2, len(film))
        seen = measures.seen_before(true, home, np.array([0]))
        kept = seen.mean(axis=(1, 2)) > 0.2
        truth = true.frames(home)
        return {
            "revisit": measures.pair_psnr(film[pairs[:, 0]], film[pairs[:, 1]]),
            "end": measures.pair_psnr(film[-1:], true.frames([0])),
            "sharpness": measures.sharpness_of(film[home][kept], truth[kept], seen[kept]),
            "sharpness_kept": measures.sharpness_of(
                film[pairs[:, 1]], film[pairs[:, 0]], np.ones((len(pairs), films.HEIGHT, films.WIDTH), bool)
            ),
            "motion": measures.liveliness(film) / measures.liveliness(true.frames(range(len(film)))),
        }

    def _sheet(self, name: str, truth: Frames, film: NDArray[np.uint8]) -> None:
        if self.pictures is None:
            return
        import cv2

        self.pictures.mkdir(parents=True, exist_ok=True)
        shown = np.linspace(0, len(film) - 1, min(SHEET_COLUMNS, len(film))).round().astype(int)
        rows = [np.concatenate(list(frames[shown]), axis=1) for frames in (truth, film)]
        cv2.imwrite(str(self.pictures / f"{name}.png"), np.concatenate(rows)[..., ::-1])

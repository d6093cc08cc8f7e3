"""The bundled world model with known pixels as its only memory, beside context frames: does it find its way back?

From one true frame of a held-out scene the camera turns 150 degrees away and back, in place and moving. The film is
made segment by segment; each time the same frames are retrieved, and enter as context frames, as known pixels (with the
depth that the network itself reads in them), or as both. The way back is compared with the way out. It passes the very
cameras of the way out, and a frame that was taken from the very camera is known as it is; so there is a second look, at
views half a step between the true frames of the way out, each segment compared with the truth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from ....film.plan import BOTH, CONTEXT_FRAMES, KNOWN_PIXELS
from ....memory.cameras.trajectory import Trajectory
from ....memory.retrieval.retrieve import retrieve
from ....memory.state.state import MemoryState
from ....world.scenes import HELD_OUT_SEEDS, make_scene
from ...metrics import revisit_pairs
from .._host import load_host
from ..world_model import films, measures
from ..world_model.films import Frames, Painter, TrueFilm

if TYPE_CHECKING:
    from ....film.segment import Segment

FIRST_SCENE = 43_000
"""Held-out seeds apart from those of the world model's exams."""

HELD = "known pixels, held"
WAYS = (CONTEXT_FRAMES, KNOWN_PIXELS, HELD, BOTH)
NAMES = {CONTEXT_FRAMES: "context", KNOWN_PIXELS: "known", HELD: "known_held", BOTH: "both"}
GAP, K = 16, 5
STARTS = (2, 16, 30)
"""First steps of the segments that are compared between true frames."""


class WayPainter(Painter):
    """Paints segments whose past enters in one of WAYS."""

    way = CONTEXT_FRAMES
    known: list[float]

    def segment(self, targets: Trajectory, past: tuple[Frames, NDArray[Any], NDArray[Any]] | None) -> Segment:
        from ....film.known_pixels import known_pixels

        whole = super().segment(targets, past)
        if self.way == CONTEXT_FRAMES or whole.context is None:
            return whole
        depth = self.model.model.read_depth(whole.context, self.model.load_device)
        view = known_pixels(whole.context, depth, whole, 1.0, self.way == HELD)
        self.known.append(view.share)
        return replace(whole, view=view, context=whole.context if self.way == BOTH else None)


def figures(scenes: int = 4, k: int = K, ways: tuple[str, ...] = WAYS) -> dict[str, float]:
    """PSNR in dB of the way back against the way out (``revisit``) and of views between true frames against the truth
    (``between``), for each way in which memory enters; how far known pixels alone stay below context frames in both;
    and the share 0..1 of the pixels that were known."""
    load_host(cpu=not torch.cuda.is_available())
    painter = WayPainter()
    found: dict[str, list[float]] = {way: [] for way in ways}
    halfway: dict[str, list[float]] = {way: [] for way in ways}
    painter.known = []
    for scene in range(scenes):
        for moving in (False, True):
            made = make_scene(HELD_OUT_SEEDS.start + FIRST_SCENE + scene)
            true = TrueFilm(made, films.away_and_back(made, moving, np.random.default_rng([scene, 3])))
            for way in ways:
                painter.way = way
                found[way].append(revisit(painter, true, scene, k))
                halfway[way].append(between(painter, true, scene, k))
    result = {f"revisit_psnr_{NAMES[way]}": float(np.mean(values)) for way, values in found.items()}
    result |= {f"between_psnr_{NAMES[way]}": float(np.mean(values)) for way, values in halfway.items()}
    if CONTEXT_FRAMES in found and KNOWN_PIXELS in found:
        result["known_only_loss_db"] = result["revisit_psnr_context"] - result["revisit_psnr_known"]
        result["known_only_between_loss_db"] = result["between_psnr_context"] - result["between_psnr_known"]
    if painter.known:
        result["known_only_share"] = float(np.mean(painter.known))
    return result


@torch.inference_mode()
def between(painter: WayPainter, true: TrueFilm, scene: int, k: int) -> float:
    """Of segments half a step beside the way out, which the model has as true frames, in dB."""
    out = true.path[: len(true.path) // 2 + 1]
    steps = np.arange(len(out) - 1) + 0.5
    poses = np.tile(np.eye(4), (len(steps), 1, 1))
    poses[:, :3, :3] = Slerp(np.arange(len(out)), Rotation.from_matrix(out.poses[:, :3, :3]))(steps).as_matrix()
    poses[:, :3, 3] = (out.poses[1:, :3, 3] + out.poses[:-1, :3, 3]) / 2
    beside = TrueFilm(true.scene, Trajectory(poses, out.intrinsics[: len(steps)], out.fps))
    state, scores = films.remember(MemoryState(), out), []
    for start in STARTS:
        targets = beside.path[start : start + films.SEGMENT]
        chosen = np.sort(retrieve(state, targets, films.settings_of("coverage", k, scene)).indices)
        past = true.frames(chosen), out.poses[chosen], out.intrinsics[chosen]
        painted = painter.paint(targets, past, true.caption(start), scene * 100_003 + start)
        scores.append(measures.pair_psnr(painted, beside.frames(range(start, start + films.SEGMENT))))
    return float(np.mean(scores))


@torch.inference_mode()
def revisit(painter: WayPainter, true: TrueFilm, scene: int, k: int) -> float:
    """Of one film, in dB."""
    film = films.make_film(painter, true, films.settings_of("coverage", k, scene), scene)
    pairs = np.array(revisit_pairs(true.path.poses, GAP))
    return measures.pair_psnr(film[pairs[:, 0]], film[pairs[:, 1]])
